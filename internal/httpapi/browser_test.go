package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"mcpo/internal/config"
)

// browser is a Chromium whose every request and complaint is noted.
type browser struct {
	context.Context
	mu         sync.Mutex
	requests   []string
	complaints []string
}

// openBrowser starts Chromium. Without one the test is skipped, unless
// everything is to be tested.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		if os.Getenv("MCPO_TEST_FULL") == "1" {
			t.Fatal("Chromium is not installed, and MCPO_TEST_FULL=1 asks for the tests that need it")
		}
		t.Skip("Chromium is not installed; the pages are tested without it only")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	outer, cancelOuter := chromedp.NewExecAllocator(soon(t), options...)
	b := &browser{}
	ctx, cancel := chromedp.NewContext(outer, chromedp.WithListener(b.note))
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("closing the browser: %v", err)
		}
		cancel()
		cancelOuter()
	})
	b.Context = ctx
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// note keeps what the browser asked for and what its console said.
func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text+" "+e.Entry.URL)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, arg := range e.Args {
				b.complaints = append(b.complaints, string(arg.Value)+arg.Description)
			}
		}
	}
}

// do runs actions and fails the test if they do not work out.
func (b *browser) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	b.check(t, chromedp.Do(b, actions...))
}

// ask runs an action and gives its value.
func ask[T any](t *testing.T, b *browser, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(b, action)
	b.check(t, err)
	return value
}

func (b *browser) check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		t.Fatalf("%v; the console said %q", err, b.complaints)
	}
}

// clean fails the test if anything came from elsewhere, or the console shows a
// complaint.
func (b *browser) clean(t *testing.T, origin string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		r = strings.Replace(r, "me:"+testKey+"@", "", 1) // what a person typed
		if !strings.HasPrefix(r, origin+"/") && !strings.HasPrefix(r, "data:") {
			t.Errorf("a request went to %s", r)
		}
	}
	if len(b.requests) == 0 {
		t.Error("no request was noted")
	}
	if len(b.complaints) > 0 {
		t.Errorf("the console says %q", b.complaints)
	}
}

// shot keeps a picture of the page for people to look at.
func (b *browser) shot(t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("MCPO_TEST_SCREENSHOTS")
	if folder == "" {
		folder = t.TempDir()
	}
	picture := ask(t, b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDocsInBrowser enters the key, calls a tool and reads its result.
func TestDocsInBrowser(t *testing.T) {
	a := serve(t, setup{Options: Options{Key: testKey, RootPath: "/api"}, servers: []config.Server{real(t, "time")}})
	b := openBrowser(t)
	b.do(t, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(a.url+"/time/docs"),
		chromedp.WaitVisible(chromedp.CSS("[id$=tool_echo_post]")))
	b.shot(t, "docs")
	b.do(t, chromedp.Click(chromedp.CSS(".btn.authorize")), chromedp.WaitVisible(chromedp.CSS(".auth-container input")),
		chromedp.SendKeys(chromedp.CSS(".auth-container input"), testKey), chromedp.Click(chromedp.CSS(".auth-btn-wrapper .authorize")),
		chromedp.WaitVisible(chromedp.CSS(".auth-btn-wrapper .btn-done")), chromedp.Click(chromedp.CSS(".auth-btn-wrapper .btn-done")),
		chromedp.Click(chromedp.CSS("[id$=tool_echo_post] .opblock-summary-control")), chromedp.WaitVisible(chromedp.CSS("[id$=tool_echo_post] textarea")))
	ask(t, b, chromedp.Evaluate[any]("document.querySelector('[id$=tool_echo_post] textarea').select()"))
	b.do(t, chromedp.SendKeys(chromedp.CSS("[id$=tool_echo_post] textarea"), `{"message":"seen in the browser"}`),
		chromedp.Click(chromedp.CSS("[id$=tool_echo_post] .execute")), chromedp.WaitVisible(chromedp.CSS("[id$=tool_echo_post] .live-responses-table")))
	answer := ask(t, b, chromedp.Text(chromedp.CSS("[id$=tool_echo_post] .live-responses-table")))
	b.shot(t, "docs-call")
	if !strings.Contains(answer, "200") || !strings.Contains(answer, "seen in the browser") {
		t.Errorf("the page shows %q", answer)
	}
	b.clean(t, a.url)
}

// hostile is text that would run if a page took it for markup.
const hostile = `"><script>document.title='owned'</script><img src=x onerror="document.title='owned'"><a href="javascript:document.title='owned'">x</a>`

// TestHostileTextInBrowser: names and descriptions are text.
func TestHostileTextInBrowser(t *testing.T) {
	tool := map[string]any{"name": "t" + hostile, "title": hostile, "description": hostile + "\n\n[x](javascript:document.title='owned')",
		"inputSchema": map[string]any{"type": "object", "properties": map[string]any{hostile: map[string]any{"type": "string", "description": hostile}}}}
	list, err := json.Marshal([]any{tool})
	if err != nil {
		t.Fatal(err)
	}
	evil := scripted(t, "evil"+hostile, string(list), func(w http.ResponseWriter, c rawCall) { c.answer(w, "result", `{"content":[]}`) })
	a := serve(t, setup{Options: Options{Name: hostile, Description: hostile}, servers: []config.Server{evil}})
	b := openBrowser(t)
	root := "/" + strings.TrimPrefix(strings.TrimSuffix(a.documentURL(t), "/openapi.json"), "/")
	for _, path := range []string{"/", "/docs", root + "/docs"} {
		b.do(t, chromedp.Navigate(a.url+path))
		if path != "/" {
			b.do(t, chromedp.WaitVisible(chromedp.CSS(".info .title")))
		}
		if ask(t, b, chromedp.Title()) == "owned" {
			t.Errorf("%s ran a script", path)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		if !strings.HasPrefix(r, a.url+"/") && !strings.HasPrefix(r, "data:") {
			t.Errorf("a request went to %s", r)
		}
	}
}

// documentURL is the path of the first server's document.
func (a *api) documentURL(t *testing.T) string {
	t.Helper()
	h := &Handler{}
	return h.base(&mount{server: a.servers[0]}) + "/openapi.json"
}

// TestIndexInBrowser shows the list in the sizes and colours that people have.
func TestIndexInBrowser(t *testing.T) {
	a := serve(t, setup{Options: Options{Key: testKey}, unready: true, servers: []config.Server{real(t, "time"), real(t, "memory"),
		{Name: "broken-with-a-rather-long-name-that-does-not-fit-on-a-phone", Transport: config.Stdio, Command: "/no/such/program"},
		{Name: "tickets", Transport: config.SSE, URL: "http://127.0.0.1:1/sse"}}})
	for _, s := range a.servers {
		<-s.Tried()
	}
	b := openBrowser(t)
	for _, look := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1000, 800}, {"dark", "dark", 1000, 800}, {"phone", "light", 360, 740}} {
		b.do(t, chromedp.EmulateViewport(look.width, look.height),
			chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
				_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}})
				return err
			}),
			chromedp.Navigate(a.url+"/"), chromedp.WaitVisible(chromedp.CSS("h1")))
		if ask(t, b, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > innerWidth")) {
			t.Errorf("%s: the page is wider than the window", look.name)
		}
		b.shot(t, "index-"+look.name)
	}
	b.do(t, chromedp.Click(chromedp.CSS(`a[href="/time/docs"]`)), chromedp.WaitVisible(chromedp.CSS("[id$=tool_echo_post]")))
	b.clean(t, a.url)
}

// TestStrictInBrowser: with --strict-auth a browser asks for a name and the
// key, and then the page and its calls work. The address stands for what a
// person would type.
func TestStrictInBrowser(t *testing.T) {
	a := serve(t, setup{Options: Options{Key: testKey, StrictAuth: true}, servers: []config.Server{real(t, "time")}})
	b := openBrowser(t)
	withKey := strings.Replace(a.url, "http://", "http://me:"+testKey+"@", 1)
	b.do(t, chromedp.Navigate(withKey+"/"), chromedp.WaitVisible(chromedp.CSS("h1")),
		chromedp.Navigate(a.url+"/time/docs"), chromedp.WaitVisible(chromedp.CSS("[id$=tool_whoami_post]")))
	if answer := b.execute(t, "[id$=tool_types_post]"); !strings.Contains(answer, "a note") {
		t.Errorf("the page shows %q", answer)
	}
	b.clean(t, a.url)
}
