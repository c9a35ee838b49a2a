package oauth

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	if err := logIn(t, a); err != nil {
		t.Fatal(err)
	}
	if scope := s.LastForm("authorize").Get("scope"); scope != "mcp" || a.MoreScopes(who) {
		t.Errorf("asked for %q", scope)
	}
}

// slow is a store that somebody overtakes: after a grant was read, and before
// the reader has it.
type slow struct {
	Store
	overtake func()
}

func (s *slow) Get(ctx context.Context, key store.Key) (store.Record, error) {
	r, err := s.Store.Get(ctx, key)
	if overtake := s.overtake; overtake != nil && key.Kind == store.Grants {
		s.overtake = nil
		overtake()
	}
	return r, err
}

// TestLogoutDuringRead: who was reading the grant does not put it back.
func TestLogoutDuringRead(t *testing.T) {
	s, shared := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), &slow{Store: store.NewMemory()}
	a := granted(t, s, func(o *Options) { o.Store = shared })
	for range 2 { // with the grant in memory, read long ago, and without
		h, ok := a.memory(who)
		if ok {
			a.grants.Store(who, held{grant: h.grant, read: h.read.Add(-time.Hour)})
		}
		shared.overtake = func() {
			if _, err := a.Logout(testContext(t), who); err != nil {
				t.Error(err)
			}
		}
		if _, err := a.token(testContext(t), who); err != nil {
			t.Errorf("who was just reading: %v", err)
		}
		if _, ok := a.memory(who); ok {
			t.Error("the grant is back in memory")
		}
		if _, err := a.token(testContext(t), who); err == nil {
			t.Error("the grant is back")
		}
		if err := logIn(t, a); err != nil {
			t.Fatal(err)
		}
		a.forgetGrant(who)
	}
}

// TestForget takes a caller out of memory, who finds everything as it was.
func TestForget(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	works(t, a)
	a.Forget(who)
	if _, ok := a.memory(who); ok {
		t.Error("the grant is still in memory")
	}
	works(t, a)
}

// TestHappenings are told, without a token.
func TestHappenings(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	var told []string
	a := granted(t, s, func(o *Options) {
		o.Happened = func(h Happening) {
			told = append(told, fmt.Sprint(h.Event, " ", h.Server, " ", h.Caller, " ", h.Err != nil))
		}
	})
	s.RevokeAll()
	_, err := ask(t, a)
	needsLogin(t, err, true)
	s.Set(func(o *oauthtest.Options) { o.AuthorizeError = "access_denied" })
	if err := logIn(t, a); err == nil {
		t.Error("the login is well")
	}
	s.Set(func(o *oauthtest.Options) { o.AuthorizeError, o.NoRevocation = "", true })
	a.forget()
	if err := logIn(t, a); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Logout(testContext(t), who); err == nil {
		t.Error("the tokens were revoked")
	}
	want := []string{"login test shared false", "refresh_refused test shared true", "login test shared true", "login test shared false", "disconnect test shared true"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

// TestHappeningsOfRefreshes: one that is made, and one that fails for now.
func TestHappeningsOfRefreshes(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	var told []string
	a := granted(t, s, func(o *Options) {
		o.Happened = func(h Happening) { told = append(told, fmt.Sprint(h.Event, " ", h.Server, " ", h.Err != nil)) }
	})
	s.Expire()
	works(t, a)
	s.Set(func(o *oauthtest.Options) { o.Instead = instead(503, "") })
	s.Expire()
	var failed *RenewError
	if _, err := ask(t, a); !errors.As(err, &failed) {
		t.Errorf("%v is not a RenewError", err)
	}
	if diff := cmp.Diff([]string{"login test false", "refresh test false", "refresh test true"}, told); diff != "" {
		t.Error(diff)
	}
}
