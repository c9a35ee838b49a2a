package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"mcpo/internal/httpapi/pages"
	"mcpo/internal/oauth"
)

// connectionsForm is the purpose of the form token of the page of connections.
const connectionsForm = "connections"

// serveConnections lists what the caller is connected to, as a page or as JSON.
func (h *Handler) serveConnections(w http.ResponseWriter, r *http.Request, g *Generation) {
	ownPage(w)
	view := pages.Connections{CSRF: formToken(h.browser(w, r), connectionsForm)}
	list := []loginStatus{}
	var unknown *answer
	for _, m := range g.servers {
		if m.logins == nil {
			continue
		}
		who, refused := h.visitor(r, m)
		if refused != nil {
			unknown = refused
			continue
		}
		status, err := h.statusOf(r.Context(), m, who.ID)
		if err != nil {
			h.storeFailed(m, err).write(w)
			return
		}
		if name := account(who); len(list) == 0 {
			view.Account = name
		} else if name != view.Account {
			view.Account = "" // it differs from server to server
		}
		list = append(list, status)
		view.Servers = append(view.Servers, h.connectionView(m, status))
	}
	if unknown != nil && len(list) == 0 {
		h.stranger(w, r, unknown)
		return
	}
	if isBrowser(r) {
		pages.WriteConnections(w, view)
		return
	}
	body, err := json.Marshal(list)
	if err != nil {
		answerOf(err, "", "").write(w)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, body)
}

func (h *Handler) connectionView(m *mount, s loginStatus) pages.Connection {
	c := pages.Connection{Name: s.Server, State: "not connected", Scopes: s.Scopes, ConnectPath: h.base(m) + "/login"}
	if s.Authenticated {
		c.State, c.ConnectPath, c.Since = "connected", "", s.since
		c.DisconnectPath = h.root + "/connections/" + pathSegment(s.Server) + "/disconnect"
	}
	if s.ExpiresAt != nil && !s.renewable {
		c.ExpiresAt = *s.ExpiresAt
	}
	return c
}

// stranger tells somebody whom mcpo does not know how to be known.
func (h *Handler) stranger(w http.ResponseWriter, r *http.Request, refused *answer) {
	if !isBrowser(r) || h.opts.Key != "" && h.opts.StrictAuth {
		refused.write(w)
		return
	}
	why := "mcpo does not know who you are here."
	if m, ok := refused.detail.(message); ok {
		why = m.Message
	}
	pages.WriteOutcome(w, refused.status, pages.Outcome{
		Title: "Who are you?", Message: why,
		Hint: "Sign in to Open WebUI in this browser, or open a link that mcpo gave you in a chat. Then come back.",
	})
}

// serveDisconnect revokes and removes the caller's grant.
func (h *Handler) serveDisconnect(w http.ResponseWriter, r *http.Request, m *mount) {
	ownPage(w)
	who, refused := h.visitor(r, m)
	if refused != nil {
		refused.write(w)
		return
	}
	if err := h.readAny(w, r); err != nil {
		say(http.StatusBadRequest, "The request body is too large, or did not arrive whole. Disconnecting needs none.").write(w)
		return
	}
	if !h.sameSite(r) || isForm(r) && !h.formTokenFits(r, connectionsForm) {
		say(http.StatusForbidden, "This request comes from a page of another site, or from a form that is out of date. Open %s/connections and try again.", h.root).write(w)
		return
	}
	had, err := m.logins.Logout(r.Context(), who.ID)
	var unrevoked *oauth.NotRevokedError
	if err != nil && !errors.As(err, &unrevoked) {
		h.storeFailed(m, err).write(w)
		return
	}
	answer := map[string]any{"status": "disconnected", "server": m.server.Name(), "revoked": had && err == nil}
	if err != nil {
		h.opts.Log.Warn("the tokens were not revoked", "server", m.server.Name(), "error", err)
		answer["message"] = "mcpo has removed the login. It may still be valid at its authorization server; remove mcpo's access in your account there."
	}
	if isBrowser(r) {
		http.Redirect(w, r, h.root+"/connections", http.StatusSeeOther)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil {
		answerOf(err, m.server.Name(), "").write(w)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// readAny reads the body: a form, or whatever else a program may send.
func (h *Handler) readAny(w http.ResponseWriter, r *http.Request) (err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if isForm(r) {
		err = r.ParseForm()
	} else {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err == nil {
		h.bodyRead(w)
	}
	return err
}
