package e2e

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// window is one person's Chromium, which keeps its own cookies.
type window struct{ context.Context }

func openWindow(t *testing.T) *window {
	t.Helper()
	if !full() {
		t.Skip("needs Chromium and servers from package registries; .ci/run installs them and runs this test (it sets MCPO_TEST_FULL=1)")
	}
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("MCPO_TEST_FULL=1 asks for every test: %v", err)
	}
	late, cancelLate := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancelLate)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	outer, cancelOuter := chromedp.NewExecAllocator(late, options...)
	ctx, cancel := chromedp.NewContext(outer)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("closing the browser: %v", err)
		}
		cancel()
		cancelOuter()
	})
	w := &window{ctx}
	w.do(t, chromedp.EmulateViewport(1000, 700))
	return w
}

// do has the person do what actions say.
func (w *window) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(w, actions...); err != nil {
		t.Fatal(err)
	}
}

func look[T any](t *testing.T, w *window, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(w, action)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// shows waits for a page with a heading, keeps a picture of it, and gives its
// text. MCPO_TEST_SCREENSHOTS is the folder of the pictures.
func (w *window) shows(t *testing.T, heading, picture string) string {
	t.Helper()
	w.do(t, chromedp.WaitVisible(chromedp.Search("//h1[contains(., '"+heading+"')]")))
	if folder := os.Getenv("MCPO_TEST_SCREENSHOTS"); folder != "" {
		shot := look(t, w, chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(folder, picture+".png"), shot, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return look(t, w, chromedp.Text(chromedp.CSS("body")))
}

// signsIn fills the pages of the Python lab in, and approves.
func (w *window) signsIn(t *testing.T, account, picture string) {
	t.Helper()
	w.shows(t, "Sign in", picture+"-sign-in")
	w.do(t, chromedp.SendKeys(chromedp.CSS("input[name=username]"), account),
		chromedp.SendKeys(chromedp.CSS("input[name=password]"), account+"-password"), chromedp.Click(chromedp.CSS("button")))
	w.shows(t, account+", may it use your tools?", picture+"-consent")
	w.do(t, chromedp.Click(chromedp.CSS("button[value=approve]")))
}

// hasWebUI signs the browser in to Open WebUI, whose cookie it then has.
func (w *window) hasWebUI(t *testing.T, v visitor) {
	t.Helper()
	w.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.SetCookie, network.SetCookieParams{Name: "token", Value: v.token, URL: v.publicURL()})
		return err
	}))
}

// publicURL is where browsers find mcpo.
func (m *protected) publicURL() string {
	return strings.Replace(m.base, "127.0.0.1", "localhost", 1)
}

// TestTwoPeopleInBrowsers goes with two people from the links in their own
// refusals to the page that says so, each in the own browser.
func TestTwoPeopleInBrowsers(t *testing.T) {
	mine, theirs := openWindow(t), openWindow(t)
	m := forPeople(t, pythonLab(t))
	alice, bob := m.visitor(t, "alice-at-webui"), m.visitor(t, "bob-at-webui")
	for _, p := range []struct {
		visitor
		*window
		account string
	}{{alice, mine, "alice"}, {bob, theirs, "bob"}} {
		p.window.do(t, chromedp.Navigate(p.link(t)))
		if text := p.shows(t, "Connect lab", p.account+"-asks"); !strings.Contains(text, p.visitor.name) {
			t.Errorf("the page of %s says %q", p.visitor.name, text)
		}
		p.window.do(t, chromedp.Click(chromedp.CSS("main button")))
		p.signsIn(t, p.account, p.account)
		if text := p.shows(t, "Connected", p.account+"-connected"); !strings.Contains(text, "Connected. You can close this tab.") {
			t.Errorf("in the end %s sees %q", p.visitor.name, text)
		}
		m.eventually(t, func() error { return p.works(p.account) })
	}
	mine.do(t, chromedp.Navigate(m.publicURL()+"/connections"))
	if text := mine.shows(t, "Connections", "alice-connections"); !strings.Contains(text, alice.name) || strings.Contains(text, bob.name) {
		t.Errorf("the connections in the browser of one are %q", text)
	}
	if err := alice.works("alice"); err != nil {
		t.Error(err)
	}
}

func pythonLab(t *testing.T) *lab {
	t.Helper()
	for _, k := range labKinds() {
		if k.name == "python-sdk" {
			return k.start(t)
		}
	}
	t.Fatal("there is no such lab")
	return nil
}

// TestLoginEndsWhereItBegan: a login that was begun in one browser cannot be
// finished in another, and connects nobody (threats 2).
func TestLoginEndsWhereItBegan(t *testing.T) {
	victim, attacker := openWindow(t), openWindow(t)
	m := forPeople(t, pythonLab(t))
	alice, mallory := m.visitor(t, "alice-at-webui"), m.visitor(t, "mallory-at-webui")
	for _, c := range []struct {
		whose        visitor
		begun, ended *window
		account      string
	}{
		{alice, victim, attacker, "bob"},     // mallory's account for alice
		{mallory, attacker, victim, "alice"}, // alice's account for mallory
	} {
		c.begun.do(t, chromedp.Navigate(c.whose.link(t)))
		c.begun.shows(t, "Connect lab", "begun")
		c.begun.do(t, chromedp.Click(chromedp.CSS("main button")))
		c.begun.shows(t, "Sign in", "begun-sign-in")
		c.ended.do(t, chromedp.Navigate(look(t, c.begun, chromedp.Evaluate[string]("location.href"))))
		c.ended.signsIn(t, c.account, "elsewhere")
		if text := c.ended.shows(t, "Not connected", "elsewhere-refused-"+c.account); !strings.Contains(text, "begun in another browser") {
			t.Errorf("the browser that did not begin shows %q", text)
		}
		if alice.connected(t) || mallory.connected(t) {
			t.Error("somebody is connected after that")
		}
	}
	alice.link(t)
	mallory.link(t)
}

// TestLinkOfSomebodyElse: where the browser is signed in to Open WebUI, a link
// is for that person alone, who is not asked any more (threats 3).
func TestLinkOfSomebodyElse(t *testing.T) {
	w := openWindow(t)
	m := forPeople(t, pythonLab(t))
	alice, mallory := m.visitor(t, "alice-at-webui"), m.visitor(t, "mallory-at-webui")
	w.hasWebUI(t, alice)
	w.do(t, chromedp.Navigate(mallory.link(t)))
	if text := w.shows(t, "Not connected", "link-of-another"); !strings.Contains(text, "somebody else than the one this link is for") {
		t.Errorf("the link of another shows %q", text)
	}
	w.do(t, chromedp.Navigate(alice.link(t)))
	w.signsIn(t, "alice", "own-link") // no page of ours was between
	w.shows(t, "Connected", "own-link-connected")
	m.eventually(t, func() error { return alice.works("alice") })
	if mallory.connected(t) {
		t.Error("the other is connected")
	}
	at, err := url.Parse(look(t, w, chromedp.Evaluate[string]("location.href")))
	if err != nil || at.Path != "/oauth/lab/callback" {
		t.Errorf("the browser ends at %v, %v", at, err)
	}
}
