package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcpo/internal/oauthtest"
)

// wantAsked fails the test unless a call is sent to log in.
func (d *door) wantAsked(server string) {
	d.t.Helper()
	d.do("POST", "/"+server+"/whoami", "{}").refusal(d.t)
}

// TestLeave revokes both tokens and closes the connection (threats 16).
func TestLeave(t *testing.T) {
	d := openDoor(t, doorSetup{second: true})
	d.login("notes")
	d.login("other")
	d.do("POST", "/notes/whoami", "{}").want(t, "whoami", http.StatusOK, "alice")
	held := d.outside.Tokens()
	r := d.do("POST", "/connections/notes/disconnect", "")
	if r.status != http.StatusOK || r.body != `{"revoked":true,"server":"notes","status":"disconnected"}` {
		t.Errorf("disconnecting: %d %s", r.status, r.body)
	}
	if n := d.outside.Requests("revoke"); n != 2 {
		t.Errorf("%d tokens were revoked", n)
	}
	for i, token := range held { // two of notes, then two of other
		if d.outside.Active(token) != (i >= 2) {
			t.Errorf("token %d is good: %v", i, d.outside.Active(token))
		}
	}
	d.do("GET", "/notes/login", "").refusal(t)
	if got := paths(t, d.do("GET", "/notes/openapi.json", "")); got != onlyLogin {
		t.Errorf("the document has\n%s", got)
	}
	d.wantAsked("notes")
	d.do("GET", "/oauth/notes/status", "").want(t, "status", http.StatusOK, `"authenticated":false`)
	d.do("POST", "/other/whoami", "{}").want(t, "the other server", http.StatusOK, "alice")
	r = d.do("POST", "/connections/notes/disconnect", "")
	if r.status != http.StatusOK || r.body != `{"revoked":false,"server":"notes","status":"disconnected"}` {
		t.Errorf("disconnecting again: %d %s", r.status, r.body)
	}
	d.login("notes")
	d.do("POST", "/notes/whoami", "{}").want(t, "after logging in again", http.StatusOK, "alice")
}

// TestLeaveUnrevoked: a server that does not revoke keeps nobody from
// leaving, who is told that it may still let mcpo in.
func TestLeaveUnrevoked(t *testing.T) {
	for name, outside := range map[string]oauthtest.Options{
		"no endpoint": {NoRevocation: true}, "failing": {Instead: map[string]oauthtest.Answer{"revoke": {Status: 503}}},
	} {
		d := openDoor(t, doorSetup{outside: outside})
		d.login("notes")
		r := d.do("POST", "/connections/notes/disconnect", "")
		r.want(t, name, http.StatusOK, `"revoked":false`)
		r.want(t, name, http.StatusOK, "remove mcpo's access in your account there")
		d.empty(name)
		d.wantAsked("notes")
	}
}

// TestLeaveDuringRefresh: a refresh in flight does not bring the login back
// (threats 16).
func TestLeaveDuringRefresh(t *testing.T) {
	d := openDoor(t, doorSetup{})
	d.login("notes")
	d.do("POST", "/notes/whoami", "{}").want(t, "whoami", http.StatusOK, "alice")
	release := d.outside.Hold("refresh")
	defer release()
	d.outside.Expire()
	called, left := make(chan reply, 1), make(chan reply, 1)
	go func() { called <- d.do("POST", "/notes/whoami", "{}") }()
	if err := d.outside.Await(soon(t), "refresh", 1); err != nil {
		t.Fatal(err)
	}
	go func() { left <- d.do("POST", "/connections/notes/disconnect", "") }()
	release()
	<-called // with alice or a refusal, as it came first
	(<-left).want(t, "disconnecting", http.StatusOK, "disconnected")
	d.empty("after leaving")
	d.wantAsked("notes")
	for i, token := range d.outside.Tokens() {
		if d.outside.Active(token) {
			t.Errorf("token %d is still good", i)
		}
	}
}

// TestLeaveForm: only our page, in this browser, sends a form that counts
// (threats 29).
func TestLeaveForm(t *testing.T) {
	d := openDoor(t, doorSetup{second: true})
	d.login("notes")
	d.login("other")
	csrf, cookie := d.form(d.url + "/connections")
	strange, _ := d.form(d.url + "/connections")
	const path = "/connections/notes/disconnect"
	for name, c := range map[string]struct {
		csrf    string
		headers []string
	}{
		"without the token":         {"", []string{cookie}},
		"with another's token":      {strange, []string{cookie}},
		"without the cookie":        {csrf, nil},
		"across sites":              {csrf, []string{cookie, "Sec-Fetch-Site: cross-site"}},
		"from a site next door":     {csrf, []string{cookie, "Sec-Fetch-Site: same-site"}},
		"from a page elsewhere":     {csrf, []string{cookie, "Origin: https://evil.example"}},
		"from another page here":    {csrf, []string{cookie, "Origin: http://localhost:1"}},
		"as text from another page": {csrf, []string{"Content-Type: text/plain", "Origin: http://localhost:1"}},
		"as JSON from another page": {csrf, []string{"Content-Type: application/json", "Sec-Fetch-Site: same-site"}},
	} {
		headers := append([]string{"Accept: text/html"}, c.headers...)
		r := d.send(path, url.Values{"csrf": {c.csrf}}, headers...)
		if strings.Contains(name, " as ") || strings.HasPrefix(name, "as ") {
			r = d.do("POST", path, "csrf="+c.csrf, headers...)
		}
		if r.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if d.outside.Requests("revoke") != 0 {
		t.Fatal("a forged form was obeyed")
	}
	r := d.send(path, url.Values{"csrf": {csrf}}, cookie, "Accept: text/html", "Origin: "+d.url, "Sec-Fetch-Site: same-origin")
	if r.status != http.StatusSeeOther || r.header.Get("Location") != "/connections" {
		t.Errorf("the form itself: %d %v", r.status, r.header)
	}
	d.wantAsked("notes")
	d.do("POST", "/other/whoami", "{}").want(t, "the other server", http.StatusOK, "alice")
}

// TestConnections lists servers with logins, for people and for programs.
func TestConnections(t *testing.T) {
	d := openDoor(t, doorSetup{second: true})
	d.login("notes")
	page := d.browse(d.url+"/connections", oauthtest.BrowseOptions{StopAtForm: true})
	wantPage(t, page, http.StatusOK, `action="/connections/notes/disconnect"`)
	wantPage(t, page, http.StatusOK, `href="/other/login"`)
	wantPage(t, page, http.StatusOK, "for <strong><bdi>you, on this machine</bdi></strong>")
	if strings.Contains(page.Body, "until") {
		t.Errorf("a login that is renewed by itself seems to end: %s", page.Body)
	}
	if strings.Contains(page.Body, "/connections/other/disconnect") || strings.Contains(page.Body, "/notes/login") {
		t.Errorf("the page offers what makes no sense: %s", page.Body)
	}
	r := d.do("GET", "/connections", "")
	var list []loginStatus
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list) != 2 || list[0].Server != "notes" || !list[0].Authenticated ||
		list[1].Server != "other" || list[1].Authenticated {
		t.Errorf("the list is %d %s, %v", r.status, r.body, err)
	}
	if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("the list comes with %v", r.header)
	}
	for _, token := range d.outside.Tokens() {
		if strings.Contains(r.body+page.Body, token) {
			t.Error("a token is shown")
		}
	}
}

// TestConnectionThatEnds says when.
func TestConnectionThatEnds(t *testing.T) {
	d := openDoor(t, doorSetup{outside: oauthtest.Options{NoRefreshTokens: true}, oauth: shared})
	d.login("notes")
	page := d.browse(d.url+"/connections", oauthtest.BrowseOptions{StopAtForm: true})
	wantPage(t, page, http.StatusOK, "until <time")
	wantPage(t, page, http.StatusOK, "for <strong><bdi>everybody who uses this mcpo</bdi></strong>")
}

// TestConnectionsElsewhere: paths are right behind a proxy with a path, and
// with a prefix.
func TestConnectionsElsewhere(t *testing.T) {
	d := openDoor(t, doorSetup{Options: Options{RootPath: "/tools", PathPrefix: "/mcp"}})
	page := d.browse(d.url+"/tools/connections", oauthtest.BrowseOptions{StopAtForm: true})
	wantPage(t, page, http.StatusOK, `href="/tools/mcp/notes/login"`)
	r := d.do("GET", "/tools/mcp/notes/login", "", "Accept: text/html")
	wantPage(t, d.browse(r.header.Get("Location"), oauthtest.BrowseOptions{}), http.StatusOK, "Connected.")
	page = d.browse(d.url+"/tools/connections", oauthtest.BrowseOptions{StopAtForm: true})
	wantPage(t, page, http.StatusOK, `action="/tools/connections/notes/disconnect"`)
	d.do("POST", "/tools/connections/notes/disconnect", "").want(t, "disconnecting", http.StatusOK, `"revoked":true`)
}

// TestOddNames: a server's name is one segment of every path, whatever is in it.
func TestOddNames(t *testing.T) {
	const name = `a/b "c"?<d>`
	d := openDoor(t, doorSetup{name: name, web: true})
	path := "/" + url.PathEscape(name)
	link := d.do("POST", path+"/whoami", "{}").refusal(t).AuthorizationURL
	if !strings.HasPrefix(link, d.url+"/oauth"+path+"/authorize?ticket=") {
		t.Fatalf("the link is %s", link)
	}
	wantPage(t, d.browse(link, oauthtest.BrowseOptions{}), http.StatusOK, "Connected.")
	d.do("POST", path+"/whoami", "{}").want(t, "whoami", http.StatusOK, "alice")
	d.do("GET", "/oauth"+path+"/status", "").want(t, "status", http.StatusOK, `"authenticated":true`)
	page := d.browse(d.url+"/connections", oauthtest.BrowseOptions{StopAtForm: true})
	wantPage(t, page, http.StatusOK, "a/b &#34;c&#34;?&lt;d&gt;")
	d.do("POST", "/connections"+path+"/disconnect", "").want(t, "disconnecting", http.StatusOK, `"revoked":true`)
}
