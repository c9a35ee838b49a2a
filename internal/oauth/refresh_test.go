package oauth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// askAll sends n requests at once, shared among authorizers, and wants all of
// them answered.
func askAll(t testing.TB, n int, all ...*Authorizer) {
	t.Helper()
	var asking sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		asking.Go(func() {
			<-begin
			works(t, all[i%len(all)])
		})
	}
	close(begin)
	asking.Wait()
}

// TestOneRefresh: however many ask when the token runs out, one refresh is made
// for all of them (threats 14).
func TestOneRefresh(t *testing.T) {
	for name, end := range map[string]func(testing.TB, *oauthtest.Server, *Authorizer){
		"almost over":  func(t testing.TB, _ *oauthtest.Server, a *Authorizer) { almostOver(t, a) },
		"over":         over,
		"refused only": func(_ testing.TB, s *oauthtest.Server, _ *Authorizer) { s.Expire() },
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), t.TempDir()
			files := func(o *Options) { o.Store = openFiles(t, dir) }
			a, b := granted(t, s, files), authorizer(t, s.MCP, files)
			works(t, b)
			end(t, s, a)
			b.forgetGrant(who)
			askAll(t, 100, a, b)
			if n := s.Requests("refresh"); n != 1 {
				t.Errorf("%d refreshes", n)
			}
		})
	}
}

// TestRefreshGoesOn: who leaves while a token is renewed does not end it, for
// the refresh token is spent by then.
func TestRefreshGoesOn(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	over(t, s, a)
	release := s.Hold("refresh")
	defer release()
	ctx, leave := context.WithCancel(testContext(t))
	left := make(chan error)
	go func() {
		_, err := a.token(ctx, who)
		left <- err
	}()
	if err := s.Await(testContext(t), "refresh", 1); err != nil {
		t.Fatal(err)
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left hears %v", err)
	}
	release()
	works(t, a)
	if n := s.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

// TestStatusDuringRefresh: who is in the middle of a refresh has not logged out,
// whatever the store says of the refresh token meanwhile.
func TestStatusDuringRefresh(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	here, there, _ := replicas(t, s)
	if err := logIn(t, here); err != nil {
		t.Fatal(err)
	}
	over(t, s, here)
	release := s.Hold("refresh")
	defer release()
	renewed := make(chan error)
	go func() {
		_, err := here.token(testContext(t), who)
		renewed <- err
	}()
	if err := s.Await(testContext(t), "refresh", 1); err != nil {
		t.Fatal(err)
	}
	asked := make(chan Status)
	for _, a := range []*Authorizer{here, there} {
		a.forgetGrant(who) // as what was read long ago is not believed
		go func() {
			status, err := a.Status(testContext(t), who)
			if err != nil {
				t.Error(err)
			}
			asked <- status
		}()
	}
	release()
	if err := <-renewed; err != nil {
		t.Error(err)
	}
	for range 2 {
		if status := <-asked; !status.Authenticated {
			t.Error("who is in the middle of a refresh is told not to be logged in")
		}
	}
}

// TestRefreshThatFails keeps the grant: the next one may work (threats 15).
func TestRefreshThatFails(t *testing.T) {
	for name, o := range map[string]oauthtest.Options{
		"500":                     {Instead: instead(500, "")},
		"503 with an error":       {Instead: instead(503, `{"error":"invalid_grant"}`)},
		"429":                     {Instead: instead(429, `{"error":"rate_limited"}`)},
		"408":                     {Instead: instead(408, `{"error":"timeout"}`)},
		"temporarily_unavailable": {Instead: instead(400, `{"error":"temporarily_unavailable"}`)},
		"server_error":            {Instead: instead(400, `{"error":"server_error"}`)},
		"400 without an error":    {Instead: instead(400, "<html>")},
		"403 of a firewall":       {Instead: instead(403, `{"message":"blocked"}`)},
		"404 of a proxy":          {Instead: instead(404, `{"error":"Not Found"}`)},
		"401 of a gateway":        {Instead: instead(401, `{"error":"unauthorized"}`)},
		"an error of its own":     {Instead: instead(200, `{"error":"busy"}`)},
		"an error written a form": {Instead: map[string]oauthtest.Answer{"refresh": {Header: formHeader(), Body: "error=busy"}}},
		"a page":                  {Instead: instead(200, "<html>")},
		"nothing":                 {Instead: instead(200, "")},
		"no access_token":         {Instead: instead(200, "{}")},
		"odd access_token":        {Instead: instead(200, `{"access_token":"a\r\nb"}`)},
		"long access_token":       {Instead: instead(200, `{"access_token":"`+strings.Repeat("a", 70<<10)+`"}`)},
		"long refresh_token":      {Instead: instead(200, `{"access_token":"a","refresh_token":"`+strings.Repeat("a", 70<<10)+`"}`)},
		"token_type mac":          {TokenType: "mac", Rotation: oauthtest.RotateKindly},
		"moved":                   {Redirects: map[string]oauthtest.Redirect{"refresh": oauthtest.CrossOrigin}},
	} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
			a := granted(t, s, nil)
			token := storedGrant(t, a).RefreshToken
			s.Set(func(now *oauthtest.Options) {
				*now = o
				now.AutoApprove = true
			})
			almostOver(t, a)
			works(t, a) // with the old token, which lasts a little longer
			over(t, s, a)
			for range 2 {
				_, err := ask(t, a)
				var failed *RenewError
				if !errors.As(err, &failed) {
					t.Errorf("%v is not a RenewError", err)
				}
			}
			if g := storedGrant(t, a); g.RefreshToken != token || !g.refreshable() || g.Lost != "" {
				t.Error("the grant was not kept as it is")
			}
			s.Set(func(o *oauthtest.Options) { *o = oauthtest.Options{AutoApprove: true} })
			works(t, a)
		})
	}
}

// TestRefreshIsNotRepeated by every request, while the token is still good.
func TestRefreshIsNotRepeated(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	s.Set(func(o *oauthtest.Options) { o.Instead = instead(503, "") })
	changeGrant(t, a, func(g *grant) { g.Obtained, g.Expiry = time.Now().Add(-time.Hour), time.Now().Add(early/2) })
	for range 5 {
		works(t, a)
	}
	if n := s.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	h, ok := a.memory(who)
	if !ok || h.failed.IsZero() {
		t.Fatalf("what is in memory is %+v", h)
	}
	h.failed = h.failed.Add(-retry)
	a.grants.Store(who, h)
	works(t, a)
	if n := s.Requests("refresh"); n != 2 {
		t.Errorf("after a while, %d refreshes", n)
	}
	s.Expire() // a server that refuses the token is another matter
	s.Set(func(o *oauthtest.Options) { o.Instead = nil })
	works(t, a)
}

func instead(status int, body string) map[string]oauthtest.Answer {
	return map[string]oauthtest.Answer{"refresh": {Status: status, Body: body}}
}

// TestRefreshThatHangs is cut off, and keeps the grant.
func TestRefreshThatHangs(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Rotation: oauthtest.RotateKindly})
	a := granted(t, s, nil)
	over(t, s, a)
	release := s.Hold("refresh")
	defer release()
	a.guard.post.Timeout = 50 * time.Millisecond
	_, err := ask(t, a)
	var failed *RenewError
	if !errors.As(err, &failed) {
		t.Errorf("%v is not a RenewError", err)
	}
	release()
	a.guard.post.Timeout = requestTime
	works(t, a)
}

// TestLostAnswer: a refresh token that may be spent is not sent again while the
// access token is good, by whomever.
func TestLostAnswer(t *testing.T) {
	s, shared := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Rotation: oauthtest.RotateKindly}), store.NewMemory()
	with := func(o *Options) { o.Store = shared }
	a := granted(t, s, with)
	changeGrant(t, a, func(g *grant) { g.Obtained, g.Expiry = time.Now().Add(-time.Hour), time.Now().Add(early/2) })
	s.Set(func(o *oauthtest.Options) { o.Lose = map[string]int{"refresh": 1} })
	works(t, a)
	for _, later := range []*Authorizer{a, authorizer(t, s.MCP, with)} {
		later.forgetGrant(who)
		works(t, later)
	}
	if n := s.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	over(t, s, a)
	works(t, a)
	if g := storedGrant(t, a); s.Requests("refresh") != 2 || g.Lost != "" {
		t.Errorf("when it has run out, %d refreshes; lost %q", s.Requests("refresh"), g.Lost)
	}
}

// TestUnreachable: what was not sent is not spent (threats 15).
func TestUnreachable(t *testing.T) {
	s, down := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), false
	a := granted(t, s, func(o *Options) {
		o.Network.Dial = func(ctx context.Context, network string, address netip.AddrPort) (net.Conn, error) {
			if down {
				return nil, errors.New("connection refused")
			}
			return new(net.Dialer).DialContext(ctx, network, address.String())
		}
	})
	almostOver(t, a)
	a.guard.close()
	down = true
	works(t, a)
	if g := storedGrant(t, a); !g.refreshable() || g.Lost != "" {
		t.Errorf("refreshable %v, lost %q", g.refreshable(), g.Lost)
	}
}

// TestRefreshThatIsRefused removes the grant, once.
func TestRefreshThatIsRefused(t *testing.T) {
	for name, o := range map[string]oauthtest.Options{
		"invalid_grant":          {},
		"invalid_grant with 401": {GrantErrorStatus: http.StatusUnauthorized},
		"invalid_grant with 200": {ErrorsAreOK: true},
		"invalid_client":         {InvalidClient: true},
		"unauthorized_client":    {Instead: instead(400, `{"error":"unauthorized_client"}`)},
		"written a form":         {Instead: map[string]oauthtest.Answer{"refresh": {Header: formHeader(), Body: "error=invalid_grant"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
			a := granted(t, s, nil)
			s.RevokeAll()
			s.Set(func(now *oauthtest.Options) { *now = o; now.AutoApprove = true })
			over(t, s, a)
			for range 3 {
				_, err := ask(t, a)
				needsLogin(t, err, true)
			}
			if n := s.Requests("refresh"); n != 1 || kept(t, a, store.Grants) != 0 {
				t.Errorf("%d refreshes, %d grants", n, kept(t, a, store.Grants))
			}
			s.Set(func(o *oauthtest.Options) { *o = oauthtest.Options{AutoApprove: true} })
			if err := logIn(t, a); err != nil {
				t.Fatal(err)
			}
			works(t, a)
		})
	}
}

// TestMistypedSecret, as after a reload, logs nobody out.
func TestMistypedSecret(t *testing.T) {
	s, shared := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Clients: []oauthtest.Client{{ID: "mine", Secret: "s3cret"}}}), store.NewMemory()
	with := func(secret config.Secret) func(*Options) {
		return func(o *Options) {
			o.Store, o.Server.OAuth.ClientMetadata = shared, &config.ClientMetadata{ClientID: "mine", ClientSecret: secret}
		}
	}
	right := granted(t, s, with("s3cret"))
	over(t, s, right)
	var failed *RenewError
	if _, err := ask(t, authorizer(t, s.MCP, with("secret"))); !errors.As(err, &failed) {
		t.Errorf("%v is not a RenewError", err)
	}
	works(t, right)
}

func formHeader() http.Header {
	return http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
}

// TestAllHearOfTheRefusal: of many that wait for the refresh.
func TestAllHearOfTheRefusal(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	s.RevokeAll()
	over(t, s, a)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			_, err := ask(t, a)
			needsLogin(t, err, true)
		})
	}
	all.Wait()
	if n := s.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

// TestRotation: each kind of server is understood, refresh after refresh.
func TestRotation(t *testing.T) {
	for name, rotation := range map[string]oauthtest.Rotation{"strict": oauthtest.RotateStrictly, "kind": oauthtest.RotateKindly,
		"same token": oauthtest.RepeatToken, "none in the answer": oauthtest.OmitToken} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, Rotation: rotation})
			a := granted(t, s, nil)
			first := storedGrant(t, a).RefreshToken
			for range 3 {
				s.Expire()
				works(t, a)
			}
			g := storedGrant(t, a)
			stays := rotation == oauthtest.RepeatToken || rotation == oauthtest.OmitToken
			if g.RefreshToken == "" || (g.RefreshToken == first) != stays || !g.refreshable() || s.Requests("refresh") != 3 {
				t.Errorf("the refresh token stays: %v; %d refreshes", g.RefreshToken == first, s.Requests("refresh"))
			}
		})
	}
}
