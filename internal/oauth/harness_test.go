package oauth

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// hurry bounds what has to happen; only a defect makes a test wait so long.
const hurry = 30 * time.Second

var who = caller.Shared()

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	t.Cleanup(cancel)
	return ctx
}

// settings is the oauth block that most tests begin with: the browser's last
// address is pasted.
func settings() *config.OAuth {
	return &config.OAuth{ServerURL: "auto", CallbackPort: 3030, StorageType: "memory", Resource: "auto", Catalog: "shared", SessionTimeout: time.Minute}
}

// authorizer is one for a server at url, with what change makes of the options.
func authorizer(t testing.TB, url string, change func(*Options)) *Authorizer {
	t.Helper()
	o := Options{
		Server: config.Server{Name: "test", Transport: config.StreamableHTTP, URL: url, OAuth: settings()},
		Store:  store.NewMemory(), PublicURL: "http://localhost:8000", Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// begun begins a login that must succeed so far.
func begun(t testing.TB, a *Authorizer) *Begun {
	t.Helper()
	b, err := a.Begin(testContext(t), who, "")
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	t.Cleanup(b.Done)
	return b
}

// browsed plays the person, and gives the address that the browser ends at.
func browsed(t testing.TB, to string, o oauthtest.BrowseOptions) url.Values {
	t.Helper()
	o.StopBefore = true
	page, err := oauthtest.Browse(testContext(t), to, o)
	if err != nil {
		t.Fatalf("Browse: %v", err)
	}
	u, err := url.Parse(page.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// login is a whole login, as alice.
func login1(t testing.TB, a *Authorizer) error {
	t.Helper()
	b, err := a.Begin(testContext(t), who, "")
	if err != nil {
		return err
	}
	defer b.Done()
	_, err = a.Finish(testContext(t), browsed(t, b.URL, oauthtest.BrowseOptions{}), "")
	return err
}

// ask sends one request with the caller's token, and gives the status.
func ask(t testing.TB, a *Authorizer) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, a.url.String(), strings.NewReader(initializeBody))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := a.RoundTripper(who, a.direct).RoundTrip(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode, nil
}
