package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"
	"mcpo/internal/openapi"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

const webUIKey = "the-key-of-open-webui-0123456789"

// known makes callers known by Open WebUI's session tokens.
func known() *caller.Identifier {
	return caller.NewIdentifier(caller.Options{SessionKey: webUIKey})
}

// by is the header of a caller who is known.
func by(t *testing.T, who string) string {
	t.Helper()
	claims := jwt.MapClaims{"id": who, "exp": time.Now().Add(time.Hour).Unix()}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(webUIKey))
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: Bearer " + token
}

// loginAs is a whole login of a caller, with the account of the same name.
func (d *door) loginAs(who, server string) {
	d.t.Helper()
	link := d.do("POST", "/"+server+"/whoami", "{}", by(d.t, who)).refusal(d.t).AuthorizationURL
	wantPage(d.t, d.browse(link, oauthtest.BrowseOptions{User: who}), http.StatusOK, "Connected. You can close this tab.")
	d.do("POST", "/"+server+"/whoami", "{}", by(d.t, who)).want(d.t, who, http.StatusOK, `"`+who+`"`)
}

// ownTools gives everybody but twins a tool of their own.
func ownTools(user string, s *mcp.Server) {
	if !strings.HasPrefix(user, "twin") {
		mcp.AddTool(s, &mcp.Tool{Name: "own_" + user}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: user}}}, nil, nil
		})
	}
}

// idsOf gives the ids of a document's operations.
func idsOf(t *testing.T, r reply) string {
	t.Helper()
	var d struct {
		Paths map[string]map[string]struct {
			ID string `json:"operationId"`
		}
	}
	if err := json.Unmarshal([]byte(r.body), &d); err != nil || r.status != http.StatusOK {
		t.Errorf("%d %s is no document: %v", r.status, r.body, err)
	}
	var ids []string
	for _, methods := range d.Paths {
		for _, operation := range methods {
			ids = append(ids, operation.ID)
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// TestDocumentsOfCallers: with an identity the document has exactly that
// caller's tools, without one those of all and the way to log in (threats 22).
func TestDocumentsOfCallers(t *testing.T) {
	d := openDoor(t, doorSetup{identify: known(), outside: oauthtest.Options{Tools: ownTools}})
	document := func(headers ...string) reply { return d.do("GET", "/notes/openapi.json", "", headers...) }
	if got := idsOf(t, document()); got != "connect_notes" {
		t.Errorf("before anybody came everybody sees %s", got)
	}
	for _, who := range []string{"alice", "bob", "twin1", "twin2"} {
		d.loginAs(who, "notes")
	}
	etags := map[string]string{}
	for who, want := range map[string]string{
		"alice": "tool_add_post tool_admin_post tool_own_alice_post tool_whoami_post",
		"bob":   "tool_add_post tool_admin_post tool_own_bob_post tool_whoami_post",
		"twin1": "tool_add_post tool_admin_post tool_whoami_post",
		"twin2": "tool_add_post tool_admin_post tool_whoami_post",
		"carol": "connect_notes",
		"":      "connect_notes tool_add_post tool_admin_post tool_own_alice_post tool_own_bob_post tool_whoami_post",
	} {
		var headers []string
		if who != "" {
			headers = []string{by(t, who)}
		}
		r := document(headers...)
		if got := idsOf(t, r); got != want {
			t.Errorf("%q sees %s, want %s", who, got, want)
		}
		etags[who] = r.header.Get("ETag")
		if again := document(append(headers, "If-None-Match: "+etags[who])...); again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("%q asks again: %d", who, again.status)
		}
		if stored := r.header.Get("Cache-Control"); !strings.Contains(stored, "no-cache") {
			t.Errorf("%q: Cache-Control is %q", who, stored)
		}
	}
	if etags["twin1"] != etags["twin2"] {
		t.Error("two callers with the same tools have different documents")
	}
	seen := map[string]string{}
	for who, etag := range etags {
		if other, twice := seen[etag]; twice && !strings.HasPrefix(who, "twin") {
			t.Errorf("%q and %q have one ETag", who, other)
		}
		seen[etag] = who
	}
	if r := document(by(t, "alice"), "If-None-Match: "+etags["bob"]); r.status != http.StatusOK {
		t.Errorf("alice with bob's ETag: %d", r.status)
	}
	d.do("POST", "/notes/own_bob", "{}", by(t, "alice")).want(t, "bob's tool by alice", http.StatusNotFound, "has no tool")
}

// TestPrivateCatalogue: nobody in particular sees anything but the way to log in.
func TestPrivateCatalogue(t *testing.T) {
	d := openDoor(t, doorSetup{identify: known(), outside: oauthtest.Options{Tools: ownTools}, oauth: func(o *config.OAuth) { o.Catalog = "private" }})
	d.loginAs("alice", "notes")
	for what, headers := range map[string][]string{"nobody": nil, "a stranger": {by(t, "carol")}, "a wrong token": {by(t, "alice") + "x"}} {
		r := d.do("GET", "/notes/openapi.json", "", headers...)
		if got := idsOf(t, r); got != "connect_notes" || strings.Contains(r.body, "alice") {
			t.Errorf("%s sees %s", what, got)
		}
	}
	if got := idsOf(t, d.do("GET", "/notes/openapi.json", "", by(t, "alice"))); !strings.Contains(got, "own_alice") {
		t.Errorf("alice sees %s", got)
	}
}

// TestStrangersRenewNothing: who fetches a document without the key makes mcpo
// ask nobody, whatever state the shared login is in.
func TestStrangersRenewNothing(t *testing.T) {
	d := openDoor(t, doorSetup{oauth: shared, Options: Options{Key: testKey}})
	key := "Authorization: Bearer " + testKey
	link := d.do("POST", "/notes/whoami", "{}", key).refusal(t).AuthorizationURL
	wantPage(t, d.browse(link, oauthtest.BrowseOptions{}), http.StatusOK, "Connected.")
	d.do("POST", "/notes/whoami", "{}", key).want(t, "with the key", http.StatusOK, "alice")
	d.outside.Set(func(o *oauthtest.Options) { o.NeverAccept = true })
	d.do("POST", "/notes/whoami", "{}", key)
	before := d.outside.Requests("refresh")
	for range 5 {
		d.do("GET", "/notes/openapi.json", "").want(t, "a document for a stranger", http.StatusOK, "openapi")
	}
	if n := d.outside.Requests("refresh") - before; n != 0 {
		t.Errorf("strangers made %d refreshes", n)
	}
}

// TestDocumentsAreBuiltOnce for all who see the same, however many ask.
func TestDocumentsAreBuiltOnce(t *testing.T) {
	d := openDoor(t, doorSetup{identify: known(), outside: oauthtest.Options{Tools: ownTools}})
	d.loginAs("twin1", "notes")
	d.loginAs("twin2", "notes")
	m := NewGeneration([]Served{{Server: d.server, Logins: d.logins}}, false, known()).byName["notes"]
	var built atomic.Int32
	info := func(view) openapi.Info { built.Add(1); return openapi.Info{Title: "notes", Version: "1"} }
	var all sync.WaitGroup
	for n := range 100 {
		all.Go(func() { m.document(m.viewOf(caller.User([]string{"twin1", "twin2"}[n%2])), info, func(string) {}) })
	}
	all.Wait()
	if n := built.Load(); n != 1 {
		t.Errorf("one document was built %d times", n)
	}
}

// TestDocumentsHaveABound: however many callers have tools of their own, so many
// documents are kept, and those in use are not all built again for one more.
func TestDocumentsHaveABound(t *testing.T) {
	d := openDoor(t, doorSetup{identify: known()})
	m := NewGeneration([]Served{{Server: d.server, Logins: d.logins}}, false, known()).byName["notes"]
	built := 0
	info := func(view) openapi.Info { built++; return openapi.Info{Title: "notes", Version: "1"} }
	lists := make([]*upstream.ToolList, maxViews+50)
	for n := range lists {
		lists[n] = &upstream.ToolList{Tools: []wire.Tool{{Name: "t", Raw: []byte(`{"name":"t","inputSchema":{"type":"object"}}`)}}}
	}
	rounds := func(of []*upstream.ToolList, n int) int {
		built = 0
		for range n {
			for _, l := range of {
				m.document(view{list: l}, info, func(string) {})
			}
		}
		return built
	}
	if n := rounds(lists[:maxViews], 2); n != maxViews {
		t.Errorf("%d documents that may be kept were built %d times", maxViews, n)
	}
	if n := rounds(lists, 3); n > 2*len(lists) {
		t.Errorf("%d documents were built %d times in three rounds", len(lists), n)
	}
	kept := 0
	m.views.Range(func(any, any) bool { kept++; return true })
	if kept != m.kept || kept > maxViews {
		t.Errorf("%d documents are kept, and %d counted", kept, m.kept)
	}
}

// TestWhoseBrowserItIs: a browser that is signed in to Open WebUI twice as one
// person is that person's; as two, it is nobody's (threats 19).
func TestWhoseBrowserItIs(t *testing.T) {
	d := openDoor(t, doorSetup{identify: known()})
	d.loginAs("alice", "notes")
	cookie := func(who string) string { return "token=" + strings.TrimPrefix(by(t, who), "Authorization: Bearer ") }
	d.do("GET", "/connections", "", "Cookie: "+cookie("alice")).want(t, "alice", http.StatusOK, `"user":"alice"`)
	d.do("GET", "/connections", "", "Cookie: "+cookie("alice")+"; "+cookie("alice")).want(t, "alice twice", http.StatusOK, `"user":"alice"`)
	for _, two := range [][]string{{"alice", "bob"}, {"bob", "alice"}} {
		header := "Cookie: " + cookie(two[0]) + "; " + cookie(two[1])
		d.do("GET", "/connections", "", header).want(t, "two people", http.StatusUnauthorized, "more than one person")
		d.do("POST", "/connections/notes/disconnect", "", header).want(t, "two people", http.StatusUnauthorized, "more than one person")
	}
	d.do("POST", "/notes/whoami", "{}", by(t, "alice")).want(t, "alice, after that", http.StatusOK, "alice")
}

// TestBadProofIsNoProof: where a header says who it is and does not hold, the
// cookie beside it does not count (threats 19). mcpo's key says nothing of that.
func TestBadProofIsNoProof(t *testing.T) {
	d := openDoor(t, doorSetup{identify: known(), Options: Options{Key: testKey, StrictAuth: true}})
	cookie := "Cookie: token=" + strings.TrimPrefix(by(t, "alice"), "Authorization: Bearer ")
	for _, header := range []string{"Authorization: Bearer a.b.c", "Authorization: Bearer sk-1234", "Authorization: Bearer wrong", "Authorization: Basic eDp4",
		"Authorization: ", by(t, "bob") + "x", "X-OpenWebUI-User-Id: alice", "X-OpenWebUI-User-Jwt: a.b.c"} {
		for _, page := range []string{"GET /connections", "GET /notes/login", "POST /connections/notes/disconnect"} {
			method, path, _ := strings.Cut(page, " ")
			if r := d.do(method, path, "", header, cookie); r.status != http.StatusUnauthorized && r.status != http.StatusForbidden || strings.Contains(r.body, "ticket=") {
				t.Errorf("%s with %s is %d %s", page, header, r.status, r.body)
			}
		}
	}
	d.do("GET", "/connections", "", by(t, "bob"), cookie).want(t, "bob with alice's cookie", http.StatusOK, `"user":"bob"`)
	for _, headers := range [][]string{{cookie}, {cookie, "Authorization: " + basic}} {
		d.do("GET", "/connections", "", headers...).want(t, "alice's browser", http.StatusOK, `"user":"alice"`)
	}
}

// TestCeilingLosesNoCall: callers who take each other's connection away are
// answered all the same.
func TestCeilingLosesNoCall(t *testing.T) {
	d := openDoor(t, doorSetup{identify: known(), outside: oauthtest.Options{Tools: ownTools}})
	everybody := []string{"alice", "bob", "carol"}
	for _, who := range everybody {
		d.loginAs(who, "notes")
	}
	log := slog.New(slog.DiscardHandler)
	narrow := upstream.New(d.server.Config(), upstream.Options{MaxCallers: 1, Log: log, Identity: wire.Identity{Name: "httpapi-test", Version: "1"}},
		&upstream.Access{RoundTripper: d.logins.RoundTripper, Required: func(err error) bool { return errors.As(err, new(*oauth.LoginRequiredError)) }})
	narrow.Start()
	t.Cleanup(func() { narrow.Close(soon(t)) })
	h, wrapped := New(Options{MaxBody: 1 << 20, PublicURL: d.url, Log: log})
	h.Publish(NewGeneration([]Served{{Server: narrow, Logins: d.logins}}, false, known()))
	listener := httptest.NewServer(wrapped)
	t.Cleanup(listener.Close)
	a := &api{t: t, url: listener.URL}
	var all sync.WaitGroup
	for _, who := range everybody {
		header := by(t, who)
		all.Go(func() {
			for range 25 {
				a.do("POST", "/notes/own_"+who, "{}", header).want(t, who, http.StatusOK, who)
				if got := idsOf(t, a.do("GET", "/notes/openapi.json", "", header)); !strings.Contains(got, "own_"+who+"_") {
					t.Errorf("%s sees %s", who, got)
				}
			}
		})
	}
	all.Wait()
}
