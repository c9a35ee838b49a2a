package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// TestExpiresIn, in all shapes. A token of unknown life is used until it is
// refused.
func TestExpiresIn(t *testing.T) {
	for name, test := range map[string]struct {
		o    oauthtest.Options
		life time.Duration
	}{
		"number":        {oauthtest.Options{}, time.Hour},
		"text":          {oauthtest.Options{ExpiresIn: oauthtest.AsString}, time.Hour},
		"fraction":      {oauthtest.Options{Token: map[string]any{"expires_in": 3600.0}}, time.Hour},
		"missing":       {oauthtest.Options{ExpiresIn: oauthtest.Missing}, 0},
		"zero":          {oauthtest.Options{Token: map[string]any{"expires_in": 0}}, 0},
		"negative":      {oauthtest.Options{Token: map[string]any{"expires_in": -1}}, 0},
		"no number":     {oauthtest.Options{Token: map[string]any{"expires_in": "soon"}}, 0},
		"not a number":  {oauthtest.Options{Token: map[string]any{"expires_in": "NaN"}}, 0},
		"true":          {oauthtest.Options{Token: map[string]any{"expires_in": true}}, 0},
		"for ever":      {oauthtest.Options{Token: map[string]any{"expires_in": 1e300}}, 100 * 365 * 24 * time.Hour},
		"form":          {oauthtest.Options{FormEncoded: true}, time.Hour},
		"form, missing": {oauthtest.Options{FormEncoded: true, ExpiresIn: oauthtest.Missing}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			test.o.AutoApprove = true
			s := oauthtest.Start(t, test.o)
			a := granted(t, s, nil)
			g := storedGrant(t, a)
			life := time.Duration(0)
			if !g.Expiry.IsZero() {
				life = g.Expiry.Sub(g.Obtained)
			}
			if life != test.life {
				t.Errorf("it lives %v", life)
			}
			works(t, a)
			if n := s.Requests("refresh"); n != 0 {
				t.Errorf("%d refreshes", n)
			}
			s.Expire()
			works(t, a)
		})
	}
}

// TestDue: a minute before the end, or a tenth of a shorter life.
func TestDue(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		life, left time.Duration
		due        bool
	}{
		{time.Hour, 61 * time.Second, false}, {time.Hour, 59 * time.Second, true}, {time.Hour, -time.Second, true},
		{30 * time.Second, 4 * time.Second, false}, {30 * time.Second, 2 * time.Second, true},
		{5 * time.Second, time.Second, false},
	} {
		g := &grant{Obtained: now.Add(test.left - test.life), Expiry: now.Add(test.left)}
		if got := g.due(now); got != test.due {
			t.Errorf("%v left of %v: %v", test.left, test.life, got)
		}
	}
	if (&grant{Obtained: now}).due(now.Add(1000 * time.Hour)) {
		t.Error("a token of unknown life is due")
	}
}

// TestTokenType: any spelling of Bearer, or none, and nothing else.
func TestTokenType(t *testing.T) {
	for kind, good := range map[any]bool{"Bearer": true, "bearer": true, "BEARER": true, nil: true, "mac": false, "DPoP": false} {
		s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Token: map[string]any{"token_type": kind}})
		err := logIn(t, authorizer(t, s.MCP, nil))
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(), kind.(string)) {
			t.Errorf("%v: %v", kind, err)
		}
	}
}

// TestGrantedScopes: what the answer says counts, and else what was asked for.
func TestGrantedScopes(t *testing.T) {
	for name, test := range map[string]struct {
		o    oauthtest.Options
		want []string
	}{
		"as asked":     {oauthtest.Options{}, []string{"mcp"}},
		"not told":     {oauthtest.Options{Token: map[string]any{"scope": nil}}, []string{"mcp"}},
		"empty":        {oauthtest.Options{Token: map[string]any{"scope": ""}}, []string{"mcp"}},
		"others":       {oauthtest.Options{GrantedScope: "admin"}, []string{"admin"}},
		"no text":      {oauthtest.Options{Token: map[string]any{"scope": []string{"a"}}}, []string{"mcp"}},
		"form encoded": {oauthtest.Options{FormEncoded: true, GrantedScope: "mcp admin"}, []string{"mcp", "admin"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.o.AutoApprove = true
			s := oauthtest.Start(t, test.o)
			a := granted(t, s, nil)
			if got, err := a.Status(testContext(t), who); err != nil || !slices.Equal(got.Scopes, test.want) {
				t.Errorf("Status = %+v, %v", got, err)
			}
			s.Set(func(o *oauthtest.Options) { *o = oauthtest.Options{AutoApprove: true, RefreshedScope: "mcp"} })
			s.Expire()
			works(t, a)
			if got, err := a.Status(testContext(t), who); err != nil || !slices.Equal(got.Scopes, []string{"mcp"}) {
				t.Errorf("narrowed, Status = %+v, %v", got, err)
			}
		})
	}
}

// TestWithoutRefreshToken: the grant is used to its end, and not kept longer.
func TestWithoutRefreshToken(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, NoRefreshTokens: true})
	a := granted(t, s, nil)
	record, err := a.store.Get(testContext(t), a.grantKey(who))
	if err != nil || !record.Expires.Equal(storedGrant(t, a).Expiry) {
		t.Errorf("the record expires at %v, %v", record.Expires, err)
	}
	almostOver(t, a)
	works(t, a)
	if status, err := a.Status(testContext(t), who); err != nil || !status.Authenticated || status.Renewable {
		t.Errorf("Status = %+v, %v", status, err)
	}
	over(t, s, a)
	_, err = ask(t, a)
	var required *LoginRequiredError
	if !errors.As(err, &required) {
		t.Errorf("after its end: %v", err)
	}
	if status, err := a.Status(testContext(t), who); err != nil || status.Authenticated {
		t.Errorf("Status = %+v, %v", status, err)
	}
}

// TestStoreFails: what cannot be kept is not used, and nothing is spent that
// was not marked before.
func TestStoreFails(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	broken := &failing{Store: store.NewMemory()}
	a := granted(t, s, func(o *Options) { o.Store = broken })
	over(t, s, a)
	broken.fail = errors.New("the disk is full")
	var failed *RenewError
	if _, err := ask(t, a); !errors.Is(err, broken.fail) || !errors.As(err, &failed) {
		t.Errorf("a request: %v", err)
	}
	if n := s.Requests("refresh"); n != 0 {
		t.Errorf("%d refreshes", n)
	}
	if _, err := a.Begin(testContext(t), who, ""); !errors.Is(err, broken.fail) {
		t.Errorf("Begin: %v", err)
	}
	broken.fail = nil
	works(t, a)
}

// failing is a store that cannot write when fail is set.
type failing struct {
	Store
	fail error
}

func (f *failing) Put(ctx context.Context, r store.Record) error {
	if f.fail != nil {
		return f.fail
	}
	return f.Store.Put(ctx, r)
}

// TestLateAnswerIsKept: an answer that came just before the time is over is
// saved all the same.
func TestLateAnswerIsKept(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	ctx, end := context.WithCancel(testContext(t))
	defer end()
	files := openFiles(t, t.TempDir())
	a := granted(t, s, func(o *Options) {
		o.Store = files
		o.Step = func(step string) {
			if step == "answered" {
				end()
			}
		}
	})
	over(t, s, a)
	g := storedGrant(t, a)
	if _, err := a.spend(ctx, who, g); err != nil {
		t.Errorf("spend: %v", err)
	}
	if got := storedGrant(t, a); got.RefreshToken == g.RefreshToken || !got.refreshable() {
		t.Error("the new refresh token was lost")
	}
}

// damaged is a store whose grants were damaged.
type damaged struct{ Store }

func (d damaged) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if key.Kind == store.Grants {
		return store.Record{}, fmt.Errorf("reading: %w", store.ErrCorrupt)
	}
	return d.Store.Get(ctx, key)
}

// TestDamagedGrant costs a login, and no more than that.
func TestDamagedGrant(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	for _, value := range []string{"", "{", "null", "[]", "{}", `{"access_token":7}`, `{"access_token":"a"}`} {
		a := authorizer(t, s.MCP, nil)
		if err := a.store.Put(testContext(t), store.Record{Key: a.grantKey(who), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
		_, err := ask(t, a)
		needsLogin(t, err, false)
		if status, err := a.Status(testContext(t), who); err != nil || status.Authenticated {
			t.Errorf("%s: Status = %+v, %v", value, status, err)
		}
		if err := logIn(t, a); err != nil {
			t.Fatal(err)
		}
		works(t, a)
	}
	_, err := ask(t, authorizer(t, s.MCP, func(o *Options) { o.Store = damaged{o.Store} }))
	needsLogin(t, err, false)
}

// TestNotExecuted: who hears of these errors may try again.
func TestNotExecuted(t *testing.T) {
	reason := errors.New("reason")
	for _, err := range []error{&LoginRequiredError{Server: "test"}, &LoginRequiredError{Server: "test", Gone: true}, &RenewError{reason}} {
		var safe interface{ NotExecuted() bool }
		if !errors.As(err, &safe) || !safe.NotExecuted() || err.Error() == "" {
			t.Errorf("%v may have been executed", err)
		}
	}
	if !errors.Is(&RenewError{reason}, reason) || !errors.Is(&PortInUseError{1, reason}, reason) || !errors.Is(&NotRevokedError{"x", reason}, reason) {
		t.Error("the reason is lost")
	}
}
