package httpapi

import "net/http"

// Drain says at /readyz that mcpo is about to end, so that load balancers send
// their requests elsewhere. All is served as before, and each answer from now on
// ends its connection, so that nobody sends one more on it when it is closed.
func (h *Handler) Drain() { h.draining.Store(true) }

// letGo ends the connection with the answer, while mcpo is about to end.
func (h *Handler) letGo(w http.ResponseWriter) {
	if h.draining.Load() {
		w.Header()["Connection"] = closeConnection
	}
}
