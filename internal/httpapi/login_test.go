package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"
)

// TestCallBeforeLogin: the answer is worded for a model that tells a person.
func TestCallBeforeLogin(t *testing.T) {
	d := openDoor(t, doorSetup{})
	r := d.do("POST", "/notes/whoami", "{}")
	link := r.refusal(t).AuthorizationURL
	want := `{"detail":{"error":"authentication_required","message":"notes needs your permission. Open ` + link +
		`, sign in, then ask me again.","authorization_url":"` + link + `","server":"notes"}}`
	if r.body != want || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("the answer is %s, want %s", r.body, want)
	}
	if !strings.HasPrefix(link, d.url+"/oauth/notes/authorize?ticket=") || r.header.Get("WWW-Authenticate") == "" {
		t.Errorf("link %s, header %v", link, r.header)
	}
	if again := d.link("notes"); again != link {
		t.Errorf("a second call is told another link, %s", again)
	}
}

// TestLogin: the link leads to a login, after which tools work, without a
// restart and without asking for a connection.
func TestLogin(t *testing.T) {
	for name, web := range map[string]bool{"at the loopback port": false, "at the public URL": true} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, doorSetup{web: web})
			d.login("notes")
			d.do("POST", "/notes/whoami", "{}").want(t, "whoami", http.StatusOK, `"alice"`)
			d.do("POST", "/notes/add", `{"a":20,"b":22}`).want(t, "add", http.StatusOK, "42")
			if n := d.outside.Requests("token"); n != 1 {
				t.Errorf("%d codes were exchanged", n)
			}
		})
	}
}

// TestLoginWakes: the connection is opened as soon as the login is made, before
// anybody calls.
func TestLoginWakes(t *testing.T) {
	d := openDoor(t, doorSetup{})
	link := d.link("notes")
	before := d.outside.Requests("mcp")
	page := d.browse(link, oauthtest.BrowseOptions{})
	wantPage(t, page, http.StatusOK, "Connected")
	if err := d.outside.Await(soon(t), "mcp", before+3); err != nil { // initialize, initialized, tools/list
		t.Errorf("nobody connected after the login: %v", err)
	}
}

// paths lists the paths of a document, each with its operation's id.
func paths(t *testing.T, r reply) string {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Description string `json:"description"`
		} `json:"paths"`
	}
	if r.status != http.StatusOK || json.Unmarshal([]byte(r.body), &doc) != nil {
		t.Fatalf("%d %s is no document", r.status, r.body)
	}
	all := ""
	for _, path := range []string{"/login", "/whoami", "/add", "/admin"} {
		for method, op := range doc.Paths[path] {
			all += method + " " + path + " " + op.OperationID + "\n"
			if path == "/login" && !strings.Contains(op.Description, "show it to the user") {
				t.Errorf("the model is not told what to do with the link: %q", op.Description)
			}
		}
	}
	if len(doc.Paths) != strings.Count(all, "\n") {
		t.Errorf("unexpected paths in %s", r.body)
	}
	return all
}

const (
	onlyLogin = "get /login connect_notes\n"
	tools     = "post /whoami tool_whoami_post\npost /add tool_add_post\npost /admin tool_admin_post\n"
)

// TestDocumentFollowsLogin: a document holds the way to log in, alone, while
// there is no login, and tools while there is one.
func TestDocumentFollowsLogin(t *testing.T) {
	d := openDoor(t, doorSetup{})
	step := func(what, want string) string {
		t.Helper()
		r := d.do("GET", "/notes/openapi.json", "")
		if got := paths(t, r); got != want {
			t.Errorf("%s: the document has\n%s", what, got)
		}
		return r.header.Get("ETag")
	}
	before := step("before the login", onlyLogin)
	d.login("notes")
	if after := step("after it", tools); after == before {
		t.Error("the ETag stayed the same")
	}
	d.outside.RevokeAll()
	d.do("POST", "/notes/whoami", "{}").refusal(t) // who calls finds out
	step("after it was revoked", onlyLogin)
	d.login("notes")
	step("after a second login", tools)
}

// TestExpiredToken: a person is not asked where a refresh does it, and told that
// the login is over where it does not.
func TestExpiredToken(t *testing.T) {
	d := openDoor(t, doorSetup{})
	d.login("notes")
	d.outside.Expire()
	d.do("POST", "/notes/whoami", "{}").want(t, "after the access token ran out", http.StatusOK, "alice")
	if n := d.outside.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	d.outside.RevokeAll()
	got := d.do("POST", "/notes/whoami", "{}").refusal(t)
	if got.Error != "token_expired" || got.Server != "notes" || !strings.HasPrefix(got.Message, "notes needs your permission. Open ") {
		t.Errorf("after the login was taken away: %+v", got)
	}
	d.login("notes")
	d.do("POST", "/notes/whoami", "{}").want(t, "after a new login", http.StatusOK, "alice")
}

// TestLoginRoute answers programs in JSON and sends browsers on.
func TestLoginRoute(t *testing.T) {
	d := openDoor(t, doorSetup{})
	if got := d.do("GET", "/notes/login", "", "Accept: application/json").refusal(t); got.Error != "authentication_required" {
		t.Errorf("a program is told %+v", got)
	}
	r := d.do("GET", "/notes/login", "", "Accept: text/html,*/*;q=0.8")
	if r.status != http.StatusSeeOther || r.header.Get("Location") != d.link("notes") {
		t.Errorf("a browser is told %d %v", r.status, r.header)
	}
	d.login("notes")
	r = d.do("GET", "/notes/login", "")
	if r.status != http.StatusOK || r.body != `{"status":"connected"}` {
		t.Errorf("after the login: %d %s", r.status, r.body)
	}
}

// TestStatus tells what there is to tell, and no token.
func TestStatus(t *testing.T) {
	d := openDoor(t, doorSetup{})
	r := d.do("GET", "/oauth/notes/status", "")
	if r.status != http.StatusOK || r.body != `{"server":"notes","authenticated":false,"user":"local","expires_at":null,"scopes":[]}` {
		t.Errorf("before the login: %d %s", r.status, r.body)
	}
	d.login("notes")
	r = d.do("GET", "/oauth/notes/status", "")
	var got struct {
		Server, User  string
		Authenticated bool
		ExpiresAt     time.Time `json:"expires_at"`
		Scopes        []string
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || got.Server != "notes" || !got.Authenticated || got.User != "local" ||
		time.Until(got.ExpiresAt) < 50*time.Minute || len(got.Scopes) != 1 || got.Scopes[0] != "mcp" {
		t.Errorf("after it: %s, %v", r.body, err)
	}
	if strings.Count(r.body, `":`) != 5 || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the status is %s, %v", r.body, r.header)
	}
}

// TestClientDocument is what an authorization server may fetch (Client ID
// Metadata Document).
func TestClientDocument(t *testing.T) {
	d := openDoor(t, doorSetup{Options: Options{PublicURL: "https://tools.example"}, web: true, second: true})
	r := d.do("GET", oauth.DocumentPath, "", "Host: tools.example")
	var doc struct {
		ID        string   `json:"client_id"`
		Redirects []string `json:"redirect_uris"`
		Method    string   `json:"token_endpoint_auth_method"`
	}
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil || r.status != http.StatusOK {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	if doc.ID != "https://tools.example"+oauth.DocumentPath || doc.Method != "none" || len(doc.Redirects) != 2 ||
		doc.Redirects[0] != "https://tools.example/oauth/notes/callback" || doc.Redirects[1] != "https://tools.example/oauth/other/callback" {
		t.Errorf("the document is %s", r.body)
	}
}

// TestStepUp: a tool that needs more than was granted asks for it with a link,
// and works after that. What is never enough is asked for three times in all.
func TestStepUp(t *testing.T) {
	d := openDoor(t, doorSetup{})
	d.login("notes")
	r := d.do("POST", "/notes/admin", "{}")
	got := r.refusal(t)
	if got.Error != "authentication_required" || !strings.HasPrefix(got.Message, "notes needs more permission for this. Open ") {
		t.Errorf("%+v", got)
	}
	d.do("POST", "/notes/whoami", "{}").want(t, "another tool meanwhile", http.StatusOK, "alice")
	wantPage(t, d.browse(got.AuthorizationURL, oauthtest.BrowseOptions{}), http.StatusOK, "Connected")
	if scope := d.outside.LastForm("authorize").Get("scope"); scope != "mcp admin" {
		t.Errorf("the scopes asked for are %q", scope)
	}
	d.do("POST", "/notes/admin", "{}").want(t, "admin after the second login", http.StatusOK, "alice")
}

// TestLoginOverSSE: the older transport works as the newer one does.
func TestLoginOverSSE(t *testing.T) {
	d := openDoor(t, doorSetup{outside: oauthtest.Options{SSE: true}})
	d.login("notes")
	d.do("POST", "/notes/whoami", "{}").want(t, "whoami", http.StatusOK, "alice")
	link := d.do("POST", "/notes/admin", "{}").refusal(t).AuthorizationURL
	wantPage(t, d.browse(link, oauthtest.BrowseOptions{User: "bob"}), http.StatusOK, "Connected")
	d.do("POST", "/notes/admin", "{}").want(t, "admin", http.StatusOK, "bob")
	d.outside.Expire()
	d.do("POST", "/notes/whoami", "{}").want(t, "after a refresh", http.StatusOK, "bob")
	d.do("POST", "/connections/notes/disconnect", "").want(t, "leaving", http.StatusOK, `"revoked":true`)
	d.wantAsked("notes")
}

// TestOtherAccount: a second login may be that of another person, whose MCP
// session is not that of the first.
func TestOtherAccount(t *testing.T) {
	d := openDoor(t, doorSetup{})
	d.login("notes")
	d.do("POST", "/notes/whoami", "{}").want(t, "whoami", http.StatusOK, "alice")
	link := d.do("POST", "/notes/admin", "{}").refusal(t).AuthorizationURL
	wantPage(t, d.browse(link, oauthtest.BrowseOptions{User: "bob"}), http.StatusOK, "Connected")
	d.do("POST", "/notes/whoami", "{}").want(t, "whoami after bob's login", http.StatusOK, "bob")
	d.do("POST", "/notes/admin", "{}").want(t, "admin after bob's login", http.StatusOK, "bob")
}

func TestStepUpEnds(t *testing.T) {
	d := openDoor(t, doorSetup{outside: oauthtest.Options{NeverEnough: true}})
	d.login("notes")
	for range 3 {
		link := d.do("POST", "/notes/admin", "{}").refusal(t).AuthorizationURL
		wantPage(t, d.browse(link, oauthtest.BrowseOptions{}), http.StatusOK, "Connected")
	}
	d.do("POST", "/notes/admin", "{}").want(t, "after three logins", http.StatusForbidden, "ask whoever runs it")
	d.do("POST", "/notes/whoami", "{}").want(t, "another tool", http.StatusOK, "alice")
}

// TestInboundCredentialsStay: what callers and browsers show to mcpo is for
// mcpo (threats 13).
func TestInboundCredentialsStay(t *testing.T) {
	d := openDoor(t, doorSetup{Options: Options{Key: testKey}, oauth: shared})
	key := "Authorization: Bearer " + testKey
	link := d.do("POST", "/notes/whoami", "{}", key).refusal(t).AuthorizationURL
	wantPage(t, d.browse(link, oauthtest.BrowseOptions{}), http.StatusOK, "Connected")
	d.do("POST", "/notes/whoami", "{}", key, "Cookie: token=inbound", "X-OpenWebUI-User-Jwt: inbound", "X-OpenWebUI-User-Id: inbound",
		"Proxy-Authorization: Basic inbound").want(t, "whoami", http.StatusOK, "alice")
	header := d.outside.LastHeader("mcp")
	if auth := header["Authorization"]; len(auth) != 1 || !d.outside.Active(strings.TrimPrefix(auth[0], "Bearer ")) {
		t.Errorf("Authorization is %d values, not one good token", len(auth))
	}
	for name, values := range header {
		if all := strings.Join(values, " "); strings.Contains(all, "inbound") || strings.Contains(all, testKey) {
			t.Errorf("%s went to the server", name)
		}
	}
}

// TestShared: with multi_user false everybody has the one login, whoever made
// it, and from wherever.
func TestShared(t *testing.T) {
	d := openDoor(t, doorSetup{oauth: shared})
	d.login("notes")
	d.do("POST", "/notes/whoami", "{}", "X-Forwarded-For: 192.0.2.1").want(t, "through a proxy", http.StatusOK, "alice")
	d.do("POST", "/notes/whoami", "{}", "Authorization: Bearer whose").want(t, "with a stranger's token", http.StatusOK, "alice")
	d.do("GET", "/oauth/notes/status", "").want(t, "status", http.StatusOK, `"user":"shared"`)
}

// TestRefreshFails: while the authorization server is down nobody is asked to
// log in anew, for that would not help.
func TestRefreshFails(t *testing.T) {
	d := openDoor(t, doorSetup{})
	d.login("notes")
	d.outside.Set(func(o *oauthtest.Options) { o.Instead["refresh"] = oauthtest.Answer{Status: 503, Body: "down"} })
	d.outside.Expire()
	r := d.do("POST", "/notes/whoami", "{}")
	if r.status/100 != 5 || strings.Contains(r.body, "authorize") || strings.Contains(r.body, "127.0.0.1") {
		t.Errorf("a call is answered %d %s", r.status, r.body)
	}
	d.outside.Set(func(o *oauthtest.Options) { delete(o.Instead, "refresh") })
	d.await(http.StatusOK, "/notes/whoami")
	if d.outside.Requests("authorize") != 1 {
		t.Error("the person was asked again")
	}
}

// ticketOf is the secret of a link.
func ticketOf(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil || u.Query().Get("ticket") == "" {
		t.Fatalf("%q is no link", link)
	}
	return u.Query().Get("ticket")
}

// TestOverIsNotConnected: who asks for the way to log in when the login has run
// out is told it, though the tools are still known and nobody has called since.
func TestOverIsNotConnected(t *testing.T) {
	d := openDoor(t, doorSetup{outside: oauthtest.Options{NoRefreshTokens: true, AccessTTL: 2 * time.Second}})
	d.login("notes")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(hurry); time.Now().Before(deadline); <-tick.C {
		if r := d.do("GET", "/notes/login", ""); r.status == http.StatusUnauthorized {
			r.refusal(t)
			return
		}
	}
	t.Error("the login is over, and is said to be connected")
}
