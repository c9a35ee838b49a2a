package httpapi

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"
)

// TestLoginMethods: each route takes what it is for, and says so.
func TestLoginMethods(t *testing.T) {
	d := openDoor(t, doorSetup{})
	for path, allow := range map[string]string{
		"/oauth/notes/status": "GET, HEAD", "/oauth/notes/callback": "GET", oauth.DocumentPath: "GET, HEAD", "/connections": "GET, HEAD",
		"/oauth/notes/authorize": "GET, HEAD, POST", "/connections/notes/disconnect": "POST",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			r := d.do(method, path, "")
			if allowed := strings.Contains(allow, method); (r.status == http.StatusMethodNotAllowed) == allowed {
				t.Errorf("%s %s = %d", method, path, r.status)
			} else if !allowed && r.header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow is %q", method, path, r.header.Get("Allow"))
			}
			if method == "HEAD" && r.body != "" {
				t.Errorf("HEAD %s has a body", path)
			}
		}
	}
	// A tool may be named login: it is posted to.
	d.do("POST", "/notes/login", "{}").refusal(t)
}

// TestLoginHead: HEAD says what GET would, and uses nothing up.
func TestLoginHead(t *testing.T) {
	d := openDoor(t, doorSetup{web: true})
	path := strings.TrimPrefix(d.link("notes"), d.url)
	for _, at := range []string{path, "/connections", "/oauth/notes/status", oauth.DocumentPath} {
		get, head := d.do("GET", at, ""), d.do("HEAD", at, "")
		if head.status != get.status || head.header.Get("Content-Type") != get.header.Get("Content-Type") || head.body != "" {
			t.Errorf("HEAD %s = %d %q, GET = %d", at, head.status, head.body, get.status)
		}
	}
}

// TestLookingBeginsNothing: in a browser that is signed in to Open WebUI opening
// the link begins the login, and looking ahead at it does not.
func TestLookingBeginsNothing(t *testing.T) {
	d := openDoor(t, doorSetup{web: true, identify: known()})
	cookie := "Cookie: token=" + strings.TrimPrefix(by(t, "alice"), "Authorization: Bearer ")
	path := strings.TrimPrefix(d.do("POST", "/notes/whoami", "{}", by(t, "alice")).refusal(t).AuthorizationURL, d.url)
	for what, r := range map[string]reply{
		"HEAD": d.do("HEAD", path, "", cookie), "prefetch": d.do("GET", path, "", cookie, "Sec-Purpose: prefetch"),
		"prerender": d.do("GET", path, "", cookie, "Sec-Purpose: prefetch;prerender"), "old prefetch": d.do("GET", path, "", cookie, "Purpose: prefetch"),
	} {
		if r.status != http.StatusOK {
			t.Errorf("%s: %d %s", what, r.status, r.header.Get("Location"))
		}
	}
	if r := d.do("GET", path, "", cookie); r.status != http.StatusSeeOther {
		t.Errorf("opening the link after that: %d %s", r.status, r.body)
	}
}

// TestCallbackIsNoHead: HEAD at the callback finishes no login, and spoils none.
func TestCallbackIsNoHead(t *testing.T) {
	for name, web := range map[string]bool{"at the loopback port": false, "at the public URL": true} {
		d := openDoor(t, doorSetup{web: web})
		jar := newBrowser(t)
		end := d.browse(d.link("notes"), oauthtest.BrowseOptions{StopBefore: true, Jar: jar}).URL
		req, err := http.NewRequestWithContext(soon(t), http.MethodHead, end, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET" {
			t.Errorf("%s: HEAD = %d %v", name, resp.StatusCode, resp.Header)
		}
		wantPage(t, d.browse(end, oauthtest.BrowseOptions{Jar: jar}), http.StatusOK, "Connected.")
	}
}

// TestLoginsAreForServersWithLogins: others have no such routes, and no server
// is found under another's.
func TestLoginsAreForServersWithLogins(t *testing.T) {
	a := serve(t, setup{servers: nil})
	for _, path := range []string{"/oauth/x/status", "/oauth/x/authorize", "/oauth/x/callback", "/x/login", "/oauth", "/oauth/", "/oauth/x", "/connections/x", "/oauth/x/tokens"} {
		a.do("GET", path, "").want(t, path, http.StatusNotFound, "nothing at this path")
	}
	a.do("POST", "/connections/x/disconnect", "").want(t, "disconnect", http.StatusNotFound, "nothing at this path")
	a.do("GET", "/connections", "").want(t, "connections", http.StatusOK, "[]")
}

// TestPagesAreNotForOtherPages: pages from elsewhere may read documents and
// answers of tools, as --cors-allow-origins says, but no page of ours.
func TestPagesAreNotForOtherPages(t *testing.T) {
	d := openDoor(t, doorSetup{Options: Options{Key: testKey, CORSOrigins: []string{"*", "https://chat.example"}}, oauth: shared})
	key := "Authorization: Bearer " + testKey
	link := d.do("POST", "/notes/whoami", "{}", key).refusal(t).AuthorizationURL
	for _, path := range []string{strings.TrimPrefix(link, d.url), "/oauth/notes/callback?state=x", "/connections"} {
		r := d.do("GET", path, "", key, "Origin: https://chat.example", "Accept: text/html", "Cookie: mcpo_browser="+strings.Repeat("A", 52))
		wantGuarded(t, r.header)
		if r.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s is %d %s", path, r.status, r.body)
		}
	}
	if r := d.do("POST", "/notes/whoami", "{}", key, "Origin: https://chat.example"); r.header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("a page that may call cannot read that it has to log in: %v", r.header)
	}
}

// TestStrictLeavesTheWayOpen: what a browser passes on its way through a login,
// and what an authorization server fetches, needs no key; all else does.
func TestStrictLeavesTheWayOpen(t *testing.T) {
	d := openDoor(t, doorSetup{Options: Options{Key: testKey, StrictAuth: true}, oauth: shared, web: true})
	key := "Authorization: Bearer " + testKey
	for _, path := range []string{"/oauth/notes/status", "/notes/login", "/connections", "/notes/openapi.json", "/notes/docs", "/"} {
		d.do("GET", path, "").want(t, path, http.StatusUnauthorized, "Missing or invalid Authorization header")
	}
	d.do("POST", "/connections/notes/disconnect", "").want(t, "disconnect", http.StatusUnauthorized, "Missing or invalid")
	d.do("POST", "/notes/whoami", "{}").want(t, "a tool", http.StatusUnauthorized, "Missing or invalid")
	d.do("GET", oauth.DocumentPath, "").want(t, "the client document", http.StatusOK, "client_id")
	link := d.do("GET", "/notes/login", "", key).refusal(t).AuthorizationURL
	wantPage(t, d.browse(link, oauthtest.BrowseOptions{}), http.StatusOK, "Connected.")
	d.do("POST", "/notes/whoami", "{}", key).want(t, "with the key", http.StatusOK, "alice")
	d.do("GET", "/notes/login", "", key).want(t, "with the key", http.StatusOK, `{"status":"connected"}`)
}

// TestLargeForms are not read.
func TestLargeForms(t *testing.T) {
	d := openDoor(t, doorSetup{})
	link := d.link("notes")
	csrf, cookie := d.form(link)
	body := "csrf=" + csrf + "&pad=" + strings.Repeat("x", 1<<20)
	r := d.do("POST", strings.TrimPrefix(link, d.url), body, formType, cookie)
	r.want(t, "a large form", http.StatusBadRequest, "Open the link again.")
	d.login("notes")
}

// TestFormsInTime: a form that does not arrive, and a body that is none, end the
// connection with the answer, so that nobody holds it (threats 30).
func TestFormsInTime(t *testing.T) {
	d := openDoor(t, doorSetup{Options: Options{BodyTime: 50 * time.Millisecond}})
	for _, path := range []string{"/oauth/notes/authorize", "/connections/notes/disconnect"} {
		for _, kind := range []string{"application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded", "application/json", "text/plain", "multipart/form-data; boundary=x", ""} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(hurry)); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\ncsrf=x", path, kind); err != nil {
				t.Fatal(err)
			}
			if said, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(said), "HTTP/1.1 4") {
				t.Errorf("%s of kind %q is answered with %.100q, and then %v", path, kind, said, err)
			}
		}
	}
	d.do("POST", "/oauth/notes/authorize", "{}", "Content-Type: application/json").want(t, "JSON for the link's page", http.StatusUnsupportedMediaType, "Open the link in a browser.")
	for what, body := range map[string]string{"JSON": "{}", "nothing": ""} {
		r := d.do("POST", "/connections/notes/disconnect", body, "Content-Type: application/json")
		r.want(t, "disconnecting with "+what, http.StatusOK, `"status":"disconnected"`)
	}
	r := d.do("POST", "/connections/notes/disconnect", strings.Repeat(" ", maxForm+1), "Content-Type: application/json")
	r.want(t, "disconnecting with too much", http.StatusBadRequest, "too large")
}
