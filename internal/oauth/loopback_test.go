package oauth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// freePort is one that nobody has at the moment.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// home is a machine with a browser: its loopback port leads to whichever
// authorizer knows the state.
type home struct {
	*Loopback
	port int
	mu   sync.Mutex
	all  []*Authorizer
}

func newHome(t testing.TB) *home {
	t.Helper()
	h := &home{port: freePort(t)}
	h.Loopback = NewLoopback(h, slog.New(slog.DiscardHandler))
	t.Cleanup(h.Close)
	return h
}

func (h *home) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	all := h.all
	h.mu.Unlock()
	for _, a := range all {
		if a.Knows(r.Context(), r.URL.Query().Get("state")) {
			if _, err := a.Finish(r.Context(), r.URL.Query(), ""); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			_, _ = io.WriteString(w, "Connected to "+a.name)
			return
		}
	}
	http.Error(w, "unknown", http.StatusNotFound)
}

// authorizer is one whose logins come back to the home's port.
func (h *home) authorizer(t testing.TB, s *oauthtest.Server, change func(*Options)) *Authorizer {
	t.Helper()
	a := authorizer(t, s.MCP, func(o *Options) {
		o.Loopback, o.Server.OAuth.UseLoopback, o.Server.OAuth.CallbackPort = h.Loopback, true, h.port
		if change != nil {
			change(o)
		}
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, a)
	return a
}

// closed checks that nobody listens at the port any more.
func (h *home) closed(t testing.TB) {
	t.Helper()
	for _, host := range []string{"127.0.0.1", "::1"} {
		if conn, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(h.port))); err == nil {
			conn.Close()
			t.Errorf("port %d of %s is still open", h.port, host)
		}
	}
}

func (h *home) browse(t testing.TB, to string) string {
	t.Helper()
	page, err := oauthtest.Browse(testContext(t), to, oauthtest.BrowseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return page.Body
}

// TestLoopback: the browser comes back to the port, which is closed after that.
func TestLoopback(t *testing.T) {
	s, h := oauthtest.Start(t, oauthtest.Options{}), newHome(t)
	a := h.authorizer(t, s, nil)
	if a.Pasted(who) {
		t.Error("nothing is pasted here")
	}
	b := begun(t, a)
	if b.RedirectURI != fmt.Sprintf("http://localhost:%d/callback", h.port) {
		t.Errorf("the redirect URI is %s", b.RedirectURI)
	}
	if body := h.browse(t, b.URL); body != "Connected to test" {
		t.Errorf("the page says %q", body)
	}
	if err := <-b.Outcome; err != nil {
		t.Errorf("the outcome is %v", err)
	}
	works(t, a)
	h.closed(t)
}

// TestPortInUse: the login does not even begin, and the error says what to do.
func TestPortInUse(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", host)
		if err != nil {
			t.Logf("%s: %v", host, err)
			continue
		}
		var other sync.WaitGroup
		other.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Close()
			}
		})
		defer other.Wait()
		defer l.Close()
		s, h := oauthtest.Start(t, oauthtest.Options{}), newHome(t)
		h.port = l.Addr().(*net.TCPAddr).Port
		a := h.authorizer(t, s, nil)
		b, err := a.Begin(testContext(t), who, "")
		var inUse *PortInUseError
		if b != nil || !errors.As(err, &inUse) || inUse.Port != h.port || !strings.Contains(err.Error(), "callback_port") {
			t.Errorf("Begin = %v, %v", b, err)
		}
		if n := s.Requests("mcp") + s.Requests("register") + kept(t, a, store.Logins); n != 0 {
			t.Errorf("the login half began")
		}
	}
}

// TestPortNotAllowed is another matter than one that is in use.
func TestPortNotAllowed(t *testing.T) {
	h := newHome(t)
	_, err := h.open(1 << 20)
	var inUse *PortInUseError
	if err == nil || errors.As(err, &inUse) {
		t.Errorf("open: %v", err)
	}
}

// TestTwoServersOnOnePort, and two logins at one server: the port stays open
// for the last of them.
func TestTwoServersOnOnePort(t *testing.T) {
	s, h, shared := oauthtest.Start(t, oauthtest.Options{}), newHome(t), store.NewMemory()
	a := h.authorizer(t, s, func(o *Options) { o.Store = shared })
	b := h.authorizer(t, s, func(o *Options) { o.Store, o.Server.Name = shared, "other" })
	first, again, other := begun(t, a), begun(t, a), begun(t, b)
	if body := h.browse(t, other.URL); body != "Connected to other" {
		t.Errorf("the other's page says %q", body)
	}
	if body := h.browse(t, again.URL); body != "Connected to test" {
		t.Errorf("the page says %q", body)
	}
	if body := h.browse(t, first.URL); body != "Connected to test" {
		t.Errorf("the first login's page says %q", body)
	}
	h.closed(t)
	begun(t, a).Done()
	h.closed(t)
}

// TestLoopbackIsLeft: a login that is given up, that fails to begin, and an
// authorizer that is closed leave the port.
func TestLoopbackIsLeft(t *testing.T) {
	s, h := oauthtest.Start(t, oauthtest.Options{}), newHome(t)
	a := h.authorizer(t, s, nil)
	b := begun(t, a)
	b.Done()
	b.Done()
	h.closed(t)
	begun(t, a)
	a.Close()
	h.closed(t)
	s.Set(func(o *oauthtest.Options) { o.NoRegistration = true })
	if _, err := h.authorizer(t, s, nil).Begin(testContext(t), who, ""); err == nil {
		t.Error("the login began")
	}
	h.closed(t)
}

// TestOtherStates at the port do not end the wait for the right one.
func TestOtherStates(t *testing.T) {
	s, h := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), newHome(t)
	a := h.authorizer(t, s, nil)
	b := begun(t, a)
	for path, want := range map[string]int{"/callback?state=x&code=y": 404, "/callback": 404, "/": 404, "/callback/": 404, "/callback/x": 404} {
		if got := h.get(t, http.MethodGet, path); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
	if got := h.get(t, http.MethodPost, "/callback?state="+b.State); got != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got)
	}
	if body := h.browse(t, b.URL); body != "Connected to test" {
		t.Errorf("the page says %q", body)
	}
}

func (h *home) get(t testing.TB, method, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), method, fmt.Sprintf("http://127.0.0.1:%d%s", h.port, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	by := &http.Transport{DisableKeepAlives: true}
	resp, err := by.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestAnswerIsSent although the port is closed while it is written.
func TestAnswerIsSent(t *testing.T) {
	port, closing := freePort(t), make(chan func(), 1)
	l := NewLoopback(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		(<-closing)()
		_, _ = io.WriteString(w, strings.Repeat("done ", 100000))
	}), slog.New(slog.DiscardHandler))
	defer l.Close()
	done, err := l.open(port)
	if err != nil {
		t.Fatal(err)
	}
	closing <- done
	by := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := by.Get(fmt.Sprintf("http://localhost:%d/callback", port))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != 500000 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	(&home{port: port}).closed(t)
}

// TestLoopbackClose ends ports that are open, and soon those that were: browsers
// keep connections that they never use.
func TestLoopbackClose(t *testing.T) {
	for _, released := range []bool{false, true} {
		h := newHome(t)
		done, err := h.open(h.port)
		if err != nil {
			t.Fatal(err)
		}
		idle, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", h.port))
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
		if _, err := io.WriteString(idle, "GET /call"); err != nil {
			t.Fatal(err)
		}
		h.get(t, http.MethodGet, "/callback") // by then the other one was accepted
		if released {
			done()
		}
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			h.Close()
		}()
		select {
		case <-closed:
		case <-testShort(t).Done():
			t.Error("it takes too long")
		}
		h.closed(t)
	}
}
