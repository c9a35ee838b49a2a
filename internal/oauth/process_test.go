package oauth

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// childVariable makes the test binary a child: another mcpo on the same folder.
const childVariable = "MCPO_TEST_CHILD"

// child is what a child process does.
type child struct {
	URL, Dir string
	// Ask is how many requests it sends at once, after a line on its input.
	Ask int
	// DieAt is the step of a refresh at which it kills itself.
	DieAt string
	// Fetch are addresses that it reads instead, telling how that went.
	Fetch []string
}

// childMain is the child's whole life. It tells what went wrong, if anything.
func childMain(description string) error {
	var c child
	if err := json.Unmarshal([]byte(description), &c); err != nil {
		return err
	}
	if c.Fetch != nil {
		return c.fetch()
	}
	files, err := store.Open(store.Options{Dir: c.Dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	a, err := New(Options{
		Server: config.Server{Name: "test", Transport: config.StreamableHTTP, URL: c.URL, OAuth: settings()},
		Store:  files, PublicURL: "http://localhost:8000", Log: slog.New(slog.DiscardHandler),
		Step: func(step string) {
			if step == c.DieAt {
				self, err := os.FindProcess(os.Getpid())
				if err == nil {
					err = self.Kill()
				}
				if err != nil {
					panic(err)
				}
				select {} // until it arrives
			}
		},
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	defer cancel()
	problems := make([]error, c.Ask)
	var asking sync.WaitGroup
	for i := range c.Ask {
		asking.Go(func() { _, problems[i] = a.token(ctx, who) })
	}
	asking.Wait()
	return errors.Join(problems...)
}

func (c child) fetch() error {
	n := &network{names: map[string][][]string{"mcp.example": at("8.8.8.8")}}
	g := newGuard(Network{Resolve: n.resolve}, "mcp.example", nil, slog.New(slog.DiscardHandler))
	defer g.close()
	for _, address := range c.Fetch {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		got, err := g.get(context.Background(), u)
		var forbidden *forbiddenAddress
		fmt.Println(string(got.body), errors.As(err, &forbidden))
	}
	return nil
}

// process is a child that is running.
type process struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *bufio.Reader
	errors *strings.Builder
}

// spawn starts a child and waits until it is ready.
func spawn(t testing.TB, c child) *process {
	t.Helper()
	description, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(testContext(t), os.Args[0]), errors: &strings.Builder{}}
	p.cmd.Env = append(os.Environ(), childVariable+"="+string(description))
	p.cmd.Stderr = p.errors
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.output = bufio.NewReader(output)
	if line, err := p.output.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the child says %q, %v: %s", line, err, p.errors)
	}
	return p
}

func (p *process) begin(t testing.TB) {
	t.Helper()
	if _, err := io.WriteString(p.input, "\n"); err != nil {
		t.Fatal(err)
	}
}

// TestProxy: the environment's is used, and is not asked for addresses that
// are none of its business.
func TestProxy(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		_, _ = io.WriteString(w, "by proxy")
	}))
	defer proxy.Close()
	description, err := json.Marshal(child{Fetch: []string{"http://auth.example/a", "http://10.0.0.1/b", "http://169.254.169.254/c", "http://[::ffff:10.0.0.1]/d", "http://8.8.8.8/e"}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(testContext(t), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+string(description), "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	said, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "by proxy false\n true\n true\n true\nby proxy false\n"; string(said) != want {
		t.Errorf("the child says %q", said)
	}
	if diff := cmp.Diff([]string{"http://auth.example/a", "http://8.8.8.8/e"}, asked); diff != "" {
		t.Error(diff)
	}
}

// TestOneRefreshAmongProcesses: three of them, with many requests each
// (threats 14).
func TestOneRefreshAmongProcesses(t *testing.T) {
	s, dir := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), t.TempDir()
	a := granted(t, s, func(o *Options) { o.Store = openFiles(t, dir) })
	over(t, s, a)
	var all []*process
	for range 3 {
		all = append(all, spawn(t, child{URL: s.MCP, Dir: dir, Ask: 30}))
	}
	for _, p := range all {
		p.begin(t)
	}
	for _, p := range all {
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("a child: %v: %s", err, p.errors)
		}
	}
	if n := s.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	a.forgetGrant(who)
	works(t, a)
}

// TestKilled: whenever a process dies in a refresh, what another one finds is
// never sent twice to the authorization server, and costs a login at most
// (threats 14).
func TestKilled(t *testing.T) {
	for _, test := range []struct {
		step         string
		sent         int  // refreshes that the authorization server saw
		needsToLogin bool // once the access token is over
	}{
		{"marked", 0, true},
		{"answered", 1, true},
		{"saved", 1, false},
	} {
		t.Run(test.step, func(t *testing.T) {
			s, dir := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), t.TempDir()
			files := func(o *Options) { o.Store = openFiles(t, dir) }
			a := granted(t, s, files)
			almostOver(t, a)
			p := spawn(t, child{URL: s.MCP, Dir: dir, Ask: 1, DieAt: test.step})
			p.begin(t)
			var exit *exec.ExitError
			if err := p.cmd.Wait(); !errors.As(err, &exit) || exit.Success() {
				t.Fatalf("the child: %v: %s", err, p.errors)
			}
			if n := s.Requests("refresh"); n != test.sent {
				t.Fatalf("%d refreshes", n)
			}
			tokens := s.Tokens()

			b := authorizer(t, s.MCP, files) // a new process
			works(t, b)                      // a good access token is not lost
			if test.needsToLogin {
				over(t, s, b)
				for range 3 {
					_, err := ask(t, b)
					needsLogin(t, err, true)
				}
			}
			if n := s.Requests("refresh"); n != test.sent {
				t.Errorf("%d refreshes: the token was sent again", n)
			}
			if newest := lastOf(tokens, "refresh-"); !s.Active(newest) {
				t.Error("the authorization server has ended the grant, as after a replay")
			}
			if !test.needsToLogin {
				s.Expire()
				works(t, b) // with the refresh token that was saved
				return
			}
			if err := logIn(t, b); err != nil {
				t.Fatal(err)
			}
			works(t, b)
			s.Expire()
			works(t, b)
		})
	}
}

func lastOf(tokens []string, prefix string) (last string) {
	for _, token := range tokens {
		if strings.HasPrefix(token, prefix) {
			last = token
		}
	}
	return last
}

// TestKilledLongAgo: the mark of a dead process does not outlive the grant.
func TestKilledLongAgo(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := granted(t, s, nil)
	changeGrant(t, a, func(g *grant) { g.Spending = hashed(g.RefreshToken) })
	works(t, a)
	if status, err := a.Status(testContext(t), who); err != nil || !status.Authenticated || status.Renewable {
		t.Errorf("Status = %+v, %v", status, err)
	}
	// Another process died while this one has the grant in memory.
	almostOver(t, a)
	marked := storedGrant(t, a)
	marked.Spending = ""
	a.remember(who, marked)
	works(t, a)

	over(t, s, a)
	_, err := ask(t, a)
	needsLogin(t, err, true)
	if n := kept(t, a, store.Grants); n != 0 || s.Requests("refresh") != 0 {
		t.Errorf("%d grants are kept; %d refreshes", n, s.Requests("refresh"))
	}
}
