package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// tokens is a successful answer of the token endpoint (RFC 6749 §5.1).
type tokens struct {
	access, refresh string
	// scopes are those granted; nil when the answer does not say, which means
	// those that were asked for.
	scopes []string
	life   time.Duration // 0 when the answer does not say
}

// lostError is a request that may have arrived, and whose answer did not.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

// tokenRequest asks the token endpoint. Errors are *TokenError for answers, and
// those of the network: *lostError once there was a connection.
func (a *Authorizer) tokenRequest(ctx context.Context, m *Metadata, r *registration, form url.Values) (tokens, error) {
	u, err := a.guard.checkEndpoint("token_endpoint", m.TokenEndpoint)
	if err != nil {
		return tokens{}, err
	}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	got, err := a.guard.postForm(ctx, u, form, r.authenticate(form))
	if err != nil && connected.Load() {
		return tokens{}, &lostError{err}
	}
	if err != nil {
		return tokens{}, err
	}
	o, err := got.object()
	if err != nil && got.status/100 == 2 && !got.json { // a form, as some servers answer whatever they were asked for
		o, err = formObject(got.body)
	}
	if got.status/100 != 2 || o.has("error") {
		return tokens{}, tokenError(got, o, r.Secret, form.Get("code"), form.Get("code_verifier"), form.Get("refresh_token"))
	}
	if err != nil {
		return tokens{}, err
	}
	return readTokens(o)
}

// authenticate puts our id, and the secret if there is one, where the token
// endpoint wants them (RFC 6749 §2.3.1). The id is in the form in any case: with
// Basic it says nothing new, and some servers look for it there.
func (r *registration) authenticate(form url.Values) func(http.Header) {
	form.Set("client_id", r.ClientID)
	switch r.AuthMethod {
	case authBasic:
		return func(h http.Header) {
			basic := http.Request{Header: h}
			basic.SetBasicAuth(url.QueryEscape(r.ClientID), url.QueryEscape(r.Secret))
		}
	case authPost:
		form.Set("client_secret", r.Secret)
	}
	return nil
}

// tokenError reads an error answer, whose body may be anything: some servers
// repeat in it what they were sent, which is taken out.
func tokenError(got answer, o object, sent ...string) *TokenError {
	var pairs []string
	for _, secret := range sent {
		if secret != "" {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	redact := strings.NewReplacer(pairs...).Replace
	e := &TokenError{Status: got.status, Code: clean(redact(o.text("error")), 64), Description: clean(redact(o.text("error_description")), 200)}
	if strings.ContainsFunc(e.Code, func(r rune) bool { return r <= ' ' || r > '~' }) {
		e.Code = ""
	}
	return e
}

// formObject reads a form as if it were JSON.
func formObject(body []byte) (object, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("access_token") == "" && form.Get("error") == "" {
		return nil, errors.New("the answer is no JSON object")
	}
	o := object{}
	for name := range form {
		o[name] = quote(form.Get(name))
	}
	return o, nil
}

func readTokens(o object) (tokens, error) {
	t := tokens{access: o.text("access_token"), refresh: o.text("refresh_token")}
	if t.access == "" || len(t.access) > 64<<10 || !printable(t.access) || strings.Contains(t.access, " ") {
		return tokens{}, errors.New("the authorization server's answer has no usable access_token")
	}
	if len(t.refresh) > 64<<10 {
		return tokens{}, errors.New("the authorization server's refresh_token is larger than 64 kB")
	}
	if kind := o.text("token_type"); kind != "" && !strings.EqualFold(kind, "Bearer") {
		return tokens{}, fmt.Errorf("the authorization server gives tokens of type %q, which mcpo cannot use", clean(kind, 50))
	}
	if scopes := strings.Fields(o.text("scope")); len(scopes) > 0 {
		t.scopes = limited(scopes)
	}
	t.life, _ = o.seconds("expires_in")
	return t, nil
}

// exchange trades a code for a grant (RFC 6749 §4.1.3).
func (a *Authorizer) exchange(ctx context.Context, l *login, code string) (*grant, error) {
	m, err := a.metadata(ctx, l.Issuer)
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {l.RedirectURI}, "code_verifier": {l.Verifier}}
	if l.Resource != "" {
		form.Set("resource", l.Resource) // RFC 8707 §2.2
	}
	now := time.Now()
	t, err := a.tokenRequest(ctx, m, &l.Registration, form)
	if err != nil {
		return nil, err
	}
	g := &grant{Server: a.url.String(), Issuer: l.Issuer, Resource: l.Resource, Registration: l.Registration, Scopes: l.Scopes, Since: now}
	g.take(t, now)
	return g, nil
}

// refresh trades the refresh token for a new grant (RFC 6749 §6).
func (a *Authorizer) refresh(ctx context.Context, g *grant) (*grant, error) {
	m, err := a.metadata(ctx, g.Issuer)
	if err != nil {
		return nil, err
	}
	r := g.Registration
	if byHand := a.byHand(m); byHand != nil && byHand.ClientID == r.ClientID {
		r = *byHand // its secret may have been changed
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.RefreshToken}}
	if g.Resource != "" {
		form.Set("resource", g.Resource)
	}
	now := time.Now()
	t, err := a.tokenRequest(ctx, m, &r, form)
	if err != nil {
		return nil, err
	}
	next := *g
	next.Spending, next.Mark, next.Lost = "", "", ""
	next.take(t, now)
	return &next, nil
}
