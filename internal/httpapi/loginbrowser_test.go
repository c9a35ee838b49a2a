package httpapi

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"mcpo/internal/oauthtest"
)

// shots keeps pictures of a page in the sizes and colours that people have.
func (b *browser) shots(t *testing.T, name string) {
	t.Helper()
	for _, look := range []struct {
		name, scheme  string
		width, height int64
	}{{"phone", "light", 360, 740}, {"dark", "dark", 1000, 700}, {"light", "light", 1000, 700}} {
		b.do(t, chromedp.EmulateViewport(look.width, look.height),
			chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
				_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}})
				return err
			}))
		if ask(t, b, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > innerWidth")) {
			t.Errorf("%s, %s: the page is wider than the window", name, look.name)
		}
		b.shot(t, name+"-"+look.name)
	}
}

// shows waits for a page of ours with a heading, and gives all of its text.
func (b *browser) shows(t *testing.T, heading string) string {
	t.Helper()
	b.do(t, chromedp.WaitVisible(chromedp.Search("//h1[contains(., '"+heading+"')]")))
	return ask(t, b, chromedp.Text(chromedp.CSS("body")))
}

// here fails the test if the browser asked another machine for anything, or
// its console shows a complaint that is not about the pages of another.
func (b *browser) here(t *testing.T, other string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		u, err := url.Parse(r)
		if err != nil || u.Scheme != "data" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" {
			t.Errorf("a request went to %s", r)
		}
	}
	if len(b.requests) == 0 {
		t.Error("no request was noted")
	}
	for _, c := range b.complaints {
		if !strings.Contains(c, other) {
			t.Errorf("the console says %q", c)
		}
	}
}

// TestLoginInBrowser clicks through a whole login, from the link to leaving.
func TestLoginInBrowser(t *testing.T) {
	d := openDoor(t, doorSetup{second: true})
	b := openBrowser(t)
	b.do(t, chromedp.Navigate(d.link("notes")))
	if text := b.shows(t, "Connect notes"); !strings.Contains(text, "you, on this machine") {
		t.Errorf("the link's page says %q", text)
	}
	b.shots(t, "link")
	b.do(t, chromedp.Click(chromedp.CSS("main button")))
	b.shows(t, "Sign in")
	b.do(t, chromedp.SendKeys(chromedp.CSS("input[name=username]"), "alice"), chromedp.Click(chromedp.CSS("form button")))
	if text := b.shows(t, "Allow access?"); !strings.Contains(text, "mcp") {
		t.Errorf("the consent page says %q", text)
	}
	b.shot(t, "consent")
	b.do(t, chromedp.Click(chromedp.CSS("button[value=approve]")))
	if text := b.shows(t, "Connected"); !strings.Contains(text, "Connected. You can close this tab.") {
		t.Errorf("the last page says %q", text)
	}
	b.shots(t, "connected")
	d.do("POST", "/notes/whoami", "{}").want(t, "whoami", 200, "alice")
	b.do(t, chromedp.Navigate(d.url+"/connections"))
	if text := b.shows(t, "Connections"); strings.Count(text, "Disconnect") != 1 {
		t.Errorf("the connections are %q", text)
	}
	b.shots(t, "connections")
	b.do(t, chromedp.Click(chromedp.CSS("form button")), chromedp.WaitVisible(chromedp.CSS(`a[href="/notes/login"]`)))
	d.wantAsked("notes")
	b.do(t, chromedp.Click(chromedp.CSS(`a[href="/notes/login"]`)))
	b.shows(t, "Connect notes")
	b.here(t, d.outside.Issuer+"/favicon.ico")
}

// execute calls an operation on the documentation's page, and gives what it
// answers. The page shows what may be answered once it knows the operation, a
// moment after that was opened; whoever is faster stops it for good.
func (b *browser) execute(t *testing.T, operation string) string {
	t.Helper()
	b.do(t, chromedp.WaitVisible(chromedp.CSS(operation)), chromedp.Click(chromedp.CSS(operation+" .opblock-summary-control")),
		chromedp.WaitVisible(chromedp.CSS(operation+` tr.response[data-code="200"]`)), chromedp.Click(chromedp.CSS(operation+" .execute")),
		chromedp.WaitVisible(chromedp.CSS(operation+" .live-responses-table")))
	return ask(t, b, chromedp.Text(chromedp.CSS(operation+" .live-responses-table")))
}

// TestLoginDocsInBrowser: before the login the documentation shows how to log in,
// and calling that shows the link.
func TestLoginDocsInBrowser(t *testing.T) {
	d := openDoor(t, doorSetup{})
	b := openBrowser(t)
	b.do(t, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(d.url+"/notes/docs"))
	if answer := b.execute(t, "[id$=connect_notes]"); !strings.Contains(answer, "401") ||
		!strings.Contains(answer, "notes needs your permission. Open "+d.url+"/oauth/notes/authorize?ticket=") {
		t.Errorf("the page shows %q", answer)
	}
	b.shot(t, "docs-before-login")
	d.login("notes")
	b.do(t, chromedp.Navigate(d.url+"/notes/docs"))
	if answer := b.execute(t, "[id$=tool_whoami_post]"); !strings.Contains(answer, "alice") {
		t.Errorf("the page shows %q", answer)
	}
	b.shot(t, "docs-after-login")
}

// TestPasteInBrowser: the page to paste into says what was wrong, and finishes
// the login.
func TestPasteInBrowser(t *testing.T) {
	d := openDoor(t, doorSetup{oauth: byHand})
	b := openBrowser(t)
	b.do(t, chromedp.Navigate(d.link("notes")), chromedp.WaitVisible(chromedp.CSS("main button")), chromedp.Click(chromedp.CSS("main button")),
		chromedp.WaitVisible(chromedp.CSS("#callback_url")))
	b.shots(t, "paste")
	to := ask(t, b, chromedp.Evaluate[string]("document.querySelector('main a[target=_blank]').href"))
	end := d.browse(to, oauthtest.BrowseOptions{StopBefore: true}).URL
	b.do(t, chromedp.SendKeys(chromedp.CSS("#callback_url"), "http://localhost:3030/callback"), chromedp.Click(chromedp.CSS("main button")),
		chromedp.WaitVisible(chromedp.CSS("#error")))
	b.shots(t, "paste-again")
	b.do(t, chromedp.SendKeys(chromedp.CSS("#callback_url"), end), chromedp.Click(chromedp.CSS("main button")))
	b.shows(t, "Connected")
	d.do("POST", "/notes/whoami", "{}").want(t, "whoami", 200, "alice")
}
