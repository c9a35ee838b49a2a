package oauthtest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcpo/internal/oauthtest"
)

func TestTokensAreChecked(t *testing.T) {
	p := visit(t, oauthtest.Options{AutoApprove: true})
	token := p.login(oauthtest.BrowseOptions{}).text("access_token")
	if r := p.knock(token, hello); r.status != http.StatusOK {
		t.Errorf("a good token got %d %s", r.status, r.body)
	}
	if r := p.knock("x", hello); r.status != http.StatusUnauthorized || !strings.Contains(r.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("a bad token got %d %v", r.status, r.header)
	}
	p.s.Set(func(o *oauthtest.Options) { o.NeverAccept = true })
	if r := p.knock(token, hello); r.status != http.StatusUnauthorized {
		t.Errorf("the good token got %d where none is accepted", r.status)
	}
}

func TestAdminNeedsItsScope(t *testing.T) {
	for name, c := range map[string]struct {
		o     oauthtest.Options
		scope string
		want  int
	}{
		"without":        {oauthtest.Options{}, "mcp", http.StatusForbidden},
		"with":           {oauthtest.Options{}, "mcp admin", http.StatusOK},
		"another":        {oauthtest.Options{AdminScope: "root"}, "mcp root", http.StatusOK},
		"another denied": {oauthtest.Options{AdminScope: "root"}, "mcp", http.StatusForbidden},
		"never":          {oauthtest.Options{NeverEnough: true}, "mcp admin", http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.AutoApprove = true
			p := visit(t, c.o)
			p.register(nil)
			code := p.browse(oauthtest.BrowseOptions{}, func(q url.Values) { q.Set("scope", c.scope) }).Get("code")
			session, err := p.connect(p.exchange(code, nil).text("access_token"), false)
			if err != nil {
				t.Fatal(err)
			}
			who, err := call(t.Context(), session, "admin", nil)
			if (who == "alice") != (c.want == http.StatusOK) || (err == nil) != (c.want == http.StatusOK) {
				t.Errorf("admin answered %q, %v", who, err)
			}
			if c.want == http.StatusOK {
				return
			}
			r := p.knock(strings.TrimPrefix(p.s.LastHeader("mcp").Get("Authorization"), "Bearer "), adminCall)
			if !strings.HasPrefix(r.header.Get("WWW-Authenticate"), `Bearer error="insufficient_scope", scope="`) || r.status != c.want {
				t.Errorf("answered %d with %v", r.status, r.header)
			}
		})
	}
}

func TestOtherWaysToTheTools(t *testing.T) {
	for name, o := range map[string]oauthtest.Options{
		"sse":   {SSE: true},
		"slash": {SlashRedirect: true},
		"moved": {Redirects: map[string]oauthtest.Redirect{"mcp": oauthtest.SameOrigin}},
	} {
		t.Run(name, func(t *testing.T) {
			o.AutoApprove = true
			p := visit(t, o)
			p.http.CheckRedirect = nil
			session, err := p.connect(p.login(oauthtest.BrowseOptions{}).text("access_token"), o.SSE)
			if err != nil {
				t.Fatal(err)
			}
			if who, err := call(t.Context(), session, "whoami", nil); who != "alice" || err != nil {
				t.Errorf("whoami answered %q, %v", who, err)
			}
		})
	}
}

func TestLazyServersAskWhenAToolIsCalled(t *testing.T) {
	p := visit(t, oauthtest.Options{AutoApprove: true, LazyAuth: true})
	if r := p.knock("", hello); r.status != http.StatusOK {
		t.Errorf("initialize got %d", r.status)
	}
	if r := p.knock("", adminCall); r.status != http.StatusUnauthorized {
		t.Errorf("a call got %d", r.status)
	}
}

func TestForgetEndsMCPSessions(t *testing.T) {
	p := visit(t, oauthtest.Options{AutoApprove: true})
	session, err := p.connect(p.login(oauthtest.BrowseOptions{}).text("access_token"), false)
	if err != nil {
		t.Fatal(err)
	}
	p.s.Forget()
	if who, err := call(t.Context(), session, "whoami", nil); err == nil {
		t.Errorf("whoami still answers %q", who)
	}
}

func TestPeopleHaveTheirOwnTools(t *testing.T) {
	p := visit(t, oauthtest.Options{Tools: func(user string, s *mcp.Server) {
		s.AddTool(&mcp.Tool{Name: "only_" + user, InputSchema: map[string]any{"type": "object"}},
			func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return &mcp.CallToolResult{}, nil
			})
	}})
	for _, user := range []string{"alice", "bob"} {
		session, err := p.connect(p.login(oauthtest.BrowseOptions{User: user}).text("access_token"), false)
		if err != nil {
			t.Fatal(err)
		}
		tools, err := session.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range tools.Tools {
			names = append(names, tool.Name)
		}
		if got := strings.Join(names, " "); got != "add admin only_"+user+" whoami" {
			t.Errorf("%s sees %s", user, got)
		}
	}
}

func TestTokensOpenOneServer(t *testing.T) {
	p := visit(t, oauthtest.Options{AutoApprove: true})
	first := p.login(oauthtest.BrowseOptions{}).text("access_token")
	here, there := p.s.MCP, p.s.Second
	knock := func(token, at string) int {
		return p.do(http.MethodPost, at, "application/json", hello, "Authorization", "Bearer "+token,
			"Accept", "application/json, text/event-stream").status
	}
	second := func(q url.Values) { q.Set("resource", there) }
	other := p.exchange(p.browse(oauthtest.BrowseOptions{}, second).Get("code"), second).text("access_token")
	for _, c := range []struct {
		token, at string
		want      int
	}{{first, here, 200}, {first, there, 401}, {other, here, 401}, {other, there, 200}} {
		if got := knock(c.token, c.at); got != c.want {
			t.Errorf("%s at %s got %d, not %d", c.token, c.at, got, c.want)
		}
	}
	if r := p.get(strings.Replace(there, "/second", prm+"/second", 1)); r.text("resource") != there {
		t.Errorf("its metadata is %s", r.body)
	}
}

func TestManyPeopleAtOnce(t *testing.T) {
	p := visit(t, oauthtest.Options{})
	p.register(nil)
	for i := range 32 {
		user := fmt.Sprint("user", i)
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			mine := *p
			mine.t = t
			tokens := mine.login(oauthtest.BrowseOptions{User: user})
			tokens = mine.refresh(tokens.text("refresh_token"), nil)
			session, err := mine.connect(tokens.text("access_token"), false)
			if err != nil {
				t.Fatal(err)
			}
			if who, err := call(t.Context(), session, "whoami", nil); who != user || err != nil {
				t.Errorf("whoami answered %q, %v", who, err)
			}
		})
	}
}
