package pages

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// browser is a Chromium whose complaints are noted.
type browser struct {
	context.Context
	mu         sync.Mutex
	complaints []string
}

// openBrowser starts Chromium. Without one the test is skipped, unless
// everything is to be tested.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("MCPO_TEST_FULL") == "1" {
			t.Fatal("Chromium is not installed, and MCPO_TEST_FULL=1 asks for the tests that need it")
		}
		t.Skip("Chromium is not installed; the pages are tested without it only")
	}
	ctx, cancelSoon := context.WithTimeout(context.Background(), 2*time.Minute) // the browser is closed after t.Context() is done
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	outer, cancelOuter := chromedp.NewExecAllocator(ctx, options...)
	b := &browser{}
	inner, cancel := chromedp.NewContext(outer, chromedp.WithListener(b.note))
	t.Cleanup(func() {
		if err := chromedp.Cancel(inner); err != nil {
			t.Errorf("closing the browser: %v", err)
		}
		cancel()
		cancelOuter()
		cancelSoon()
	})
	b.Context = inner
	return b
}

func (b *browser) note(event any) {
	if e, ok := event.(*log.EventEntryAdded); ok {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, e.Entry.Text)
	}
}

func (b *browser) clean(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		t.Errorf("the console says %q", b.complaints)
	}
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b, actions...); err != nil {
		t.Fatal(err)
	}
}

func ask[T any](t *testing.T, b *browser, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(b, action)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// samples are pages as people meet them.
func samples(t *testing.T) http.Handler {
	t.Helper()
	routes := http.NewServeMux()
	page := func(path string, write func(w http.ResponseWriter)) {
		routes.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { write(w) })
	}
	page("/connect", func(w http.ResponseWriter) {
		WriteConnect(w, 200, Connect{Server: "tickets", Account: "anna@example.com", Host: "auth.example.com", CSRF: "c", Action: "/posted", AnyHTTP: true})
	})
	page("/connect-long", func(w http.ResponseWriter) {
		WriteConnect(w, 200, Connect{Server: strings.Repeat("tickets", 30), Account: hostile, Host: strings.Repeat("auth.", 50), CSRF: markup, Error: hostile})
	})
	page("/paste", func(w http.ResponseWriter) {
		WriteConnect(w, 400, Connect{Server: "tickets", CSRF: "c", Paste: true, AuthorizationURL: "https://auth.example.com/authorize", Action: "/posted",
			Error: "No authorization code found. Copy all of the address."})
	})
	page("/connected", func(w http.ResponseWriter) {
		WriteOutcome(w, 200, Outcome{Title: "Connected", Message: "mcpo may now use tickets for you. You can close this tab.", OK: true})
	})
	page("/failed", func(w http.ResponseWriter) {
		WriteOutcome(w, 400, Outcome{Title: "Not connected", Message: "auth.example.com says: " + hostile + strings.Repeat("e\u0301\u0301\u0301\u0301\u0301\u0301", 200), Hint: "Ask for a new link."})
	})
	page("/connections", func(w http.ResponseWriter) {
		WriteConnections(w, Connections{Account: "anna@example.com", CSRF: "c", Servers: []Connection{
			{Name: "tickets", State: "connected", User: "anna@tickets.example", ExpiresAt: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Scopes: []string{"read", "write:issues"}, DisconnectPath: "/posted"},
			{Name: "calendar", State: "expired", ConnectPath: "/connect"}, {Name: "mail-with-a-rather-long-name-that-does-not-fit-on-a-phone", State: "not connected", ConnectPath: "/connect"},
			{Name: hostile, State: hostile, User: hostile, Scopes: []string{hostile}, ConnectPath: "/x\"onclick=\"", DisconnectPath: "javascript:document.title='owned'"}}})
	})
	return routes
}

// TestPagesInBrowser shows the pages in the sizes and colours that people have.
// MCPO_TEST_SCREENSHOTS is a folder for pictures of them.
func TestPagesInBrowser(t *testing.T) {
	b := openBrowser(t)
	site := httptest.NewServer(samples(t))
	defer site.Close()
	for _, look := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1000, 700}, {"dark", "dark", 1000, 700}, {"phone", "light", 360, 740}} {
		for _, page := range []string{"connect", "connect-long", "paste", "connected", "failed", "connections"} {
			b.do(t, chromedp.EmulateViewport(look.width, look.height), dark(look.scheme), chromedp.Navigate(site.URL+"/"+page), chromedp.WaitVisible(chromedp.CSS("h1")))
			if ask(t, b, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > innerWidth")) {
				t.Errorf("%s, %s: the page is wider than the window", page, look.name)
			}
			if ask(t, b, chromedp.Title()) == "owned" {
				t.Errorf("%s ran a script", page)
			}
			if folder := os.Getenv("MCPO_TEST_SCREENSHOTS"); folder != "" {
				if err := os.WriteFile(filepath.Join(folder, page+"-"+look.name+".png"), ask(t, b, chromedp.FullScreenshot(100)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func dark(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	})
}

// TestContinueInBrowser: the form arrives as our own, and its answer may lead on
// over an OAuth server to yet another place.
func TestContinueInBrowser(t *testing.T) {
	b := openBrowser(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		WriteOutcome(w, 200, Outcome{Title: "Sign in", Message: "Referer: " + r.Referer(), OK: true})
	}))
	defer elsewhere.Close()
	authorize := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer authorize.Close()
	routes := http.NewServeMux()
	routes.Handle("GET /", samples(t))
	posted := make(chan http.Header, 1)
	routes.HandleFunc("POST /posted", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("csrf") == "c" {
			posted <- r.Header
		}
		http.Redirect(w, r, authorize.URL, http.StatusSeeOther)
	})
	site := httptest.NewServer(routes)
	defer site.Close()
	b.do(t, chromedp.Navigate(site.URL+"/connect?ticket=secret"), chromedp.Click(chromedp.CSS("button")), chromedp.WaitVisible(chromedp.CSS(".mark")))
	if text := ask(t, b, chromedp.Text(chromedp.CSS(".card"))); !strings.Contains(text, "Sign in") || strings.Contains(text, "ticket") || strings.Contains(text, site.URL) {
		t.Errorf("the browser came to %q", text)
	}
	if h := <-posted; h.Get("Origin") != site.URL {
		t.Errorf("the form's origin is %q, want %q", h.Get("Origin"), site.URL)
	}
	b.clean(t)
}
