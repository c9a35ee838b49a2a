package oauth

import (
	"errors"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// noneActive checks that no token that was ever issued is of use.
func noneActive(t testing.TB, s *oauthtest.Server) {
	t.Helper()
	for _, token := range s.Tokens() {
		if s.Active(token) {
			t.Errorf("%.8s… is still good", token)
		}
	}
}

// TestLogoutRevokes both tokens, as who they were given to.
func TestLogoutRevokes(t *testing.T) {
	for _, method := range []string{"none", "client_secret_basic", "client_secret_post"} {
		s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, AuthMethod: method})
		a := granted(t, s, nil)
		if had, err := a.Logout(testContext(t), who); !had || err != nil {
			t.Errorf("%s: Logout = %v, %v", method, had, err)
		}
		if n := s.Requests("revoke"); n != 2 || s.LastForm("revoke").Get("token_type_hint") != "access_token" {
			t.Errorf("%s: %d revocations, the last one of a %s", method, n, s.LastForm("revoke").Get("token_type_hint"))
		}
		noneActive(t, s)
		if n := kept(t, a, store.Grants); n != 0 {
			t.Errorf("%s: %d grants", method, n)
		}
		_, err := ask(t, a)
		var required *LoginRequiredError
		if !errors.As(err, &required) {
			t.Errorf("%s: after the logout: %v", method, err)
		}
		if had, err := a.Logout(testContext(t), who); had || err != nil {
			t.Errorf("%s: once more, Logout = %v, %v", method, had, err)
		}
	}
}

// TestLogoutWithoutRevocation: the grant is gone here whatever happens there,
// and the person hears that it may still be good.
func TestLogoutWithoutRevocation(t *testing.T) {
	for name, test := range map[string]struct {
		o       func(*oauthtest.Options)
		because bool // the error has a reason
	}{
		"no endpoint":     {func(o *oauthtest.Options) { o.NoRevocation = true }, false},
		"500":             {func(o *oauthtest.Options) { o.Instead = map[string]oauthtest.Answer{"revoke": {Status: 500}} }, true},
		"invalid_client":  {func(o *oauthtest.Options) { o.InvalidClient = true }, true},
		"no metadata now": {func(o *oauthtest.Options) { o.Instead = map[string]oauthtest.Answer{"metadata": {Status: 500}} }, true},
		"other origin now": {func(o *oauthtest.Options) {
			o.Override = map[string]any{"revocation_endpoint": "http://auth.example/revoke"}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
			a := granted(t, s, nil)
			s.Set(test.o)
			a.forget()
			had, err := a.Logout(testContext(t), who)
			var alive *NotRevokedError
			if !had || !errors.As(err, &alive) || alive.Issuer != s.Issuer || (alive.Err != nil) != test.because {
				t.Errorf("Logout = %v, %v", had, err)
			}
			if n := kept(t, a, store.Grants); n != 0 {
				t.Errorf("%d grants", n)
			}
			if _, err := ask(t, a); err == nil {
				t.Error("the token is still used")
			}
		})
	}
}

// TestLogoutDuringRefresh: what the refresh brings is removed and revoked too.
func TestLogoutDuringRefresh(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	over(t, s, a)
	release := s.Hold("refresh")
	defer release()
	asked, loggedOut := make(chan struct{}), make(chan error)
	go func() {
		defer close(asked)
		_, _ = ask(t, a) // it may still be let in, or not
	}()
	if err := s.Await(testContext(t), "refresh", 1); err != nil {
		t.Fatal(err)
	}
	go func() {
		had, err := a.Logout(testContext(t), who)
		if !had {
			err = errors.Join(err, errors.New("there was no grant"))
		}
		loggedOut <- err
	}()
	release()
	if err := <-loggedOut; err != nil {
		t.Errorf("Logout: %v", err)
	}
	<-asked
	noneActive(t, s)
	if n := kept(t, a, store.Grants); n != 0 {
		t.Errorf("%d grants", n)
	}
	if _, err := ask(t, a); err == nil {
		t.Error("the grant is back")
	}
}

// TestLogoutElsewhere: another process hears of it in a moment.
func TestLogoutElsewhere(t *testing.T) {
	s, dir := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), t.TempDir()
	files := func(o *Options) { o.Store = openFiles(t, dir) }
	a, b := granted(t, s, files), authorizer(t, s.MCP, files)
	works(t, b)
	if _, err := a.Logout(testContext(t), who); err != nil {
		t.Fatal(err)
	}
	h, ok := b.memory(who)
	if !ok {
		t.Fatal("the other process has no grant in memory")
	}
	b.grants.Store(who, held{grant: h.grant, read: h.read.Add(-recheck)})
	before := s.Requests("mcp")
	_, err := ask(t, b)
	needsLogin(t, err, true)
	if s.Requests("mcp") != before || time.Since(h.read) > hurry {
		t.Error("the token was sent")
	}
}

// TestLogoutForgetsWants: a new login asks for what it would have asked before.
func TestLogoutForgetsWants(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	a.notEnough(who, []string{"admin"}, storedGrant(t, a))
	if _, err := a.Logout(testContext(t), who); err != nil {
		t.Fatal(err)
	}
	if err := login1(t, a); err != nil {
		t.Fatal(err)
	}
	if scope := s.LastForm("authorize").Get("scope"); scope != "mcp" || a.MoreScopes(who) {
		t.Errorf("asked for %q", scope)
	}
}
