package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

// LoginTime is how long a person may take to log in.
const LoginTime = 10 * time.Minute

// login is an authorization in progress. It is kept under its state, and taken
// from there once.
type login struct {
	Server string `json:"server"`
	// URL is the server's: what the code gives is for that address, and for
	// none that a reload has put in its place.
	URL          string       `json:"url"`
	Caller       string       `json:"caller"`
	Issuer       string       `json:"issuer"`
	Registration registration `json:"registration"`
	RedirectURI  string       `json:"redirect_uri"`
	Resource     string       `json:"resource,omitempty"`
	Scopes       []string     `json:"scopes,omitempty"`
	Verifier     string       `json:"verifier"`
	// Browser is the hash of the cookie of the browser that began, "" when mcpo
	// could not know it, as when it opened the browser itself.
	Browser string `json:"browser,omitempty"`
	// WantsIss says that the answer must name its issuer (RFC 9207 §2.4).
	WantsIss bool `json:"wants_iss,omitempty"`
}

func loginKey(state string) store.Key {
	return store.Key{Kind: store.Logins, Name: hashed(state)}
}

// Begun is a login that waits for its person.
type Begun struct {
	// URL is the authorization server's page.
	URL string
	// State is the login's own secret (RFC 6749 §10.12).
	State string
	// RedirectURI is where the browser comes back to.
	RedirectURI string
	// Pasted says that nobody answers there: the person has to copy the address
	// that the browser ends at.
	Pasted bool
	// Outcome gives one value when the wait is over: nil when the caller is
	// logged in, else what Finish says, or why it was given up.
	Outcome <-chan error
	// Done gives the login up, and closes the loopback port if nothing else
	// waits there. It may be called more than once, and after the outcome.
	Done func()
}

// Begin starts a login for a caller. browser is the secret cookie of the
// browser that asks, or "". With a redirect URI at the loopback port the port
// is open when Begin returns, for LoginTime at most. Errors are
// [ErrTooManyLogins], *[PortInUseError], *[DiscoveryError], *[TokenError], or
// those of the network and the store.
func (a *Authorizer) Begin(ctx context.Context, who caller.ID, browser string) (*Begun, error) {
	if !a.mayBegin(who) {
		return nil, ErrTooManyLogins
	}
	redirectURI := a.RedirectURI(who)
	done, elsewhere, err := a.openPort(ctx, redirectURI)
	if err != nil {
		return nil, err
	}
	b, err := a.begin(ctx, who, redirectURI, browser)
	if err != nil {
		done()
		a.forget()
		return nil, err
	}
	if elsewhere {
		if err := a.handOver(ctx, who, b); err != nil {
			return nil, err
		}
		return b, nil
	}
	a.waits(ctx, who, b, done)
	return b, nil
}

func (a *Authorizer) begin(ctx context.Context, who caller.ID, redirectURI, browser string) (*Begun, error) {
	d, err := a.Discover(ctx)
	if err != nil {
		return nil, err
	}
	r, err := a.register(ctx, d.Metadata, redirectURI, who)
	if err != nil {
		return nil, err
	}
	l := &login{Server: a.name, URL: a.url.String(), Caller: who.String(), Issuer: d.Metadata.Issuer, Registration: *r, RedirectURI: redirectURI,
		Resource: d.Indicator, Scopes: a.scopesFor(d, who), Verifier: newVerifier(), WantsIss: d.Metadata.IssInCallback}
	if browser != "" {
		l.Browser = hashed(browser)
	}
	state := random()
	to, err := a.authorizationURL(d.Metadata, l, state)
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	if err := a.store.Put(ctx, store.Record{Key: loginKey(state), Value: value, Expires: time.Now().Add(LoginTime)}); err != nil {
		return nil, fmt.Errorf("keeping the login: %w", err)
	}
	return &Begun{URL: to, State: state, RedirectURI: redirectURI, Pasted: a.Pasted(who)}, nil
}

// authorizationURL is the authorization request (RFC 6749 §4.1.1, RFC 7636
// §4.3, RFC 8707 §2.1).
func (a *Authorizer) authorizationURL(m *Metadata, l *login, state string) (string, error) {
	u, err := a.guard.checkEndpoint("authorization_endpoint", m.AuthorizationEndpoint)
	if err != nil {
		return "", err
	}
	q := u.Query()
	if len(l.Scopes) > 0 {
		q.Set("scope", strings.Join(l.Scopes, " "))
	}
	if slices.Contains(l.Scopes, "offline_access") {
		q.Set("prompt", "consent") // OpenID Connect Core §11
	}
	for name, value := range a.cfg.AuthorizeParams {
		q.Set(name, value)
	}
	q.Set("response_type", "code")
	q.Set("client_id", l.Registration.ClientID)
	q.Set("redirect_uri", l.RedirectURI)
	q.Set("state", state)
	q.Set("code_challenge", challengeOf(l.Verifier))
	q.Set("code_challenge_method", "S256")
	if l.Resource != "" {
		q.Set("resource", l.Resource)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Finish ends a login with what the browser brought to the redirect URI:
// query, and the secret cookie of that browser, if any. It returns whose login
// it was. Errors are [ErrUnknownLogin], [ErrOtherBrowser], [ErrIssuer],
// [ErrNoCode], *[DeniedError], *[TokenError], or those of the network and the
// store. Whatever comes, the state cannot be used again.
func (a *Authorizer) Finish(ctx context.Context, query url.Values, browser string) (caller.ID, error) {
	if err := a.enter(); err != nil {
		return caller.ID{}, err
	}
	defer a.working.Done()
	l, err := a.takeLogin(ctx, query)
	if err != nil {
		return caller.ID{}, err
	}
	who, err := a.finish(ctx, l, query, browser)
	a.happened(LoggedIn, who, err)
	a.finished(query.Get("state"), err)
	return who, err
}

func (a *Authorizer) finish(ctx context.Context, l *login, query url.Values, browser string) (caller.ID, error) {
	who := caller.FromStore(l.Caller)
	code, err := l.check(query, browser)
	if err != nil {
		return who, err
	}
	// The exchange spends the code: nobody's leaving may end it half way.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTime)
	defer cancel()
	g, err := a.exchange(ctx, l, code)
	if err != nil {
		if unknownRegistration(err) {
			a.log.Warn("the authorization server does not know mcpo's registration; the next login registers again", "issuer", l.Issuer)
		}
		a.forget()
		return who, fmt.Errorf("exchanging the code: %w", err)
	}
	if err := a.keep(ctx, who, g); err != nil {
		return who, err
	}
	a.log.Info("logged in", "caller", who.String(), "issuer", g.Issuer, "scopes", strings.Join(g.Scopes, " "), "expires", g.Expiry)
	a.changed(who)
	return who, nil
}

// takeLogin finds the login by its state, for the last time.
func (a *Authorizer) takeLogin(ctx context.Context, query url.Values) (*login, error) {
	states := query["state"]
	if len(states) != 1 || states[0] == "" || len(states[0]) > 200 {
		return nil, ErrUnknownLogin
	}
	key := loginKey(states[0])
	if _, err := a.readLogin(a.store.Get(ctx, key)); err != nil { // another server's stays there for it
		return nil, err
	}
	return a.readLogin(a.store.Take(ctx, key))
}

// readLogin reads a record that the store gave, which has to be a login here.
func (a *Authorizer) readLogin(record store.Record, err error) (*login, error) {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return nil, ErrUnknownLogin
	}
	if err != nil {
		return nil, fmt.Errorf("reading the login: %w", err)
	}
	l := &login{}
	if err := json.Unmarshal(record.Value, l); err != nil || l.Server != a.name || l.Caller == "" || !sameURL(l.URL, a.url.String()) {
		return nil, ErrUnknownLogin
	}
	return l, nil
}

// check holds the answer to come from where the login was sent, by the browser
// that was sent there (RFC 6749 §4.1.2, RFC 9207 §2.4), and gives the code.
func (l *login) check(query url.Values, browser string) (code string, err error) {
	if l.Browser != "" && l.Browser != hashed(browser) {
		return "", ErrOtherBrowser
	}
	if iss := query["iss"]; len(iss) > 1 || len(iss) == 1 && iss[0] != l.Issuer || len(iss) == 0 && l.WantsIss {
		return "", ErrIssuer
	}
	if query.Has("error") {
		return "", &DeniedError{Code: clean(query.Get("error"), 64), Description: clean(query.Get("error_description"), 300)}
	}
	if codes := query["code"]; len(codes) != 1 || codes[0] == "" {
		return "", ErrNoCode
	}
	return query.Get("code"), nil
}

// Knows reports whether a login with this state waits.
func (a *Authorizer) Knows(ctx context.Context, state string) bool {
	return a.knows(ctx, loginKey(state))
}

func (a *Authorizer) knows(ctx context.Context, key store.Key) bool {
	_, err := a.readLogin(a.store.Get(ctx, key))
	return err == nil
}

// FinishPasted ends a login with the address that a person copied from the
// browser. An address without a code leaves the login as it is, so that it can
// be asked for again.
func (a *Authorizer) FinishPasted(ctx context.Context, text, state, browser string) (caller.ID, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || !u.Query().Has("code") && !u.Query().Has("error") {
		return caller.ID{}, ErrNoCode
	}
	query := u.Query()
	if state != "" && query.Get("state") != state {
		return caller.ID{}, ErrUnknownLogin
	}
	return a.Finish(ctx, query, browser)
}
