package pages

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// markup is text that would run if a page took it for markup, hostile the same
// with characters that hide or turn around what is read.
const (
	markup  = "\"'><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
	hostile = markup + "\u202egnp.exe\u2066\u200b\x00\x1b[31m\r\nSet-Cookie: a=b"
)

// written gives each page with forms or texts from elsewhere.
func written() map[string]*httptest.ResponseRecorder {
	pages := map[string]*httptest.ResponseRecorder{}
	add := func(name string, write func(w *httptest.ResponseRecorder)) {
		pages[name] = httptest.NewRecorder()
		write(pages[name])
	}
	const path = "/oauth/x/authorize?ticket=1"
	add("connect", func(w *httptest.ResponseRecorder) {
		WriteConnect(w, 200, Connect{Server: hostile, Account: hostile, Host: hostile, Action: path, CSRF: markup, Error: hostile})
	})
	add("paste", func(w *httptest.ResponseRecorder) {
		WriteConnect(w, 400, Connect{Server: hostile, CSRF: "c", AnyHTTP: true, Paste: true, AuthorizationURL: "javascript:document.title='owned'", Error: hostile})
	})
	add("outcome", func(w *httptest.ResponseRecorder) {
		WriteOutcome(w, 400, Outcome{Title: hostile, Message: strings.Repeat(hostile, 10_000), Hint: hostile})
	})
	add("connections", func(w *httptest.ResponseRecorder) {
		WriteConnections(w, Connections{Account: hostile, CSRF: markup, Servers: []Connection{{Name: hostile, State: hostile, User: hostile,
			Scopes: []string{hostile}, ConnectPath: "javascript:document.title='owned'", DisconnectPath: "javascript:document.title='owned'"}}})
	})
	return pages
}

func TestPagesTakeTextForText(t *testing.T) {
	for name, w := range written() {
		body := w.Body.String()
		for _, never := range []string{"<script", "<img", "javascript:", "\u202e", "\u2066", "\u200b", "\x00", "\x1b", "\r"} {
			if strings.Contains(body, never) {
				t.Errorf("%s holds %q", name, never)
			}
		}
		if !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("%s does not show the text: %s", name, body)
		}
		if len(body) > 12<<10 {
			t.Errorf("%s has %d bytes", name, len(body))
		}
		if w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", name)
		}
	}
}

func TestPagesSayWhatTheyMayDo(t *testing.T) {
	nonces := map[string]bool{}
	for name, w := range written() {
		h := w.Header()
		referrer, form := "same-origin", "'self'"
		switch name {
		case "outcome":
			referrer, form = "no-referrer", "'none'"
		case "connect":
			form = "'self' https:"
		case "paste":
			form = "'self' https: http:"
		}
		nonce := regexp.MustCompile(`<style nonce="([A-Z2-7]{26})">`).FindStringSubmatch(w.Body.String())
		if nonce == nil || nonces[nonce[1]] {
			t.Fatalf("%s has no nonce of its own: %v", name, nonce)
		}
		nonces[nonce[1]] = true
		want := "default-src 'none'; style-src 'nonce-" + nonce[1] + "'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action " + form
		if got := h.Get("Content-Security-Policy"); got != want {
			t.Errorf("%s has the policy\n%s, want\n%s", name, got, want)
		}
		for header, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": referrer,
			"Content-Type": "text/html; charset=utf-8"} {
			if got := h.Get(header); got != want {
				t.Errorf("%s has %s: %s, want %s", name, header, got, want)
			}
		}
		for _, action := range regexp.MustCompile(` style=| on[a-z]+=|<script`).FindAllString(w.Body.String(), -1) {
			if action != " onerror=" { // which is a part of the hostile text
				t.Errorf("%s has %q, which the policy forbids", name, action)
			}
		}
	}
}

func TestConnectNamesTheAccount(t *testing.T) {
	page := func(p Connect) string {
		w := httptest.NewRecorder()
		WriteConnect(w, 200, p)
		return w.Body.String()
	}
	one := page(Connect{Server: "tickets", Account: "anna@example.com", Host: "auth.example", CSRF: "c1"})
	for _, want := range []string{"<title>Connect tickets</title>", "anna@example.com", "auth.example", `<form method="post">`,
		`<input type="hidden" name="csrf" value="c1">`, "<button>Continue</button>", "close this tab"} {
		if !strings.Contains(one, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if strings.Count(one, "<form") != 1 || strings.Count(one, "<button") != 1 || strings.Contains(one, "callback_url") || strings.Contains(one, "role=\"alert\"") {
		t.Errorf("the page has more than one button: %s", one)
	}
	if all := page(Connect{Server: "tickets"}); !strings.Contains(all, "<strong>everybody who uses this mcpo</strong>") {
		t.Errorf("a grant of all is not told: %s", all)
	}
	if acted := page(Connect{Action: "/oauth/a%20b/authorize?ticket=x&y"}); !strings.Contains(acted, `action="/oauth/a%20b/authorize?ticket=x&amp;y"`) {
		t.Errorf("the form goes elsewhere: %s", acted)
	}
}

func TestConnectByPasting(t *testing.T) {
	w := httptest.NewRecorder()
	WriteConnect(w, 400, Connect{Server: "tickets", CSRF: "c1", Paste: true, AuthorizationURL: "https://auth.example/authorize?a=b&c=d", Error: "No authorization code found."})
	for _, want := range []string{`href="https://auth.example/authorize?a=b&amp;c=d" target="_blank" rel="noopener noreferrer"`, `name="callback_url"`,
		`name="csrf" value="c1"`, "No authorization code found.", `role="alert"`, `aria-invalid="true"`, `<label for="callback_url">`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	again := httptest.NewRecorder()
	WriteConnect(again, 400, Connect{Server: "tickets", Paste: true, Error: "No authorization code found."})
	if body := again.Body.String(); strings.Contains(body, "<a ") || !strings.Contains(body, `name="callback_url"`) {
		t.Errorf("without an address to sign in at: %s", body)
	}
	if w.Code != 400 || strings.Count(w.Body.String(), "<button") != 1 {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
}

func TestOutcome(t *testing.T) {
	for ok, mark := range map[bool]string{true: "good", false: "bad"} {
		w := httptest.NewRecorder()
		WriteOutcome(w, 200+map[bool]int{false: 203}[ok], Outcome{Title: "Title", Message: "It's said.", OK: ok})
		if body := w.Body.String(); !strings.Contains(body, `class="mark `+mark+`"`) || !strings.Contains(body, "It&#39;s said.") || strings.Contains(body, "<form") {
			t.Errorf("%v: %s", ok, body)
		}
	}
}

func TestConnections(t *testing.T) {
	w := httptest.NewRecorder()
	given := Connections{Account: "anna", CSRF: "c1", Servers: []Connection{
		{Name: "a", State: "connected", User: "anna@h", ExpiresAt: time.Date(2026, 5, 1, 12, 0, 0, 0, time.FixedZone("", 3600)), Scopes: []string{"read\u202e", "write"}, DisconnectPath: "/connections/a/disconnect"},
		{Name: "b", State: "not connected", ConnectPath: "/b/login"},
	}}
	WriteConnections(w, given)
	body := w.Body.String()
	for _, want := range []string{`action="/connections/a/disconnect"`, `value="c1"`, `href="/b/login"`, `class="state connected"`, `class="state">not connected`,
		`<time datetime="2026-05-01T11:00:00Z">1 May 2026, 11:00 UTC</time>`, "<bdi>write</bdi>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not hold %q:\n%s", want, body)
		}
	}
	if strings.Count(body, "<time") != 1 || strings.Count(body, "<form") != 1 {
		t.Errorf("a part that was empty is shown:\n%s", body)
	}
	if given.Servers[0].Scopes[0] != "read\u202e" {
		t.Error("the argument was changed")
	}
	w = httptest.NewRecorder()
	if WriteConnections(w, Connections{}); !strings.Contains(w.Body.String(), "No server here asks for a login.") {
		t.Errorf("without servers: %s", w.Body)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "Grüße, 世界 🙂": "Grüße, 世界 🙂", " a\t\r\n b\u2028c\u00a0 ": "a b c", "a\x00\x1b[0m\u0085b": "a[0m b", "\u202eabc\u202c\u2066\u200f\ufeff\U000e0041": "abc",
		"\xff\xfea": "\uFFFD\uFFFDa", "e" + strings.Repeat("\u0301", 50): "e\u0301\u0301\u0301\u0301", strings.Repeat("x", 100): strings.Repeat("x", 100),
		strings.Repeat("x", 101): strings.Repeat("x", 99) + "…", strings.Repeat("界", 1<<20): strings.Repeat("界", 99) + "…", "\u200b\u200c": "",
	} {
		if got := clean(in, maxName); got != want {
			t.Errorf("clean(%.60q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s, maxName)
		if n := len([]rune(got)); n > maxName {
			t.Errorf("clean(%q) has %d characters", s, n)
		}
		if again := clean(got, maxName); again != got {
			t.Errorf("clean(%q) = %q, and that gives %q", s, got, again)
		}
	})
}
