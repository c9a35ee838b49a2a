package oauthtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
)

func TestCodesAreChecked(t *testing.T) {
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	for name, c := range map[string]struct {
		o      oauthtest.Options
		change func(url.Values)
		status int
		want   string
	}{
		"usual":              {oauthtest.Options{}, nil, 200, ""},
		"unknown":            {oauthtest.Options{}, set("code", "x"), 400, "invalid_grant"},
		"with status 401":    {oauthtest.Options{GrantErrorStatus: 401}, set("code", "x"), 401, "invalid_grant"},
		"with status 200":    {oauthtest.Options{ErrorsAreOK: true}, set("code", "x"), 200, "invalid_grant"},
		"wrong verifier":     {oauthtest.Options{}, set("code_verifier", strings.Repeat("w", 43)), 400, "invalid_grant"},
		"wrong redirect":     {oauthtest.Options{}, set("redirect_uri", "http://127.0.0.1/x"), 400, "invalid_grant"},
		"no resource":        {oauthtest.Options{}, func(q url.Values) { q.Del("resource") }, 400, "invalid_target"},
		"another resource":   {oauthtest.Options{}, set("resource", "http://x.example/"), 400, "invalid_target"},
		"unknown client":     {oauthtest.Options{}, set("client_id", "x"), 401, "invalid_client"},
		"every client":       {oauthtest.Options{InvalidClient: true}, nil, 401, "invalid_client"},
		"a secret too many":  {oauthtest.Options{}, set("client_secret", "x"), 401, "invalid_client"},
		"unknown grant type": {oauthtest.Options{}, set("grant_type", "password"), 400, "unsupported_grant_type"},
		"twice":              {oauthtest.Options{}, func(q url.Values) { q.Add("code", "x") }, 400, "invalid_request"},
		"too late":           {oauthtest.Options{CodeTTL: -time.Second}, nil, 400, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.AutoApprove = true
			p := visit(t, c.o)
			p.register(nil)
			r := p.exchange(p.browse(oauthtest.BrowseOptions{}, nil).Get("code"), c.change)
			if r.status != c.status || r.text("error") != c.want || (r.text("access_token") == "") != (c.want != "") {
				t.Errorf("answered %d %s", r.status, r.body)
			}
		})
	}
}

func TestACodeUsedTwiceEndsItsTokens(t *testing.T) {
	p := visit(t, oauthtest.Options{AutoApprove: true})
	p.register(nil)
	code := p.browse(oauthtest.BrowseOptions{}, nil).Get("code")
	token := p.exchange(code, nil).text("access_token")
	before := p.s.Active(token)
	r := p.exchange(code, nil)
	if !before || r.text("error") != "invalid_grant" || p.s.Active(token) {
		t.Errorf("the second use answered %s", r.body)
	}
}

func TestTokenAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		o    oauthtest.Options
		want string // part of the answer, or with ! before it, no part
	}{
		"usual":            {oauthtest.Options{}, `"expires_in":3600`},
		"short":            {oauthtest.Options{AccessTTL: 5 * time.Second}, `"expires_in":5,`},
		"as a string":      {oauthtest.Options{ExpiresIn: oauthtest.AsString}, `"expires_in":"3600"`},
		"missing":          {oauthtest.Options{ExpiresIn: oauthtest.Missing}, `!expires_in`},
		"Bearer":           {oauthtest.Options{}, `"token_type":"Bearer"`},
		"mac":              {oauthtest.Options{TokenType: "mac"}, `"token_type":"mac"`},
		"scope":            {oauthtest.Options{}, `"scope":"mcp"`},
		"narrowed":         {oauthtest.Options{GrantedScope: "admin"}, `"scope":"admin"`},
		"overridden":       {oauthtest.Options{Token: map[string]any{"scope": nil}}, `!scope`},
		"no refresh":       {oauthtest.Options{NoRefreshTokens: true}, `!refresh_token`},
		"not offline":      {oauthtest.Options{OfflineAccess: true}, `!refresh_token`},
		"without its word": {oauthtest.Options{RefreshWith: "access_type=offline"}, `!refresh_token`},
		"as a form":        {oauthtest.Options{FormEncoded: true}, `&expires_in=3600&refresh_token=`},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.AutoApprove = true
			p := visit(t, c.o)
			r := p.login(oauthtest.BrowseOptions{})
			text, absent := strings.CutPrefix(c.want, "!")
			if strings.Contains(r.body, text) == absent {
				t.Errorf("answered %s", r.body)
			}
		})
	}
}

func TestRefreshTokensThatAreAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		o        oauthtest.Options
		register map[string]any
		ask      func(url.Values)
		want     bool
	}{
		"offline_access":       {oauthtest.Options{OfflineAccess: true}, nil, func(q url.Values) { q.Set("scope", "mcp offline_access") }, true},
		"a parameter":          {oauthtest.Options{RefreshWith: "access_type=offline"}, nil, func(q url.Values) { q.Set("access_type", "offline") }, true},
		"a client without":     {oauthtest.Options{}, map[string]any{"grant_types": []string{"authorization_code"}}, nil, false},
		"a client by defaults": {oauthtest.Options{}, map[string]any{"grant_types": nil}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.AutoApprove = true
			p := visit(t, c.o)
			p.register(c.register)
			r := p.exchange(p.browse(oauthtest.BrowseOptions{}, c.ask).Get("code"), nil)
			if r.status != http.StatusOK || (r.text("refresh_token") != "") != c.want {
				t.Errorf("answered %s", r.body)
			}
		})
	}
}

func TestRotation(t *testing.T) {
	for name, c := range map[string]struct {
		rotation oauthtest.Rotation
		answered string // "new", "same" or "none"
		again    bool   // the old token works once more
	}{
		"strict": {oauthtest.RotateStrictly, "new", false},
		"kind":   {oauthtest.RotateKindly, "new", true},
		"repeat": {oauthtest.RepeatToken, "same", true},
		"omit":   {oauthtest.OmitToken, "none", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := visit(t, oauthtest.Options{AutoApprove: true, Rotation: c.rotation})
			old := p.login(oauthtest.BrowseOptions{}).text("refresh_token")
			first := p.refresh(old, nil)
			answered := map[string]string{old: "same", "": "none"}[first.text("refresh_token")]
			if answered == "" {
				answered = "new"
			}
			second := p.refresh(old, nil)
			if answered != c.answered || (second.status == http.StatusOK) != c.again {
				t.Errorf("answered %s token, and then %d %s", answered, second.status, second.body)
			}
			if p.s.Active(first.text("access_token")) != c.again {
				t.Errorf("after that the access token is good: %v", !c.again)
			}
			if n, want := p.s.Replays(), map[string]int{"new": 1}[c.answered]; n != want {
				t.Errorf("a used refresh token came again %d times, want %d", n, want)
			}
		})
	}
}

func TestRefreshRequestsAreChecked(t *testing.T) {
	p := visit(t, oauthtest.Options{AutoApprove: true})
	token := p.login(oauthtest.BrowseOptions{}).text("refresh_token")
	for want, change := range map[string]func(url.Values){
		"invalid_scope":  func(q url.Values) { q.Set("scope", "mcp admin") },
		"invalid_target": func(q url.Values) { q.Set("resource", "http://x.example/") },
		"invalid_client": func(q url.Values) { q.Set("client_id", "x") },
		"invalid_grant":  func(q url.Values) { q.Set("refresh_token", "x") },
	} {
		if r := p.refresh(token, change); r.text("error") != want {
			t.Errorf("%s: answered %s", want, r.body)
		}
	}
	p.s.Set(func(o *oauthtest.Options) { o.RefreshedScope = "less" })
	if r := p.refresh(token, nil); r.text("scope") != "less" {
		t.Errorf("answered %s", r.body)
	}
}

func TestTimePasses(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	p := visit(t, oauthtest.Options{AutoApprove: true, AccessTTL: time.Minute, RefreshTTL: time.Hour, Now: func() time.Time { return now }})
	r := p.login(oauthtest.BrowseOptions{})
	now = now.Add(time.Minute)
	if p.s.Active(r.text("access_token")) || !p.s.Active(r.text("refresh_token")) {
		t.Error("a minute later the wrong token has expired")
	}
	now = now.Add(time.Hour)
	if late := p.refresh(r.text("refresh_token"), nil); late.text("error") != "invalid_grant" {
		t.Errorf("an hour later: %s", late.body)
	}
}

func TestEndings(t *testing.T) {
	for name, c := range map[string]struct {
		end             func(*person, reply)
		access, refresh bool // what is good afterwards
		refreshed       string
	}{
		"expire":         {func(p *person, _ reply) { p.s.Expire() }, false, true, ""},
		"revoke all":     {func(p *person, _ reply) { p.s.RevokeAll() }, false, false, "invalid_grant"},
		"forget":         {func(p *person, _ reply) { p.s.Forget() }, false, false, "invalid_client"},
		"revoke access":  {func(p *person, r reply) { p.revoke(r.text("access_token")) }, false, true, ""},
		"revoke refresh": {func(p *person, r reply) { p.revoke(r.text("refresh_token")) }, false, false, "invalid_grant"},
		"revoke nothing": {func(p *person, r reply) { p.revoke("unknown") }, true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := visit(t, oauthtest.Options{AutoApprove: true})
			r := p.login(oauthtest.BrowseOptions{})
			c.end(p, r)
			if a, f := p.s.Active(r.text("access_token")), p.s.Active(r.text("refresh_token")); a != c.access || f != c.refresh {
				t.Errorf("good afterwards: access %v, refresh %v", a, f)
			}
			if got := p.refresh(r.text("refresh_token"), nil); got.text("error") != c.refreshed {
				t.Errorf("a refresh answers %s", got.body)
			}
		})
	}
}

func (p *person) revoke(token string) {
	p.t.Helper()
	if r := p.post("revoke", url.Values{"client_id": {p.id}, "token": {token}}); r.status != http.StatusOK {
		p.t.Errorf("revocation answered %d %s", r.status, r.body)
	}
}

func TestRevocationIsChecked(t *testing.T) {
	p := visit(t, oauthtest.Options{})
	if r := p.post("revoke", url.Values{"token": {"x"}}); r.status != http.StatusUnauthorized {
		t.Errorf("a stranger got %d", r.status)
	}
	p.register(nil)
	if r := p.post("revoke", url.Values{"client_id": {p.id}}); r.text("error") != "invalid_request" {
		t.Errorf("without a token it answered %s", r.body)
	}
	p.s.Set(func(o *oauthtest.Options) { o.NoRevocation = true })
	if r := p.post("revoke", url.Values{"client_id": {p.id}, "token": {"x"}}); r.status != http.StatusNotFound {
		t.Errorf("where there is none it answered %d", r.status)
	}
	if r := p.get(p.s.Endpoint("token")); r.status != http.StatusMethodNotAllowed {
		t.Errorf("GET at the token endpoint answered %d", r.status)
	}
}

func TestHoldKeepsAnswersBack(t *testing.T) {
	p := visit(t, oauthtest.Options{AutoApprove: true})
	token := p.login(oauthtest.BrowseOptions{}).text("refresh_token")
	release := p.s.Hold("refresh")
	answered := make(chan reply)
	go func() { answered <- p.refresh(token, nil) }()
	if err := p.s.Await(testContext(t), "refresh", 1); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-answered:
		t.Fatalf("answered at once: %s", r.body)
	default:
	}
	release()
	release()
	if r := <-answered; r.status != http.StatusOK {
		t.Errorf("answered %d", r.status)
	}
}

func TestAnswersGetLost(t *testing.T) {
	p := visit(t, oauthtest.Options{AutoApprove: true, Lose: map[string]int{"refresh": 1}})
	token := p.login(oauthtest.BrowseOptions{}).text("refresh_token")
	f := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {p.id}, "resource": {p.s.MCP}}
	if resp, err := p.http.PostForm(p.s.Endpoint("token"), f); err == nil {
		resp.Body.Close()
		t.Errorf("the first answer arrived: %s", resp.Status)
	}
	if p.s.Active(token) {
		t.Error("the work was not done")
	}
	if r := p.refresh(token, nil); r.text("error") != "invalid_grant" {
		t.Errorf("the second answer is %s", r.body)
	}
}
