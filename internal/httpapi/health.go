package httpapi

import (
	"encoding/json"
	"net/http"

	"mcpo/internal/upstream"
)

// readiness is the body of /readyz.
type readiness struct {
	Ready bool `json:"ready"`
	// Draining says that mcpo is about to end, and still serves.
	Draining bool                   `json:"draining,omitempty"`
	Servers  map[string]serverState `json:"servers"`
	// Store is the one that replicas share, where they do.
	Store *storeState `json:"store,omitempty"`
}

// storeState is how a shared store is.
type storeState struct {
	State  string `json:"state"` // ok or unavailable
	Reason string `json:"reason,omitempty"`
}

type serverState struct {
	State upstream.State `json:"state"`
	Tools int            `json:"tools"`
	// Callers is how many callers have a connection, of a server with logins.
	Callers *int `json:"callers,omitempty"`
	// Reason says why the server is not connected. Its details are in the
	// log: here they could tell a stranger about the inside.
	Reason string `json:"reason,omitempty"`
}

// serveHealth answers /healthz while the process serves, and /readyz with 200
// once every server was tried, whatever came of it: a broken server is no
// reason to take the others out of service.
func (h *Handler) serveHealth(w http.ResponseWriter, to route, g *Generation) {
	if to.rest == "healthz" {
		writeJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
		return
	}
	body := readiness{Ready: true, Servers: make(map[string]serverState, len(g.servers))}
	for _, m := range g.servers {
		select {
		case <-m.server.Tried():
		default:
			body.Ready = false
		}
		state := stateOf(m.server.Status(m.first()))
		if m.logins != nil {
			n := m.server.Callers()
			state.Callers = &n
		}
		body.Servers[m.server.Name()] = state
	}
	state, ready := h.store()
	body.Store, body.Ready = state, body.Ready && ready
	body.Draining = h.draining.Load()
	body.Ready = body.Ready && !body.Draining
	status := http.StatusOK
	if !body.Ready {
		status = http.StatusServiceUnavailable
	}
	raw, err := json.Marshal(body)
	if err != nil {
		answerOf(err, "", "").write(w)
		return
	}
	writeJSON(w, status, raw)
}

func stateOf(s upstream.Status) serverState {
	state := serverState{State: s.State, Tools: s.Tools}
	if s.State != upstream.StateConnected && s.Err != nil {
		state.Reason = reasonOf(s.Err)
	}
	return state
}

// StoreHealth is how a store is that replicas share.
type StoreHealth struct {
	Err     error // why it cannot be reached now; nil while it can
	Reached bool  // at least once so far
}

// store tells how the shared store is, and whether mcpo may serve with it. One that
// was never reached keeps a replica out of service, for it may have a wrong address.
// One that is lost does not: that takes all replicas at once, and callers whose
// token is in memory are served all the same.
func (h *Handler) store() (state *storeState, ready bool) {
	var health *StoreHealth
	if h.opts.Store != nil {
		health = h.opts.Store()
	}
	switch {
	case health == nil:
		return nil, true
	case health.Err == nil:
		return &storeState{State: "ok"}, true
	}
	return &storeState{State: "unavailable", Reason: "the database that keeps the logins cannot be reached"}, health.Reached
}
