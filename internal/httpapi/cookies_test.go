package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcpo/internal/oauthtest"
)

// given is the cookie of a kind that an answer sets, as a browser sends it back.
func given(t *testing.T, r reply, kind string) string {
	t.Helper()
	for _, line := range r.header.Values("Set-Cookie") {
		if pair, _, _ := strings.Cut(line, ";"); strings.HasPrefix(pair, kind) && !strings.HasSuffix(pair, "=") {
			return pair
		}
	}
	t.Fatalf("no cookie %s… among %q", kind, r.header.Values("Set-Cookie"))
	return ""
}

// TestPlantedCookie: who knows a cookie of a browser before a login is begun
// there can neither finish the login nor come as its person (threats 2).
func TestPlantedCookie(t *testing.T) {
	d := openDoor(t, doorSetup{web: true, identify: known()})
	planted := "Cookie: " + formCookie + "=" + strings.Repeat("A", 52)
	begin := func() (end, cookie string) {
		t.Helper()
		link := d.do("POST", "/notes/whoami", "{}", by(t, "alice")).refusal(t).AuthorizationURL
		csrf := csrfOf(t, d.do("GET", strings.TrimPrefix(link, d.url), "", planted).body)
		r := d.send(link, url.Values{"csrf": {csrf}}, planted)
		end = d.browse(r.header.Get("Location"), oauthtest.BrowseOptions{User: "alice", StopBefore: true}).URL
		return strings.TrimPrefix(end, d.url), given(t, r, loginCookie)
	}
	end, _ := begin()
	d.do("GET", end, "", planted).want(t, "with the planted cookie", http.StatusBadRequest, "begun in another browser")
	d.empty("with the planted cookie")
	end, cookie := begin()
	r := d.do("GET", end, "", planted+"; "+cookie)
	r.want(t, "with the login's own cookie", http.StatusOK, "Connected.")
	visit := given(t, r, visitCookie)
	for _, other := range []string{planted, "Cookie: " + cookie, "Cookie: " + strings.Replace(cookie, loginCookie, visitCookie, 1)} {
		nobody(t, other, d.do("GET", "/connections", "", other))
	}
	d.do("GET", "/connections", "", "Cookie: "+visit).want(t, "with the visit's cookie", http.StatusOK, `"user":"alice"`)
}

// TestCookiesOverTLS: behind TLS nobody but this host can set our cookies.
func TestCookiesOverTLS(t *testing.T) {
	d := openDoor(t, doorSetup{Options: Options{PublicURL: "https://tools.example"}, web: true, oauth: shared})
	link := strings.TrimPrefix(d.do("POST", "/notes/whoami", "{}").refusal(t).AuthorizationURL, "https://tools.example")
	page := d.do("GET", link, "")
	cookie := given(t, page, hostOnly+formCookie)
	plain := "Cookie: " + strings.TrimPrefix(cookie, hostOnly)
	form := url.Values{"csrf": {csrfOf(t, page.body)}}
	d.send(link, form, plain).want(t, "with a cookie that anybody may set", http.StatusBadRequest, "Open the link again.")
	begun := d.send(link, form, "Cookie: "+cookie)
	given(t, begun, hostOnly+loginCookie)
	for _, line := range append(page.header.Values("Set-Cookie"), begun.header.Values("Set-Cookie")...) {
		if !strings.Contains(line, "; Path=/;") || !strings.Contains(line, "; Secure") || strings.Contains(line, "Domain") {
			t.Errorf("browsers do not take %q", line)
		}
	}
}

// TestTabs: logins that go on side by side in one browser all finish, and do not
// fill it with cookies.
func TestTabs(t *testing.T) {
	d := openDoor(t, doorSetup{web: true})
	jar := newBrowser(t)
	here, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	for n := range maxLoginCookies { // of logins that nobody finished
		jar.SetCookies(here, []*http.Cookie{{Name: fmt.Sprint(loginCookie, n), Value: newSecret(), Path: "/"}})
	}
	one := d.browse(d.link("notes"), oauthtest.BrowseOptions{StopBefore: true, Jar: jar}).URL
	two := d.browse(d.link("notes"), oauthtest.BrowseOptions{StopBefore: true, Jar: jar}).URL
	if n := len(jar.Cookies(here)); n != maxLoginCookies+1 {
		t.Errorf("the browser holds %d cookies", n)
	}
	wantPage(t, d.browse(two, oauthtest.BrowseOptions{Jar: jar}), http.StatusOK, "Connected.")
	wantPage(t, d.browse(one, oauthtest.BrowseOptions{Jar: jar}), http.StatusOK, "Connected.")
	if n := len(jar.Cookies(here)); n != maxLoginCookies-1 {
		t.Errorf("the browser holds %d cookies when two logins are over", n)
	}
}

// TestTooManyLogins: who begins too many is told to wait.
func TestTooManyLogins(t *testing.T) {
	d := openDoor(t, doorSetup{web: true, burst: 1})
	jar, page := newBrowser(t), oauthtest.Page{}
	for n := 0; n < 20 && page.Status != http.StatusTooManyRequests; n++ { // one may pass now and then
		page = d.browse(d.link("notes"), oauthtest.BrowseOptions{StopBefore: true, Jar: jar})
	}
	wantPage(t, page, http.StatusTooManyRequests, "Wait a moment and try again.")
}
