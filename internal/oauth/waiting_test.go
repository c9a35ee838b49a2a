package oauth

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// TestOutcome tells why a login came to nothing.
func TestOutcome(t *testing.T) {
	s, h := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, AuthorizeError: "access_denied"}), newHome(t)
	a := h.authorizer(t, s, nil)
	refused, left, closed := begun(t, a), begun(t, a), begun(t, a)
	h.browse(t, refused.URL)
	var denied *DeniedError
	if err := <-refused.Outcome; !errors.As(err, &denied) {
		t.Errorf("refused: %v", err)
	}
	left.Done()
	if err := <-left.Outcome; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	a.Close()
	if err := <-closed.Outcome; !errors.Is(err, context.Canceled) {
		t.Errorf("closed: %v", err)
	}
}

// TestTooManyLogins: who begins one after the other is slowed down, and nobody
// else is.
func TestTooManyLogins(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	a := authorizer(t, s.MCP, func(o *Options) { o.Burst = 0 })
	begun(t, a)
	a.begins[who].SetLimit(0) // however slow the machine is
	for range beginBurst - 1 {
		begun(t, a)
	}
	if _, err := a.Begin(testContext(t), who, ""); !errors.Is(err, ErrTooManyLogins) {
		t.Errorf("one more: %v", err)
	}
	b, err := a.Begin(testContext(t), somebody("bob"), "")
	if err != nil {
		t.Fatal(err)
	}
	b.Done()
}

// TestOldestLoginIsGivenUp when more wait than one person can have on the way.
func TestOldestLoginIsGivenUp(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	a := authorizer(t, s.MCP, nil)
	other, err := a.Begin(testContext(t), somebody("bob"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Done()
	first, second := begun(t, a), begun(t, a)
	for range pendingMax - 1 {
		begun(t, a)
	}
	if err := <-first.Outcome; !errors.Is(err, context.Canceled) || a.Knows(testContext(t), first.State) {
		t.Errorf("the first: %v", err)
	}
	if !a.Knows(testContext(t), second.State) || !a.Knows(testContext(t), other.State) || kept(t, a, store.Logins) != pendingMax+1 {
		t.Errorf("%d logins wait", kept(t, a, store.Logins))
	}
}

// TestPortOfAnotherMcpo: one that shares the store takes what comes back, and
// one that does not leaves the login half begun nowhere.
func TestPortOfAnotherMcpo(t *testing.T) {
	s, first, second := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), newHome(t), newHome(t)
	second.port = first.port
	dir := t.TempDir()
	files := func(o *Options) { o.Store = openFiles(t, dir) }
	a, b := first.authorizer(t, s, files), second.authorizer(t, s, files)
	stays := begun(t, a)
	login := begun(t, b)
	if body := first.browse(t, login.URL); body != "Connected to test" {
		t.Errorf("the page says %q", body)
	}
	if err := <-login.Outcome; err != nil {
		t.Errorf("the outcome is %v", err)
	}
	works(t, b)
	c := second.authorizer(t, s, nil)
	var inUse *PortInUseError
	if l, err := c.Begin(testContext(t), who, ""); !errors.As(err, &inUse) || kept(t, c, store.Logins) != 0 {
		t.Errorf("with another store: %v, %v", l, err)
	}
	stays.Done()
	first.closed(t)
}

// TestFollow: a login that another mcpo finishes, to which the browser comes back.
func TestFollow(t *testing.T) {
	s, shared := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), store.NewMemory()
	there := authorizer(t, s.MCP, func(o *Options) { o.Store = shared })
	here := authorizer(t, s.MCP, func(o *Options) { o.Store = shared })
	ctx, stop := context.WithCancel(testContext(t))
	defer stop()
	b := begun(t, here)
	here.Follow(ctx, who, b)
	if _, err := there.Finish(testContext(t), browsed(t, b.URL, oauthtest.BrowseOptions{}), ""); err != nil {
		t.Fatal(err)
	}
	if err := <-b.Outcome; err != nil {
		t.Errorf("the outcome is %v", err)
	}
	works(t, here)
	given := begun(t, here)
	here.Follow(ctx, who, given)
	stop()
	here.Close() // waits for what watches
	if err := <-given.Outcome; !errors.Is(err, context.Canceled) {
		t.Errorf("the outcome is %v", err)
	}
}

// TestWhereBrowsersComeBack: whether that is at the loopback port, on mcpo's
// pages, or nowhere, so that the address is pasted.
func TestWhereBrowsersComeBack(t *testing.T) {
	for name, test := range map[string]struct {
		change       func(*config.OAuth)
		web, nowhere bool // Options.WebCallback; no Loopback
		uri          string
		loopback     bool
		pasted       bool
	}{
		"port":               {uri: "http://localhost:3030/callback", loopback: true},
		"another port":       {change: func(o *config.OAuth) { o.CallbackPort = 4040 }, uri: "http://localhost:4040/callback", loopback: true},
		"web":                {web: true, uri: "http://localhost:8000/oauth/my%20%2F%20server/callback"},
		"no loopback":        {change: func(o *config.OAuth) { o.UseLoopback = false }, uri: "http://localhost:3030/callback", pasted: true},
		"nobody waits":       {nowhere: true, uri: "http://localhost:3030/callback", pasted: true},
		"configured":         {change: redirects("http://127.0.0.1:5050/callback", "https://x.example/"), uri: "http://127.0.0.1:5050/callback", loopback: true},
		"configured web":     {change: redirects("http://localhost:8000/oauth/x/callback"), uri: "http://localhost:8000/oauth/x/callback"},
		"configured, beside": {change: redirects("http://localhost:80001/callback2"), uri: "http://localhost:80001/callback2", pasted: true},
		"elsewhere":          {change: redirects("https://app.example/callback"), uri: "https://app.example/callback", pasted: true},
		"https at home":      {change: redirects("https://localhost:5050/callback"), uri: "https://localhost:5050/callback", pasted: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := authorizer(t, "https://mcp.example/mcp", func(o *Options) {
				o.Server.Name, o.WebCallback, o.Server.OAuth.UseLoopback = "my / server", test.web, true
				if !test.nowhere {
					o.Loopback = NewLoopback(nil, o.Log)
				}
				if test.change != nil {
					test.change(o.Server.OAuth)
				}
			})
			if one := a.RedirectURI(caller.User("ada")); a.cfg.ClientMetadata == nil && one != "http://localhost:8000/oauth/my%20%2F%20server/callback" {
				t.Errorf("an account's browser comes back to %s", one)
			}
			if got := a.RedirectURI(who); got != test.uri || a.usesLoopback(got) != test.loopback || a.Pasted(who) != test.pasted {
				t.Errorf("%s; loopback %v, pasted %v", got, a.usesLoopback(got), a.Pasted(who))
			}
		})
	}
}

func redirects(uris ...string) func(*config.OAuth) {
	return func(o *config.OAuth) { o.ClientMetadata = &config.ClientMetadata{RedirectURIs: uris} }
}

func TestPortOf(t *testing.T) {
	for uri, want := range map[string]int{"http://localhost:3030/callback": 3030, "http://localhost/callback": 80, "http://[::1]:1/callback": 1} {
		if got := portOf(uri); got != want {
			t.Errorf("%s: %d", uri, got)
		}
	}
}

// TestFinishPasted: the person copies the address that the browser ended at.
func TestFinishPasted(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := authorizer(t, s.MCP, nil)
	b := begun(t, a)
	query := browsed(t, b.URL, oauthtest.BrowseOptions{})
	for _, text := range []string{"", "   ", "hello", "http://localhost:3030/callback", "http://localhost:3030/callback?state=" + b.State, "%zz", "http://[", b.RedirectURI + "?codes=x"} {
		if _, err := a.FinishPasted(testContext(t), text, b.State, ""); !errors.Is(err, ErrNoCode) || !strings.Contains(err.Error(), "No authorization code found") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := a.FinishPasted(testContext(t), b.RedirectURI+"?code=x&state=another", b.State, ""); !errors.Is(err, ErrUnknownLogin) {
		t.Errorf("with another state: %v", err)
	}
	if n := s.Requests("token"); n != 0 {
		t.Errorf("%d token requests", n)
	}
	// None of this has ended the login.
	if got, err := a.FinishPasted(testContext(t), " \n"+b.RedirectURI+"?"+query.Encode()+" \r\n", b.State, ""); err != nil || got != who {
		t.Errorf("%v, %v", got, err)
	}
	works(t, a)
	if _, err := a.FinishPasted(testContext(t), b.RedirectURI+"?"+query.Encode(), b.State, ""); !errors.Is(err, ErrUnknownLogin) {
		t.Errorf("again: %v", err)
	}
}

// TestFinishPastedDenied: an error that is pasted ends the login.
func TestFinishPastedDenied(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, AuthorizeError: "access_denied"})
	a := authorizer(t, s.MCP, nil)
	b := begun(t, a)
	query := browsed(t, b.URL, oauthtest.BrowseOptions{})
	var denied *DeniedError
	if _, err := a.FinishPasted(context.Background(), b.RedirectURI+"?"+query.Encode(), "", ""); !errors.As(err, &denied) {
		t.Errorf("FinishPasted: %v", err)
	}
	if a.Knows(testContext(t), b.State) {
		t.Error("the login still waits")
	}
	if _, err := url.Parse(b.URL); err != nil {
		t.Error(err)
	}
}
