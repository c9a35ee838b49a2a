package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// TestState: an answer belongs to one login, which is waiting for it, once.
func TestState(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	for name, change := range map[string]func(*Authorizer, url.Values){
		"missing":  func(_ *Authorizer, q url.Values) { q.Del("state") },
		"empty":    func(_ *Authorizer, q url.Values) { q.Set("state", "") },
		"twice":    func(_ *Authorizer, q url.Values) { q.Add("state", q.Get("state")) },
		"another":  func(_ *Authorizer, q url.Values) { q.Set("state", random()) },
		"too long": func(_ *Authorizer, q url.Values) { q.Set("state", strings.Repeat("a", 1<<20)) },
		"run out": func(a *Authorizer, q url.Values) {
			key := loginKey(q.Get("state"))
			r, err := a.store.Get(context.Background(), key)
			if err == nil {
				r.Expires = time.Now().Add(-time.Second)
				err = a.store.Put(context.Background(), r)
			}
			if err != nil {
				panic(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := authorizer(t, s.MCP, nil)
			query := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
			change(a, query)
			refusesCallback(t, s, a, query, "", ErrUnknownLogin)
		})
	}
}

// refusesCallback checks that an answer is refused, that no code is sent, and
// nothing kept.
func refusesCallback(t testing.TB, s *oauthtest.Server, a *Authorizer, query url.Values, browser string, want error) {
	t.Helper()
	before := s.Requests("token")
	if _, err := a.Finish(testContext(t), query, browser); !errors.Is(err, want) {
		t.Errorf("Finish: %v, want %v", err, want)
	}
	if n := s.Requests("token") - before; n != 0 || kept(t, a, store.Grants) != 0 {
		t.Errorf("%d token requests, %d grants", n, kept(t, a, store.Grants))
	}
}

func TestStateIsUsedOnce(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := authorizer(t, s.MCP, nil)
	query := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
	if !a.Knows(testContext(t), query.Get("state")) {
		t.Error("the login is not known")
	}
	if _, err := a.Finish(testContext(t), query, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Finish(testContext(t), query, ""); !errors.Is(err, ErrUnknownLogin) {
		t.Errorf("the second time: %v", err)
	}
	if a.Knows(testContext(t), query.Get("state")) {
		t.Error("the login is still known")
	}
	if n := s.Requests("token"); n != 1 {
		t.Errorf("%d token requests", n)
	}
	works(t, a) // what the code gave has not been taken back
}

// TestStateOfAnotherServer: two servers share a store.
func TestStateOfAnotherServer(t *testing.T) {
	s, shared := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), store.NewMemory()
	a := authorizer(t, s.MCP, func(o *Options) { o.Store = shared })
	b := authorizer(t, s.MCP, func(o *Options) { o.Store, o.Server.Name = shared, "other" })
	query := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
	if b.Knows(testContext(t), query.Get("state")) {
		t.Error("the other server knows the login")
	}
	refusesCallback(t, s, b, query, "", ErrUnknownLogin)
	if _, err := a.Finish(testContext(t), query, ""); err != nil {
		t.Errorf("at its own server, after that: %v", err)
	}
}

// TestStateOfAFormerAddress: a reload gives the server another address while
// somebody logs in.
func TestStateOfAFormerAddress(t *testing.T) {
	s, shared := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), store.NewMemory()
	before := authorizer(t, s.MCP, func(o *Options) { o.Store = shared })
	after := authorizer(t, "https://mcp.example/mcp", func(o *Options) { o.Store = shared })
	query := browsed(t, begun(t, before).URL, oauthtest.BrowseOptions{})
	if after.Knows(testContext(t), query.Get("state")) {
		t.Error("the login is known at the new address")
	}
	refusesCallback(t, s, after, query, "", ErrUnknownLogin)
}

// TestParallelLogins: each keeps its own verifier, whatever order they end in.
func TestParallelLogins(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := authorizer(t, s.MCP, nil)
	first, second := begun(t, a), begun(t, a)
	one, two := browsed(t, first.URL, oauthtest.BrowseOptions{}), browsed(t, second.URL, oauthtest.BrowseOptions{})
	for _, query := range []url.Values{two, one} {
		if _, err := a.Finish(testContext(t), query, ""); err != nil {
			t.Errorf("Finish: %v", err)
		}
	}
	asked := func(b *Begun, name string) string {
		u, err := url.Parse(b.URL)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get(name)
	}
	for _, name := range []string{"state", "code_challenge"} {
		if asked(first, name) == asked(second, name) || len(asked(first, name)) != 43 {
			t.Errorf("%s: %q and %q", name, asked(first, name), asked(second, name))
		}
	}
	if m := asked(first, "code_challenge_method"); m != "S256" {
		t.Errorf("code_challenge_method is %q", m)
	}
}

// TestSwappedCodes: a code does not fit the verifier of another login.
func TestSwappedCodes(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := authorizer(t, s.MCP, nil)
	one, two := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{}), browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
	one.Set("code", two.Get("code"))
	var refused *TokenError
	if _, err := a.Finish(testContext(t), one, ""); !errors.As(err, &refused) || refused.Code != "invalid_grant" {
		t.Errorf("Finish: %v", err)
	}
	if n := kept(t, a, store.Grants); n != 0 {
		t.Errorf("%d grants", n)
	}
}

// TestOtherBrowser: the answer has to come from the browser that began.
func TestOtherBrowser(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	for name, browser := range map[string]string{"another": "cookie of another", "none": ""} {
		t.Run(name, func(t *testing.T) {
			a := authorizer(t, s.MCP, nil)
			b, err := a.Begin(testContext(t), who, "cookie")
			if err != nil {
				t.Fatal(err)
			}
			query := browsed(t, b.URL, oauthtest.BrowseOptions{})
			refusesCallback(t, s, a, query, browser, ErrOtherBrowser)
			refusesCallback(t, s, a, query, "cookie", ErrUnknownLogin)
		})
	}
	a := authorizer(t, s.MCP, nil)
	b, err := a.Begin(testContext(t), who, "cookie")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Finish(testContext(t), browsed(t, b.URL, oauthtest.BrowseOptions{}), "cookie"); err != nil || got != who {
		t.Errorf("in the same browser: %v, %v", got, err)
	}
}

// TestIssuer: an answer that names another issuer, or none where one was
// promised, leads to no token request, and its texts are not believed.
func TestIssuer(t *testing.T) {
	for name, iss := range map[string]oauthtest.Iss{
		"wrong": oauthtest.IssWrong, "missing": oauthtest.IssMissing, "normalised": oauthtest.IssNormalised,
	} {
		for _, failure := range []string{"", "access_denied"} {
			t.Run(name+" "+failure, func(t *testing.T) {
				s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Iss: iss, AuthorizeError: failure, ErrorDescription: "call this number"})
				a := authorizer(t, s.MCP, nil)
				query := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
				refusesCallback(t, s, a, query, "", ErrIssuer)
			})
		}
	}
}

// TestIssuerVariants: what is equal as a URL is not equal here.
func TestIssuerVariants(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Iss: oauthtest.IssUnadvertised})
	for name, change := range map[string]func(string) []string{
		"slash":   func(iss string) []string { return []string{iss + "/"} },
		"twice":   func(iss string) []string { return []string{iss, iss} },
		"empty":   func(string) []string { return []string{""} },
		"capital": func(iss string) []string { return []string{strings.ToUpper(iss)} },
		"dot":     func(iss string) []string { return []string{iss + "/./"} },
		"escaped": func(iss string) []string { return []string{strings.Replace(iss, "1", "%31", 1)} },
	} {
		t.Run(name, func(t *testing.T) {
			a := authorizer(t, s.MCP, nil)
			query := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
			query["iss"] = change(s.Issuer)
			refusesCallback(t, s, a, query, "", ErrIssuer)
		})
	}
	for name, iss := range map[string]oauthtest.Iss{"as promised": oauthtest.IssAdvertised, "unasked": oauthtest.IssUnadvertised, "none": oauthtest.IssNone} {
		s.Set(func(o *oauthtest.Options) { o.Iss = iss })
		if err := logIn(t, authorizer(t, s.MCP, nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDenied: what the authorization server says comes cleaned and cut.
func TestDenied(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, AuthorizeError: "access_denied"})
	a := authorizer(t, s.MCP, nil)
	query := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
	query.Set("error_description", "no\r\nlevel=ERROR \u202Egnorw\x1b[31m"+strings.Repeat("ü", 1<<20))
	var denied *DeniedError
	got, err := a.Finish(testContext(t), query, "")
	if !errors.As(err, &denied) || denied.Code != "access_denied" || got != who {
		t.Fatalf("Finish = %v, %v", got, err)
	}
	if d := denied.Description; len(d) > 310 || strings.ContainsAny(d, "\r\n\x1b\u202E") || !strings.HasPrefix(d, "no  level=ERROR gnorw[31m") {
		t.Errorf("the description is %q", d)
	}
	if n := s.Requests("token"); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

func TestPersonSaysNo(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	a := authorizer(t, s.MCP, nil)
	var denied *DeniedError
	query := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{Deny: true})
	if _, err := a.Finish(testContext(t), query, ""); !errors.As(err, &denied) || denied.Code != "access_denied" {
		t.Errorf("Finish: %v", err)
	}
}

func TestCode(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	for name, change := range map[string]func(url.Values){
		"missing": func(q url.Values) { q.Del("code") },
		"empty":   func(q url.Values) { q.Set("code", "") },
		"twice":   func(q url.Values) { q.Add("code", "x") },
	} {
		t.Run(name, func(t *testing.T) {
			a := authorizer(t, s.MCP, nil)
			query := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
			change(query)
			refusesCallback(t, s, a, query, "", ErrNoCode)
		})
	}
}

// TestBrowserLeaves: a code that is being exchanged is exchanged to the end.
func TestBrowserLeaves(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := authorizer(t, s.MCP, nil)
	query := browsed(t, begun(t, a).URL, oauthtest.BrowseOptions{})
	ctx, leave := context.WithCancel(testContext(t))
	release := s.Hold("token")
	finished := make(chan error)
	go func() {
		_, err := a.Finish(ctx, query, "")
		finished <- err
	}()
	if err := s.Await(testContext(t), "token", 1); err != nil {
		t.Fatal(err)
	}
	leave()
	release()
	if err := <-finished; err != nil {
		t.Errorf("Finish: %v", err)
	}
	works(t, a)
}

// TestChangedIsTold: who waits for a login hears of it, and of a logout.
func TestChangedIsTold(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	var told []string
	a := granted(t, s, func(o *Options) {
		o.Changed = func(id caller.ID) { told = append(told, id.String()) }
	})
	if _, err := a.Logout(testContext(t), who); err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 || told[0] != who.String() || told[1] != who.String() {
		t.Errorf("told of %v", told)
	}
}

// TestCallersAreApart: what one caller logged in to is not the other's.
func TestCallersAreApart(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, s.MCP, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := s.Requests("mcp")
	_, err = a.RoundTripper(somebody("bob"), a.direct).RoundTrip(req)
	needsLogin(t, err, false)
	if len(a.gone) != 0 {
		t.Error("somebody who never logged in is remembered")
	}
	if s.Requests("mcp") != before {
		t.Error("a request was sent")
	}
	if had, err := a.Logout(testContext(t), somebody("bob")); had || err != nil {
		t.Errorf("Logout of the other = %v, %v", had, err)
	}
	works(t, a)
}
