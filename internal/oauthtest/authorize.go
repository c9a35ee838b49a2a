package oauthtest

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// cookie tells who is signed in to the authorization server.
const cookie = "oauthtest_person"

const loginOver = "This login is over. Go back to the application and begin again."

// authorize begins a login (RFC 6749 §4.1.1): it checks what is asked for and
// shows the page that comes next.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, o Options, form url.Values) {
	c := s.client(r.Context(), o, form.Get("client_id"))
	redirect := form.Get("redirect_uri")
	switch {
	case c == nil:
		showError(w, "This application is not known here.")
		return
	case !c.anyRedirect && !slices.Contains(c.redirects, redirect) || redirect == "":
		showError(w, "The application's redirect URI is not one that it registered.")
		return
	}
	q := &question{client: c.id, name: cmp.Or(c.name, c.id), redirect: redirect, state: form.Get("state"),
		challenge: form.Get("code_challenge"), scopes: strings.Fields(form.Get("scope")),
		resource: cmp.Or(strings.TrimSuffix(form.Get("resource"), "/"), s.MCP)}
	if refused := s.questionRefused(o, form, q.scopes); refused != nil {
		s.sendBack(w, r, o, q, url.Values{"error": {refused.code}, "error_description": {refused.description}})
		return
	}
	if len(q.scopes) == 0 {
		q.scopes = []string{scopeMCP}
	}
	q.offline = refreshable(o, c, q, form)
	if o.AutoApprove {
		q.user = cmp.Or(o.User, "alice")
		s.approve(w, r, o, q)
		return
	}
	id := rand.Text()
	s.mu.Lock()
	q.user = s.person(r)
	s.records.questions[id] = q
	shown := *q
	s.mu.Unlock()
	showQuestion(w, id, shown)
}

// questionRefused says what is wrong with an authorization request.
func (s *Server) questionRefused(o Options, form url.Values, scopes []string) *refusal {
	resource := form.Get("resource")
	known := s.scopes(o)
	switch {
	case repeats(form):
		return refuse("invalid_request", "a parameter is repeated")
	case form.Get("response_type") != "code":
		return refuse("unsupported_response_type", "response_type is not code")
	case form.Get("code_challenge") == "" && (o.PKCEMethods == nil || len(o.PKCEMethods) > 0):
		return refuse("invalid_request", "code_challenge is missing")
	case form.Get("code_challenge") != "" && form.Get("code_challenge_method") != "S256":
		return refuse("invalid_request", "code_challenge_method is not S256")
	case slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(known, scope) }):
		return refuse("invalid_scope", "a scope is not known")
	}
	if strings.TrimSuffix(resource, "/") == s.Second {
		return s.resourceRefused(o, resource, s.Second)
	}
	return s.resourceRefused(o, resource, s.MCP)
}

// resourceRefused checks resource (RFC 8707 §2) against what it has to be.
func (s *Server) resourceRefused(o Options, got, want string) *refusal {
	switch {
	case got != "" && o.RefuseResource:
		return refuse("invalid_target", "resource is not supported")
	case got == "" && (o.OptionalResource || o.RefuseResource):
		return nil
	case got == "":
		return refuse("invalid_target", "resource is missing")
	case strings.TrimSuffix(got, "/") != strings.TrimSuffix(want, "/"):
		return refuse("invalid_target", "resource is not known")
	}
	return nil
}

// refreshable tells whether a grant comes with refresh tokens.
func refreshable(o Options, c *client, q *question, form url.Values) bool {
	name, value, _ := strings.Cut(o.RefreshWith, "=")
	switch {
	case o.NoRefreshTokens, !c.refreshes:
		return false
	case o.OfflineAccess && !slices.Contains(q.scopes, scopeOffline):
		return false
	}
	return o.RefreshWith == "" || form.Get(name) == value
}

// person is who sent r, "" for a stranger. The caller holds s.mu.
func (s *Server) person(r *http.Request) string {
	c, err := r.Cookie(cookie)
	if err != nil {
		return ""
	}
	return s.records.people[c.Value]
}

// login signs in whoever gives a name.
func (s *Server) login(w http.ResponseWriter, r *http.Request, form url.Values) {
	id, user := form.Get("question"), strings.TrimSpace(form.Get("username"))
	value := rand.Text()
	s.mu.Lock()
	q := s.records.questions[id]
	if q == nil {
		s.mu.Unlock()
		showError(w, loginOver)
		return
	}
	named := user != "" && r.Method == http.MethodPost
	if named {
		s.records.people[value] = user
		q.user = user
	}
	shown := *q
	s.mu.Unlock()
	if named {
		http.SetCookie(w, &http.Cookie{Name: cookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	showQuestion(w, id, shown)
}

// consent takes the person's answer.
func (s *Server) consent(w http.ResponseWriter, r *http.Request, o Options, form url.Values) {
	id, decision := form.Get("question"), form.Get("decision")
	s.mu.Lock()
	q := s.records.questions[id]
	mine := q != nil && q.user != "" && s.person(r) == q.user && r.Method == http.MethodPost
	if mine {
		delete(s.records.questions, id)
	}
	s.mu.Unlock()
	switch {
	case !mine:
		showError(w, loginOver)
	case decision == "approve":
		s.approve(w, r, o, q)
	default:
		s.sendBack(w, r, o, q, url.Values{"error": {"access_denied"}, "error_description": {"The person said no."}})
	}
}

// approve answers with a code (RFC 6749 §4.1.2).
func (s *Server) approve(w http.ResponseWriter, r *http.Request, o Options, q *question) {
	if o.AuthorizeError != "" {
		s.sendBack(w, r, o, q, url.Values{"error": {o.AuthorizeError}, "error_description": {o.ErrorDescription}})
		return
	}
	if o.GrantedScope != "" {
		q.scopes = strings.Fields(o.GrantedScope)
	}
	id := "code-" + rand.Text()
	s.mu.Lock()
	s.records.codes[id] = &code{question: *q, expires: s.now().Add(cmp.Or(o.CodeTTL, time.Minute))}
	s.mu.Unlock()
	s.sendBack(w, r, o, q, url.Values{"code": {id}})
}

// sendBack redirects to the client with state and, as RFC 9207 has it, issuer.
func (s *Server) sendBack(w http.ResponseWriter, r *http.Request, o Options, q *question, with url.Values) {
	u, err := url.Parse(q.redirect)
	if err != nil {
		showError(w, "The application's redirect URI is not a URL.")
		return
	}
	if state := cmp.Or(o.State, q.state); state != "" {
		with.Set("state", state)
	}
	issuer := s.Issuer
	if o.IssuerSlash {
		issuer += "/"
	}
	switch o.Iss {
	case IssAdvertised, IssUnadvertised:
		with.Set("iss", issuer)
	case IssWrong:
		with.Set("iss", "https://elsewhere.example")
	case IssNormalised:
		with.Set("iss", "HTTP"+strings.TrimPrefix(issuer, "http"))
	}
	query := u.Query()
	for name, values := range with {
		query[name] = values
	}
	u.RawQuery = query.Encode()
	// 303 makes a browser forget the form that it came from.
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}
