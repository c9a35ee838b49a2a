package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"mcpo/internal/caller"
	"mcpo/internal/httpapi/pages"
	"mcpo/internal/oauth"
)

// ownPage prepares an answer that is for nobody but the browser that asked.
func ownPage(w http.ResponseWriter) {
	for name := range w.Header() {
		if strings.HasPrefix(name, "Access-Control-") {
			w.Header().Del(name)
		}
	}
}

// serveConnect is the link's page: it says what is to be connected for whom,
// and asks. Only what a person sends from there uses the link up and begins the
// login.
func (h *Handler) serveConnect(w http.ResponseWriter, r *http.Request, m *mount) {
	ownPage(w)
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.Method != http.MethodPost {
		h.askToConnect(w, r, m)
		return
	}
	if !isForm(r) {
		say(http.StatusUnsupportedMediaType, "This page takes its own form only. Open the link in a browser.").write(w)
		return
	}
	if err := r.ParseForm(); err != nil {
		h.outcome(w, m, errForm)
		return
	}
	h.bodyRead(w)
	if !h.sameSite(r) || !h.formTokenFits(r, m.server.Name()) {
		h.outcome(w, m, errForm)
		return
	}
	if r.PostForm.Has("callback_url") {
		h.finishPasted(w, r, m)
		return
	}
	h.begin(w, r, m, h.browserOf(r))
}

// askToConnect shows the question. Looking at it, as programs do that preview
// links, changes nothing.
func (h *Handler) askToConnect(w http.ResponseWriter, r *http.Request, m *mount) {
	who, err := m.logins.TicketOf(r.Context(), r.URL.Query().Get("ticket"))
	if err != nil {
		h.outcome(w, m, err)
		return
	}
	if known, err := isSignedIn(r, m, who.ID); err != nil {
		h.outcome(w, m, err)
		return
	} else if known && isVisit(r) {
		h.begin(w, r, m, h.browser(w, r))
		return
	}
	pages.WriteConnect(w, http.StatusOK, pages.Connect{
		Server: m.server.Name(), Account: account(who), CSRF: formToken(h.browser(w, r), m.server.Name()),
		AnyHTTP: strings.HasPrefix(h.opts.PublicURL, "http://"), Connections: h.opts.PublicURL + "/connections",
	})
}

// isVisit reports whether a person opens a page, and no program looks at it
// beforehand, as browsers do that prefetch what may be opened next.
func isVisit(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Purpose") == "" && r.Header.Get("Purpose") == "" && r.Header.Get("X-Moz") == ""
}

// isSignedIn reports whether the browser is verifiably that of the caller, who
// then need not be asked. The error is errOtherUser when it is another's.
func isSignedIn(r *http.Request, m *mount, who caller.ID) (bool, error) {
	if !who.IsOne() {
		return false, nil
	}
	people := signedIn(r, m)
	for _, p := range people {
		if p.ID != who {
			return false, errOtherUser
		}
	}
	return len(people) > 0, nil
}

// account names for people whose login it is.
func account(who caller.Person) string {
	switch {
	case who.ID == caller.Shared():
		return "everybody who uses this mcpo"
	case who.ID == caller.Local():
		return "you, on this machine"
	case who.Label != "":
		return who.Label
	}
	return who.ID.Name()
}

// begin uses the link up and sends the browser to log in.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, m *mount, browser string) {
	who, err := m.logins.UseTicket(r.Context(), r.URL.Query().Get("ticket"))
	if err != nil {
		h.outcome(w, m, err)
		return
	}
	if _, err := isSignedIn(r, m, who.ID); err != nil {
		h.outcome(w, m, err)
		return
	}
	secret := newSecret()
	begun, err := m.logins.Begin(r.Context(), who.ID, secret)
	if err != nil {
		h.outcome(w, m, err)
		return
	}
	h.begunHere(w, r, begun.State, secret)
	if !begun.Pasted {
		http.Redirect(w, r, begun.URL, http.StatusSeeOther)
		return
	}
	pages.WriteConnect(w, http.StatusOK, pages.Connect{
		Server: m.server.Name(), Account: account(who), CSRF: formToken(browser, m.server.Name()), Paste: true, AuthorizationURL: begun.URL,
	})
}

// finishPasted takes the address that a person copied. A wrong one can be
// corrected.
func (h *Handler) finishPasted(w http.ResponseWriter, r *http.Request, m *mount) {
	address := r.PostFormValue("callback_url")
	_, err := m.logins.FinishPasted(r.Context(), address, "", h.cookie(r, loginCookie, stateIn(address)))
	if wrong := pasteAgain(err); wrong != "" {
		pages.WriteConnect(w, http.StatusBadRequest, pages.Connect{
			Server: m.server.Name(), Account: account(caller.Person{ID: m.first()}), CSRF: formToken(h.browserOf(r), m.server.Name()), Paste: true,
			Error: wrong,
		})
		return
	}
	h.outcome(w, m, err)
}

// stateIn is the state in an address that was pasted; "" when it has none.
func stateIn(address string) string {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		return ""
	}
	return u.Query().Get("state")
}

// pasteAgain says what was wrong with an address, where another one may be
// right; "" elsewhere.
func pasteAgain(err error) string {
	switch {
	case errors.Is(err, oauth.ErrNoCode):
		return "No authorization code found. Copy the complete callback URL from the browser's address bar, with everything behind the question mark."
	case errors.Is(err, oauth.ErrUnknownLogin):
		return "That address belongs to another login (its state differs), or to one that is over. Copy the one that signing in just led to, or ask for a new link."
	}
	return ""
}

// serveCallback finishes the login that a browser comes back from.
func (h *Handler) serveCallback(w http.ResponseWriter, r *http.Request, m *mount) {
	ownPage(w)
	state := r.URL.Query().Get("state")
	secret := h.cookie(r, loginCookie, state)
	who, err := m.logins.Finish(r.Context(), r.URL.Query(), secret)
	if secret != "" && !errors.Is(err, oauth.ErrUnknownLogin) {
		h.dropCookie(w, h.cookieName(loginCookie, state))
	}
	if err == nil && secret != "" {
		h.visited(w, r, m, who)
	}
	h.outcome(w, m, err)
}

// ServeCallback finishes a login at the loopback port, whichever server it is
// for.
func (h *Handler) ServeCallback(w http.ResponseWriter, r *http.Request) {
	if !kindCallback.allows(r.Method) {
		refuseMethod(w, r, kindCallback)
		return
	}
	if state := r.URL.Query().Get("state"); state != "" {
		if m := h.waiting(r.Context(), state); m != nil {
			h.serveCallback(w, r, m)
			return
		}
	}
	h.outcome(w, nil, oauth.ErrUnknownLogin)
}

func (h *Handler) waiting(ctx context.Context, state string) *mount {
	for _, m := range h.current.Load().servers {
		if m.logins != nil && m.logins.Knows(ctx, state) {
			return m
		}
	}
	return nil
}

// errForm is a form that did not come from our page, or came too late.
var errForm = errors.New("the form did not come from the page that asks, in this browser")

// outcome tells a person how the login ended. m is nil when it is not known
// which it was.
func (h *Handler) outcome(w http.ResponseWriter, m *mount, err error) {
	name := "the server"
	if m != nil {
		name = m.server.Name()
	}
	status, page := outcomeOf(err, name)
	strange := errors.Is(err, oauth.ErrUnknownLogin) || errors.Is(err, errForm) // anybody can make these happen
	if err != nil && (!strange || h.writesLogin()) {
		h.opts.Log.Warn("a login was not finished", "server", name, "error", err)
	}
	if m != nil {
		page.Connections = h.opts.PublicURL + "/connections"
	}
	pages.WriteOutcome(w, status, page)
}

const openAgain = "Ask for a new link, or run: mcpo login "

// outcomeOf words the outcome of a login for people. What a stranger wrote is
// shown only where it comes from the authorization server that was asked.
func outcomeOf(err error, server string) (int, pages.Outcome) {
	var (
		denied    *oauth.DeniedError
		refused   *oauth.TokenError
		discovery *oauth.DiscoveryError
		port      *oauth.PortInUseError
		o         = pages.Outcome{Title: "Not connected", Hint: openAgain + server}
		status    = http.StatusBadRequest
	)
	switch {
	case err == nil:
		return http.StatusOK, pages.Outcome{OK: true, Title: "Connected", Message: "Connected. You can close this tab."}
	case errors.Is(err, oauth.ErrUnknownLogin):
		o.Message = "This login is unknown, was finished already, or has run out."
	case errors.Is(err, oauth.ErrOtherBrowser):
		o.Message = "This login was begun in another browser. Nothing was connected."
	case errors.Is(err, oauth.ErrIssuer):
		o.Message = "The answer does not come from the login page that was asked. Nothing was connected."
	case errors.Is(err, oauth.ErrNoCode):
		o.Message = "No authorization code found."
	case errors.Is(err, oauth.ErrTooManyLogins):
		status = http.StatusTooManyRequests
		o.Message = "Too many logins were begun. Wait a moment and try again."
	case errors.Is(err, errOtherUser):
		status = http.StatusForbidden
		o.Message = "You are signed in to Open WebUI as somebody else than the one this link is for. Nothing was connected."
		o.Hint = "Ask for a link of your own in your own chat."
	case errors.Is(err, errForm):
		o.Message = "This form is out of date, or your browser does not keep cookies. Open the link again."
	case errors.As(err, &denied) && denied.Code == "access_denied":
		o.Message = "You refused, so " + server + " is not connected."
	case errors.As(err, &denied):
		o.Message = "The login page answered " + denied.Code + "."
		if denied.Description != "" {
			o.Message = "The login page answered " + denied.Code + ": " + denied.Description
		}
	case oauth.StoreUnavailable(err):
		status = http.StatusServiceUnavailable
		o.Message = "mcpo cannot reach the database that keeps the logins now. Nothing is lost."
		o.Hint = "Ask for a new link in a moment."
	case errors.As(err, &refused), errors.As(err, &discovery), errors.As(err, &port):
		status = http.StatusBadGateway
		o.Message = "Connecting failed: " + err.Error()
		o.Hint = "Tell whoever runs this mcpo. The command mcpo doctor finds out more."
	default:
		status = http.StatusBadGateway
		o.Message = "The authorization server cannot be reached now, or did not answer as it should."
		o.Hint = "Ask for a new link in a moment. The log of mcpo says more."
	}
	return status, o
}
