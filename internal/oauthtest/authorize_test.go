package oauthtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/oauthtest"
)

func TestAuthorizationRequests(t *testing.T) {
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	drop := func(name string) func(url.Values) { return func(q url.Values) { q.Del(name) } }
	for name, c := range map[string]struct {
		o      oauthtest.Options
		change func(url.Values)
		want   string // the error that comes back
	}{
		"usual":                {oauthtest.Options{}, nil, ""},
		"no PKCE":              {oauthtest.Options{}, drop("code_challenge"), "invalid_request"},
		"PKCE not wanted":      {oauthtest.Options{PKCEMethods: []string{}}, drop("code_challenge"), ""},
		"plain PKCE":           {oauthtest.Options{}, set("code_challenge_method", "plain"), "invalid_request"},
		"token":                {oauthtest.Options{}, set("response_type", "token"), "unsupported_response_type"},
		"unknown scope":        {oauthtest.Options{}, set("scope", "mcp moon"), "invalid_scope"},
		"two scopes":           {oauthtest.Options{}, set("scope", "mcp admin"), ""},
		"no resource":          {oauthtest.Options{}, drop("resource"), "invalid_target"},
		"optional resource":    {oauthtest.Options{OptionalResource: true}, drop("resource"), ""},
		"another resource":     {oauthtest.Options{}, set("resource", "https://x.example"), "invalid_target"},
		"resource with slash":  {oauthtest.Options{}, func(q url.Values) { q.Set("resource", q.Get("resource")+"/") }, ""},
		"resource not allowed": {oauthtest.Options{RefuseResource: true}, nil, "invalid_target"},
		"without it":           {oauthtest.Options{RefuseResource: true}, drop("resource"), ""},
		"twice":                {oauthtest.Options{}, func(q url.Values) { q.Add("state", "2") }, "invalid_request"},
		"always an error":      {oauthtest.Options{AuthorizeError: "server_error"}, nil, "server_error"},
	} {
		t.Run(name, func(t *testing.T) {
			p := visit(t, c.o)
			p.register(nil)
			back := p.browse(oauthtest.BrowseOptions{}, c.change)
			if back.Get("error") != c.want || (back.Get("code") == "") != (c.want != "") || back.Get("state") != "state-1" {
				t.Errorf("came back with %v", back)
			}
		})
	}
}

func TestUnknownApplicationsAreNotRedirectedTo(t *testing.T) {
	p := visit(t, oauthtest.Options{})
	p.register(nil)
	for _, name := range []string{"client_id", "redirect_uri"} {
		page, err := oauthtest.Browse(testContext(t), p.authorizeURL(func(q url.Values) { q.Set(name, p.redirect+"/other") }), oauthtest.BrowseOptions{})
		if err != nil || page.Status != http.StatusBadRequest || !strings.HasPrefix(page.URL, p.s.Issuer) {
			t.Errorf("a wrong %s led to %s with %d, %v", name, page.URL, page.Status, err)
		}
	}
}

func TestNamingTheIssuer(t *testing.T) {
	for name, c := range map[string]struct {
		iss  oauthtest.Iss
		want func(issuer string) []string
	}{
		"advertised":   {oauthtest.IssAdvertised, func(i string) []string { return []string{i} }},
		"unadvertised": {oauthtest.IssUnadvertised, func(i string) []string { return []string{i} }},
		"none":         {oauthtest.IssNone, func(string) []string { return nil }},
		"missing":      {oauthtest.IssMissing, func(string) []string { return nil }},
		"wrong":        {oauthtest.IssWrong, func(string) []string { return []string{"https://elsewhere.example"} }},
		"normalised":   {oauthtest.IssNormalised, func(i string) []string { return []string{strings.Replace(i, "http", "HTTP", 1)} }},
	} {
		t.Run(name, func(t *testing.T) {
			p := visit(t, oauthtest.Options{Iss: c.iss, AutoApprove: true})
			p.register(nil)
			for _, deny := range []string{"", "access_denied"} {
				p.s.Set(func(o *oauthtest.Options) { o.AuthorizeError = deny })
				if diff := cmp.Diff(c.want(p.s.Issuer), p.browse(oauthtest.BrowseOptions{}, nil)["iss"]); diff != "" {
					t.Errorf("iss with %q (-want +got):\n%s", deny, diff)
				}
			}
		})
	}
}

func TestSayingNo(t *testing.T) {
	p := visit(t, oauthtest.Options{})
	p.register(nil)
	back := p.browse(oauthtest.BrowseOptions{Deny: true}, nil)
	if back.Get("error") != "access_denied" || back.Has("code") {
		t.Errorf("came back with %v", back)
	}
}

func TestHostileRedirects(t *testing.T) {
	hostile := "<script>\u202e\r\n" + strings.Repeat("x", 10_000)
	p := visit(t, oauthtest.Options{AutoApprove: true, AuthorizeError: "<b>", ErrorDescription: hostile, State: "another"})
	p.register(nil)
	back := p.browse(oauthtest.BrowseOptions{}, nil)
	if back.Get("error_description") != hostile || back.Get("error") != "<b>" || back.Get("state") != "another" {
		t.Errorf("came back with %.200v", back)
	}
}

func TestAQuestionIsAnsweredOnce(t *testing.T) {
	p := visit(t, oauthtest.Options{})
	p.register(nil)
	p.browse(oauthtest.BrowseOptions{}, nil)
	form := p.s.LastForm("consent")
	if r := p.post("consent", form); r.status != http.StatusBadRequest {
		t.Errorf("the second answer got %d", r.status)
	}
	if r := p.post("login", url.Values{"question": {"x"}, "username": {"bob"}}); r.status != http.StatusBadRequest {
		t.Errorf("a login without a question got %d", r.status)
	}
}

func TestConsentIsThePersonsOwn(t *testing.T) {
	p := visit(t, oauthtest.Options{})
	p.register(nil)
	page, err := oauthtest.Browse(testContext(t), p.authorizeURL(nil), oauthtest.BrowseOptions{StopAtForm: true})
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(page.Body, `name="question" value="`)
	question, _, _ := strings.Cut(rest, `"`)
	p.post("login", url.Values{"question": {question}, "username": {"bob"}})
	if r := p.post("consent", url.Values{"question": {question}, "decision": {"approve"}}); r.status != http.StatusBadRequest {
		t.Errorf("a browser where nobody signed in got %d", r.status)
	}
}
