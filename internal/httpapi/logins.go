package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/oauth"
	"mcpo/internal/openapi"
	"mcpo/internal/wire"
)

// loginDetail is the detail of a 401 that a login puts right. Its message is
// written for a model that tells a person.
type loginDetail struct {
	// Error is authentication_required, or token_expired where there was a
	// login before.
	Error            string `json:"error"`
	Message          string `json:"message"`
	AuthorizationURL string `json:"authorization_url"`
	Server           string `json:"server"`
}

// loginError turns an error of a server that wants a login into the answer with
// the link; other errors stay as they are.
func (h *Handler) loginError(ctx context.Context, m *mount, who caller.Person, err error) error {
	if m.logins == nil || err == nil {
		return err
	}
	code, need := "authentication_required", "your permission"
	var required *oauth.LoginRequiredError
	var status *wire.StatusError
	switch {
	case errors.As(err, &required):
		if required.Gone {
			code = "token_expired"
		}
	case errors.As(err, &status) && lacksScope(status):
		need = "more permission for this"
		if !m.logins.MoreScopes(who.ID) {
			return say(http.StatusForbidden, "%s refuses this. It asks for permission that your account there does not give; ask whoever runs it.", m.server.Name())
		}
	default:
		return err
	}
	link, err := h.connectURL(ctx, m, who)
	if err != nil {
		return h.storeFailed(m, err)
	}
	return &answer{status: http.StatusUnauthorized, header: http.Header{"Www-Authenticate": {`Bearer realm="mcpo login"`}}, detail: loginDetail{
		Error: code, AuthorizationURL: link, Server: m.server.Name(),
		Message: m.server.Name() + " needs " + need + ". Open " + link + ", sign in, then ask me again.",
	}}
}

// lacksScope reports whether a server refuses a token for want of scopes (RFC
// 6750 §3.1).
func lacksScope(e *wire.StatusError) bool {
	c, ok := oauth.ParseChallenge(e.Header)
	return ok && e.Code == http.StatusForbidden && c.Error == "insufficient_scope"
}

// connectURL is the link with which the caller begins a login.
func (h *Handler) connectURL(ctx context.Context, m *mount, who caller.Person) (string, error) {
	ticket, err := m.logins.Ticket(ctx, who)
	if err != nil {
		return "", err
	}
	return h.publicURL(m.logins.RedirectURI(who.ID)) + "/oauth/" + url.PathEscape(m.server.Name()) + "/authorize?ticket=" + ticket, nil
}

// publicURL is the public URL for a browser that comes back to redirectURI. On
// this machine that may have the other one of the names localhost and
// 127.0.0.1; the link then has it too, for a browser shows its cookies only under
// the name that it got them from.
func (h *Handler) publicURL(redirectURI string) string {
	const name, address = "localhost", "127.0.0.1"
	public, err := url.Parse(h.opts.PublicURL)
	back, backErr := url.Parse(redirectURI)
	if err != nil || backErr != nil || public.Scheme != "http" {
		return h.opts.PublicURL
	}
	from, to := public.Hostname(), back.Hostname()
	if from == name && to == address || from == address && to == name {
		public.Host = strings.Replace(public.Host, from, to, 1)
	}
	return public.String()
}

// loginOperation describes GET /login in the document of a caller who has to
// log in.
func (m *mount) loginOperation() *openapi.Login {
	name := m.server.Name()
	return &openapi.Login{
		OperationID: "connect_" + name, Summary: "Connect " + name,
		Description: "Find out whether the user is connected to " + name + ", whose tools need the user's login. If not, the answer holds a link: " +
			"show it to the user in full and ask them to open it, sign in, and ask again.",
	}
}

// serveLogin answers whether the caller is logged in, and how to: in JSON, or by
// going there where a browser asks.
func (h *Handler) serveLogin(w http.ResponseWriter, r *http.Request, m *mount) {
	who, refused := h.visitor(r, m)
	if refused != nil {
		h.stranger(w, r, refused)
		return
	}
	err := h.connected(r.Context(), m, who.ID)
	if err == nil && isBrowser(r) {
		h.outcome(w, m, nil)
		return
	}
	if err == nil {
		writeJSON(w, http.StatusOK, []byte(`{"status":"connected"}`))
		return
	}
	err = h.loginError(r.Context(), m, who, err)
	h.talkOf(r, m, who.ID, "", "").end(err, who.ID, &h.hopes)
	a := answerOf(err, m.server.Name(), "")
	if detail, ok := a.detail.(loginDetail); ok && isBrowser(r) {
		http.Redirect(w, r, detail.AuthorizationURL, http.StatusSeeOther)
		return
	}
	a.write(w)
}

// connected gives nil when the caller's tools can be called. Tools that were read
// outlive a login that the server has ceased to accept.
func (h *Handler) connected(ctx context.Context, m *mount, who caller.ID) error {
	if _, err := m.server.Ready(ctx, who); err != nil {
		return err
	}
	if s, err := m.logins.Status(ctx, who); err == nil && !s.Authenticated {
		return &oauth.LoginRequiredError{Server: m.server.Name(), Gone: true}
	}
	return nil
}

// isBrowser reports whether a page is wanted rather than JSON.
func isBrowser(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "text/html") && !strings.HasPrefix(accept, "application/json")
}

// loginStatus is what is told of a caller's grant. It never holds a token.
type loginStatus struct {
	Server        string     `json:"server"`
	Authenticated bool       `json:"authenticated"`
	User          string     `json:"user"`
	ExpiresAt     *time.Time `json:"expires_at"` // of the access token; null when not known
	Scopes        []string   `json:"scopes"`
	renewable     bool       // the access token, before it runs out
	since         time.Time  // the login; zero when not known
}

func (h *Handler) statusOf(ctx context.Context, m *mount, who caller.ID) (loginStatus, error) {
	s, err := m.logins.Status(ctx, who)
	if err != nil {
		return loginStatus{}, err
	}
	status := loginStatus{Server: m.server.Name(), Authenticated: s.Authenticated, User: who.Name(), Scopes: s.Scopes, renewable: s.Renewable, since: s.Since}
	if status.Scopes == nil {
		status.Scopes = []string{}
	}
	if !s.ExpiresAt.IsZero() {
		at := s.ExpiresAt.UTC().Truncate(time.Second)
		status.ExpiresAt = &at
	}
	return status, nil
}

func (h *Handler) serveStatus(w http.ResponseWriter, r *http.Request, m *mount) {
	who, refused := h.who(r, m)
	if refused != nil {
		refused.write(w)
		return
	}
	status, err := h.statusOf(r.Context(), m, who.ID)
	if err != nil {
		h.storeFailed(m, err).write(w)
		return
	}
	body, err := json.Marshal(status)
	if err != nil {
		answerOf(err, m.server.Name(), "").write(w)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, body)
}

// storeFailed logs why grants cannot be reached and says no more than that.
func (h *Handler) storeFailed(m *mount, err error) *answer {
	if oauth.StoreUnavailable(err) {
		return storeUnavailable() // the store itself logs when that begins and ends
	}
	h.opts.Log.Error("the stored logins cannot be reached", "server", m.server.Name(), "error", err)
	return say(http.StatusInternalServerError, "mcpo cannot reach the logins that it keeps. The operator's log says why.")
}

// serveClientDocument serves mcpo's Client ID Metadata Document, which stands
// for a registration where authorization servers take one.
func (h *Handler) serveClientDocument(w http.ResponseWriter, g *Generation) {
	var uris []string
	for _, m := range g.servers {
		if m.logins != nil {
			uris = append(uris, m.logins.RedirectURI(m.first()), m.logins.RedirectURI(caller.User("any")))
		}
	}
	slices.Sort(uris)
	body, err := oauth.Document(h.opts.PublicURL, slices.Compact(uris))
	if err != nil {
		answerOf(err, "", "").write(w)
		return
	}
	writeJSON(w, http.StatusOK, body)
}
