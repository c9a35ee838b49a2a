package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
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
	if description := os.Getenv(childVariable); description != "" {
		if err := childMain(description); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
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
		Store:  store.NewMemory(), PublicURL: "http://localhost:8000", Burst: 1000, Log: slog.New(slog.DiscardHandler),
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

// logIn is a whole login, as alice.
func logIn(t testing.TB, a *Authorizer) error {
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

// refusedFor checks that an error is a *DiscoveryError that says word.
func refusedFor(t testing.TB, err error, word string) {
	t.Helper()
	var refused *DiscoveryError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), word) {
		t.Errorf("%v is not a refusal that says %q", err, word)
	}
}

// granted is an authorizer whose caller has logged in.
func granted(t testing.TB, s *oauthtest.Server, change func(*Options)) *Authorizer {
	t.Helper()
	a := authorizer(t, s.MCP, change)
	if err := logIn(t, a); err != nil {
		t.Fatalf("logging in: %v", err)
	}
	return a
}

// works checks that a request with the caller's token is let in.
func works(t testing.TB, a *Authorizer) {
	t.Helper()
	if status, err := ask(t, a); err != nil || status != http.StatusOK {
		t.Errorf("the server answers %d, %v", status, err)
	}
}

// needsLogin checks that the caller is sent to log in. gone says that there was
// a grant.
func needsLogin(t testing.TB, err error, gone bool) {
	t.Helper()
	var required *LoginRequiredError
	if !errors.As(err, &required) || required.Gone != gone {
		t.Errorf("%v is not a LoginRequiredError with Gone %v", err, gone)
	}
}

// kept is how many records of a kind a store has.
func kept(t testing.TB, a *Authorizer, kind store.Kind) int {
	t.Helper()
	records, err := a.store.List(testContext(t), kind)
	if err != nil {
		t.Fatal(err)
	}
	return len(records)
}

// changeGrant writes the caller's stored grant anew, and makes memory forget it.
func changeGrant(t testing.TB, a *Authorizer, change func(*grant)) {
	t.Helper()
	g := storedGrant(t, a)
	change(g)
	if err := a.write(testContext(t), who, g); err != nil {
		t.Fatal(err)
	}
	a.forgetGrant(who)
}

func storedGrant(t testing.TB, a *Authorizer) *grant {
	t.Helper()
	g, err := a.read(testContext(t), who)
	if err != nil {
		t.Fatalf("reading the stored grant: %v", err)
	}
	return g
}

// almostOver makes the access token due for renewal, as if its time had passed.
func almostOver(t testing.TB, a *Authorizer) {
	t.Helper()
	changeGrant(t, a, func(g *grant) {
		g.Obtained, g.Expiry = time.Now().Add(-time.Hour), time.Now().Add(time.Second)
	})
}

// over makes the access token run out, at the server and here.
func over(t testing.TB, s *oauthtest.Server, a *Authorizer) {
	t.Helper()
	s.Expire()
	changeGrant(t, a, func(g *grant) { g.Obtained, g.Expiry = time.Now().Add(-time.Hour), time.Now().Add(-time.Second) })
}

func clientMetadata() *config.ClientMetadata { return &config.ClientMetadata{ClientName: "my mcpo"} }

func somebody(name string) caller.ID { return caller.FromStore(name) }

// openFiles opens the store in a folder.
func openFiles(t testing.TB, dir string) *store.Files {
	t.Helper()
	files, err := store.Open(store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// testShort ends well before what is bounded by requestTime does.
func testShort(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime/2)
	t.Cleanup(cancel)
	return ctx
}
