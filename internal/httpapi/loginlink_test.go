package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// TestLinkIsForOne: looking at a link changes nothing; using it uses it up
// (threats 3).
func TestLinkIsForOne(t *testing.T) {
	d := openDoor(t, doorSetup{})
	link := d.link("notes")
	path := strings.TrimPrefix(link, d.url)
	for range 3 { // a program that previews links
		d.do("GET", path, "").want(t, "looking at the link", http.StatusOK, "The login is for")
		if r := d.do("HEAD", path, ""); r.status != http.StatusOK || r.body != "" {
			t.Errorf("HEAD: %d %s", r.status, r.body)
		}
	}
	if n := d.outside.Requests("register") + d.outside.Requests("authorize"); n != 0 {
		t.Error("looking at the link began a login")
	}
	csrf, cookie := d.form(link)
	r := d.send(path, url.Values{"csrf": {csrf}}, cookie)
	if to := r.header.Get("Location"); r.status != http.StatusSeeOther || !strings.HasPrefix(to, d.outside.Endpoint("authorize")+"?") {
		t.Errorf("using the link: %d %s", r.status, to)
	}
	wantOver := func(what string, r reply) {
		t.Helper()
		r.want(t, what, http.StatusBadRequest, "This login is unknown, was finished already, or has run out.")
	}
	wantOver("using it again", d.send(path, url.Values{"csrf": {csrf}}, cookie))
	wantOver("looking at it again", d.do("GET", path, ""))
	if d.link("notes") == link {
		t.Error("a link that was used is told again")
	}
}

// TestLinkNames: the page says what is connected and for whom, so that whoever
// was sent another's link sees it (threats 3).
func TestLinkNames(t *testing.T) {
	for who, change := range map[string]doorSetup{"you, on this machine": {}, "everybody who uses this mcpo": {oauth: shared}} {
		d := openDoor(t, change)
		page := d.browse(d.link("notes"), oauthtest.BrowseOptions{StopAtForm: true})
		wantPage(t, page, http.StatusOK, "The login is for <strong><bdi>"+who+"</bdi></strong>.")
		wantPage(t, page, http.StatusOK, "Connect <bdi>notes</bdi>")
		cookie := page.Header.Get("Set-Cookie")
		if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || strings.Contains(cookie, "Domain") {
			t.Errorf("the cookie is %q", cookie)
		}
	}
	d := openDoor(t, doorSetup{Options: Options{PublicURL: "https://tools.example"}, oauth: shared})
	path := strings.TrimPrefix(d.do("POST", "/notes/whoami", "{}").refusal(t).AuthorizationURL, "https://tools.example")
	if cookie := d.do("GET", path, "").header.Get("Set-Cookie"); !strings.Contains(cookie, "; Secure") {
		t.Errorf("the cookie may go without TLS: %q", cookie)
	}
}

// TestLinkRefused: links that were made up, have run out, or are for another
// server open nothing.
func TestLinkRefused(t *testing.T) {
	d := openDoor(t, doorSetup{second: true})
	csrf, cookie := d.form(d.link("notes"))
	late := ticketOf(t, d.link("other"))
	tickets, err := d.store.List(soon(t), store.Tickets)
	if err != nil || len(tickets) != 2 {
		t.Fatal(tickets, err)
	}
	for name, ticket := range map[string]string{"none": "", "made up": strings.Repeat("A", 43), "of another server": late} {
		path := "/oauth/notes/authorize?ticket=" + url.QueryEscape(ticket)
		d.do("GET", path, "").want(t, name, http.StatusBadRequest, "This login is unknown")
		d.send(path, url.Values{"csrf": {csrf}}, cookie).want(t, name, http.StatusBadRequest, "This login is unknown")
	}
	mine := ticketOf(t, d.link("notes"))
	if tickets, err = d.store.List(soon(t), store.Tickets); err != nil {
		t.Fatal(err)
	}
	for _, r := range tickets {
		r.Expires = time.Now().Add(-time.Second)
		if err := d.store.Put(soon(t), r); err != nil {
			t.Fatal(err)
		}
	}
	path := "/oauth/notes/authorize?ticket=" + mine
	d.do("GET", path, "").want(t, "run out", http.StatusBadRequest, "This login is unknown")
	d.send(path, url.Values{"csrf": {csrf}}, cookie).want(t, "run out", http.StatusBadRequest, "This login is unknown")
	if d.outside.Requests("register") != 0 {
		t.Error("a login was begun")
	}
}

// TestLinkForm: only the page, shown in this browser, begins a login (threats
// 29). Whatever else comes does not use the link up.
func TestLinkForm(t *testing.T) {
	d := openDoor(t, doorSetup{Options: Options{Key: testKey}, second: true}) // with a key origins are not refused before
	link := d.do("POST", "/notes/whoami", "{}", "Authorization: Bearer "+testKey).refusal(t).AuthorizationURL
	path := strings.TrimPrefix(link, d.url)
	csrf, cookie := d.form(link)
	strange, _ := d.form(link)
	other := d.do("POST", "/other/whoami", "{}", "Authorization: Bearer "+testKey).refusal(t).AuthorizationURL
	others := csrfOf(t, d.do("GET", strings.TrimPrefix(other, d.url), "", cookie).body)
	for name, c := range map[string]struct {
		csrf    string
		headers []string
	}{
		"without the token":          {"", []string{cookie}},
		"with a made up token":       {"x", []string{cookie}},
		"with the token of another":  {strange, []string{cookie}},
		"with another page's token":  {others, []string{cookie}},
		"without the cookie":         {csrf, nil},
		"with the token of nobody":   {formToken("", "notes"), nil},
		"with a short cookie":        {csrf, []string{"Cookie: mcpo_browser=x"}},
		"with two cookies":           {csrf, []string{cookie + "; mcpo_browser=" + strings.Repeat("A", 52)}},
		"from a page elsewhere":      {csrf, []string{cookie, "Origin: https://evil.example"}},
		"from another local program": {csrf, []string{cookie, "Origin: http://localhost:1"}},
		"from a file":                {csrf, []string{cookie, "Origin: null"}},
		"across sites":               {csrf, []string{cookie, "Sec-Fetch-Site: cross-site"}},
		"from a site next door":      {csrf, []string{cookie, "Sec-Fetch-Site: same-site"}},
	} {
		r := d.send(path, url.Values{"csrf": {c.csrf}}, c.headers...)
		r.want(t, name, http.StatusBadRequest, "Open the link again.")
		wantGuarded(t, r.header)
	}
	if n := d.outside.Requests("register") + d.outside.Requests("metadata"); n != 0 {
		t.Error("a login was begun")
	}
	r := d.send(path, url.Values{"csrf": {csrf}}, cookie, "Origin: "+d.url, "Sec-Fetch-Site: same-origin")
	if r.status != http.StatusSeeOther {
		t.Errorf("the form itself: %d %s", r.status, r.body)
	}
}

// TestOtherBrowser: who lures somebody else to the end of a login of their own
// connects nothing, and neither does who stole an address (threats 2).
func TestOtherBrowser(t *testing.T) {
	for name, web := range map[string]bool{"at the loopback port": false, "at the public URL": true} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, doorSetup{web: web})
			jar := newBrowser(t)
			end := d.browse(d.link("notes"), oauthtest.BrowseOptions{StopBefore: true, Jar: jar}).URL
			page := d.browse(end, oauthtest.BrowseOptions{Jar: newBrowser(t)})
			wantPage(t, page, http.StatusBadRequest, "This login was begun in another browser. Nothing was connected.")
			// That spent the state, and closed the loopback port.
			page, err := oauthtest.Browse(soon(t), end, oauthtest.BrowseOptions{Jar: jar})
			if web {
				wantPage(t, page, http.StatusBadRequest, "Not connected")
			} else if err == nil {
				t.Errorf("somebody answers at the loopback port: %d %s", page.Status, page.Body)
			}
			d.empty("after a callback in another browser")
			if d.outside.Requests("token") != 0 {
				t.Error("the code was exchanged")
			}
		})
	}
}

// TestNamesOfThisMachine: cookies belong to a name, so the link has the one that
// the browser comes back to.
func TestNamesOfThisMachine(t *testing.T) {
	at := fmt.Sprintf("http://127.0.0.1:%d/callback", freePort(t))
	d := openDoor(t, doorSetup{oauth: func(o *config.OAuth) { o.ClientMetadata = &config.ClientMetadata{RedirectURIs: []string{at}} }})
	link := d.link("notes")
	if want := strings.Replace(d.url, "localhost", "127.0.0.1", 1) + "/oauth/notes/authorize?"; !strings.HasPrefix(link, want) {
		t.Errorf("the link is %s", link)
	}
	page := d.browse(link, oauthtest.BrowseOptions{})
	wantPage(t, page, http.StatusOK, "Connected.")
	if !strings.HasPrefix(page.URL, at) {
		t.Errorf("the browser ends at %s", page.URL)
	}
}

// TestStates: a callback that belongs to no login that waits does nothing
// (threats 4).
func TestStates(t *testing.T) {
	d := openDoor(t, doorSetup{web: true, second: true})
	jar := newBrowser(t)
	end := d.browse(d.link("notes"), oauthtest.BrowseOptions{StopBefore: true, Jar: jar}).URL
	u, err := url.Parse(end)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(url.Values)) string {
		q := u.Query()
		change(q)
		return d.url + u.Path + "?" + q.Encode()
	}
	for name, at := range map[string]string{
		"no state":          with(func(q url.Values) { q.Del("state") }),
		"an empty state":    with(func(q url.Values) { q.Set("state", "") }),
		"two states":        with(func(q url.Values) { q.Add("state", q.Get("state")) }),
		"a made up state":   with(func(q url.Values) { q.Set("state", "x") }),
		"a long state":      with(func(q url.Values) { q.Set("state", strings.Repeat("x", 20_000)) }),
		"nothing":           d.url + u.Path,
		"no server of ours": "",
	} {
		if at == "" {
			d.do("GET", "/oauth/nobody/callback?"+u.RawQuery, "").want(t, name, http.StatusNotFound, "nothing at this path")
			continue
		}
		wantPage(t, d.browse(at, oauthtest.BrowseOptions{Jar: jar}), http.StatusBadRequest, "This login is unknown")
	}
	d.empty("after wrong states")
	wantPage(t, d.browse(end, oauthtest.BrowseOptions{Jar: jar}), http.StatusOK, "Connected.")
	wantPage(t, d.browse(end, oauthtest.BrowseOptions{Jar: jar}), http.StatusBadRequest, "This login is unknown")
	end = d.browse(d.link("other"), oauthtest.BrowseOptions{StopBefore: true, Jar: jar}).URL
	wantPage(t, d.browse(strings.Replace(end, "/other/", "/notes/", 1), oauthtest.BrowseOptions{Jar: jar}), http.StatusBadRequest, "This login is unknown")
	if grants, err := d.store.List(soon(t), store.Grants); err != nil || len(grants) != 1 {
		t.Errorf("%d logins are stored, %v", len(grants), err)
	}
}

// TestLateCallback: a login that has run out is not finished.
func TestLateCallback(t *testing.T) {
	d := openDoor(t, doorSetup{web: true})
	jar := newBrowser(t)
	end := d.browse(d.link("notes"), oauthtest.BrowseOptions{StopBefore: true, Jar: jar}).URL
	logins, err := d.store.List(soon(t), store.Logins)
	if err != nil || len(logins) != 1 {
		t.Fatal(logins, err)
	}
	if left := time.Until(logins[0].Expires); left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("a login runs out in %v", left)
	}
	logins[0].Expires = time.Now().Add(-time.Second)
	if err := d.store.Put(soon(t), logins[0]); err != nil {
		t.Fatal(err)
	}
	wantPage(t, d.browse(end, oauthtest.BrowseOptions{Jar: jar}), http.StatusBadRequest, "has run out")
	d.empty("after a late callback")
}

// TestParallelLogins: two that go on side by side keep what is theirs.
func TestParallelLogins(t *testing.T) {
	d := openDoor(t, doorSetup{second: true})
	one, two := newBrowser(t), newBrowser(t)
	first := d.browse(d.link("notes"), oauthtest.BrowseOptions{StopBefore: true, Jar: one}).URL
	second := d.browse(d.link("notes"), oauthtest.BrowseOptions{StopBefore: true, Jar: two}).URL
	third := d.browse(d.link("other"), oauthtest.BrowseOptions{StopBefore: true, Jar: one}).URL
	wantPage(t, d.browse(second, oauthtest.BrowseOptions{Jar: two}), http.StatusOK, "Connected.")
	wantPage(t, d.browse(third, oauthtest.BrowseOptions{Jar: one}), http.StatusOK, "Connected.")
	wantPage(t, d.browse(first, oauthtest.BrowseOptions{Jar: one}), http.StatusOK, "Connected.")
	d.do("POST", "/other/whoami", "{}").want(t, "other", http.StatusOK, "alice")
	d.do("POST", "/notes/whoami", "{}").want(t, "notes", http.StatusOK, "alice")
}

// TestWrongIssuer: what a page that was not asked has to say is not passed on
// (threats 5).
func TestWrongIssuer(t *testing.T) {
	for name, iss := range map[string]oauthtest.Iss{"wrong": oauthtest.IssWrong, "missing": oauthtest.IssMissing, "normalised": oauthtest.IssNormalised} {
		for _, failure := range []string{"", "server_error"} {
			d := openDoor(t, doorSetup{outside: oauthtest.Options{Iss: iss, AuthorizeError: failure, ErrorDescription: "call somebody"}})
			page := d.browse(d.link("notes"), oauthtest.BrowseOptions{})
			wantPage(t, page, http.StatusBadRequest, "The answer does not come from the login page that was asked. Nothing was connected.")
			if strings.Contains(page.Body, "call somebody") || strings.Contains(page.Body, "server_error") {
				t.Errorf("%s: the page shows a stranger's words: %s", name, page.Body)
			}
			d.empty(name)
			if d.outside.Requests("token") != 0 {
				t.Errorf("%s: the code was exchanged", name)
			}
		}
	}
}

// TestHostileDescription: the words of a login page are shown as words, and not
// at any length (threats 6).
func TestHostileDescription(t *testing.T) {
	words := "\u202etxet\u202c \u2066<script>alert(1)</script>\u0007<img src=x onerror=alert(1)>" + strings.Repeat("long ", 6000)
	d := openDoor(t, doorSetup{outside: oauthtest.Options{AuthorizeError: "server_error<b>", ErrorDescription: words}})
	page := d.browse(d.link("notes"), oauthtest.BrowseOptions{})
	wantPage(t, page, http.StatusBadRequest, "&lt;script&gt;alert(1)")
	if strings.ContainsAny(page.Body, "\u202e\u202c\u2066\u0007") || strings.Contains(page.Body, "<script") || strings.Contains(page.Body, "<img") || strings.Contains(page.Body, "<b>") {
		t.Errorf("the page is %s", page.Body)
	}
	if len(page.Body) > 8<<10 {
		t.Errorf("the page has %d bytes", len(page.Body))
	}
	d.empty("after an error")
	for _, line := range strings.Split(d.log.String(), "\n") {
		if len(line) > 4<<10 || strings.Contains(line, "\u202e") {
			t.Errorf("a line in the log has %d bytes: %.100q", len(line), line)
		}
	}
}

// TestDenied: saying no is no error, and connects nothing.
func TestDenied(t *testing.T) {
	d := openDoor(t, doorSetup{})
	page := d.browse(d.link("notes"), oauthtest.BrowseOptions{Deny: true})
	wantPage(t, page, http.StatusBadRequest, "You refused, so notes is not connected.")
	d.empty("after no")
	d.login("notes")
}

// TestFailures of the authorization server are told with what to do, and
// nothing of its answer that could be a secret.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		outside oauthtest.Options
		part    string
	}{
		"no registration":      {oauthtest.Options{NoRegistration: true}, "mcpo doctor"},
		"registration refused": {oauthtest.Options{NativeOnly: true, RegisteredRedirects: []string{"https://evil.example/"}}, "mcpo doctor"},
		"no S256":              {oauthtest.Options{PKCEMethods: []string{"plain"}}, "S256"},
		"code refused":         {oauthtest.Options{InvalidClient: true}, "invalid_client"},
		"token endpoint down":  {oauthtest.Options{Instead: map[string]oauthtest.Answer{"token": {Status: 500, Body: "panic: secret-1234"}}}, "Connecting failed"},
		"no JSON":              {oauthtest.Options{Instead: map[string]oauthtest.Answer{"token": {Body: "<html>secret-1234"}}}, ""},
	} {
		d := openDoor(t, doorSetup{outside: c.outside})
		page := d.browse(d.link("notes"), oauthtest.BrowseOptions{})
		wantPage(t, page, http.StatusBadGateway, c.part)
		wantPage(t, page, http.StatusBadGateway, "Not connected")
		if strings.Contains(page.Body, "secret-1234") || strings.Contains(d.log.String(), "secret-1234") {
			t.Errorf("%s: an answer was passed on: %s", name, page.Body)
		}
		d.empty(name)
	}
}

// TestAddressesAreOurOwn: links and redirects begin with the public URL,
// whatever a request says of itself (threats 7).
func TestAddressesAreOurOwn(t *testing.T) {
	d := openDoor(t, doorSetup{oauth: shared, beyond: true, web: true})
	lies := []string{"Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 1",
		"X-Forwarded-Prefix: /evil", "Forwarded: host=evil.example;proto=https", "X-Original-Url: //evil.example", "Accept: text/html"}
	r := d.do("POST", "/notes/whoami", "{}", lies...)
	link := r.refusal(t).AuthorizationURL
	if !strings.HasPrefix(link, d.url+"/oauth/notes/authorize?") || strings.Contains(r.body, "evil") {
		t.Errorf("the link is %s", r.body)
	}
	if to := d.do("GET", "/notes/login", "", lies...).header.Get("Location"); !strings.HasPrefix(to, d.url+"/oauth/notes/authorize?") {
		t.Errorf("a browser is sent to %s", to)
	}
	more := "&next=//evil.example&redirect_uri=https://evil.example/&return_to=https://evil.example&callback_url="
	csrf, cookie := d.form(link + more)
	to := d.send(link+more, url.Values{"csrf": {csrf}, "next": {"//evil.example"}, "redirect_uri": {"https://evil.example"}}, append(lies, cookie)...).header.Get("Location")
	if !strings.HasPrefix(to, d.outside.Endpoint("authorize")+"?") || strings.Contains(to, "evil") {
		t.Errorf("the login goes to %s", to)
	}
}

// TestNoOpenRedirect: no address here leads to another host but to that of the
// authorization server (threats 7).
func TestNoOpenRedirect(t *testing.T) {
	d := openDoor(t, doorSetup{})
	for _, path := range []string{
		"//evil.example", "//evil.example/", "//evil.example/notes/login", `/\evil.example`, "/%2f%2fevil.example", "/%5cevil.example",
		"/notes//evil.example", "/notes/login/", "//evil.example/%2f..", "/oauth//evil.example/authorize", "/oauth/notes/authorize//evil.example",
		"/connections//evil.example", "/notes/login//evil.example", "/notes/login?next=//evil.example", "/oauth/notes/callback?redirect=//evil.example",
		"/oauth/notes/callback?error=x&error_uri=https://evil.example", "/notes/%2e%2e//evil.example", "/.//evil.example",
	} {
		r := d.do("GET", path, "", "Accept: text/html")
		if to := r.header.Get("Location"); to != "" && !strings.HasPrefix(to, d.url+"/oauth/notes/authorize?ticket=") {
			t.Errorf("%s leads to %s", path, to)
		}
		if r.header.Get("Refresh") != "" || strings.Contains(r.body, `href="//`) || strings.Contains(r.body, `href="https://evil`) {
			t.Errorf("%s holds a way out: %s", path, r.body)
		}
	}
}
