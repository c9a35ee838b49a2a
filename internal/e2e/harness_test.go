// Package e2e runs mcpo, the program, before MCP servers that strangers wrote
// and installs nothing itself: .ci/run does, and sets MCPO_TEST_FULL=1, with
// which a missing package is a failure. Otherwise such tests are skipped.
//
// A test writes a configuration, starts mcpo on a free port (harness_test.go),
// and talks HTTP to it as a caller does. What Python's mcpo 0.0.20 answers to
// the same calls, and where mcpo means to differ, is in differences_test.go.
// Authorization servers, which strangers wrote too, are in labs_test.go. The
// caller that matters most, Open WebUI, calls by itself in openwebui_test.go.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mcpo/internal/mcptest"
)

// patience bounds every wait; it is long, for it is met by failures only.
const patience = 60 * time.Second

// full tells whether this is the run in which nothing may be left out.
func full() bool { return os.Getenv("MCPO_TEST_FULL") == "1" }

// toolsFolder is where .ci/run installs what comes from registries.
func toolsFolder() string {
	if dir := os.Getenv("MCPO_TOOLS"); dir != "" {
		return dir
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "mcpo-ci")
}

// installed gives the path of something below the tools folder, and skips the
// test when that is not there.
func installed(t *testing.T, path string) string {
	t.Helper()
	if !full() {
		t.Skipf("needs %s from a package registry; .ci/run installs it and runs this test (it sets MCPO_TEST_FULL=1)", path)
	}
	path = filepath.Join(toolsFolder(), filepath.FromSlash(path))
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("MCPO_TEST_FULL=1 asks for every test, but this is not installed (.ci/run does): %v", err)
	}
	return path
}

func nodeProgram(t *testing.T, name string) string {
	t.Helper()
	return installed(t, "npm/node_modules/.bin/"+name)
}

// proxy is a running mcpo, ours or Python's.
type proxy struct {
	base string // its URL
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// output keeps what a process wrote and tells of lines as they come.
type output struct {
	mu    sync.Mutex
	lines []string // guarded by mu
	watch func(line string)
}

// String is the last of what was written.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines[max(0, len(o.lines)-100):], "\n")
}

func (o *output) read(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			o.mu.Lock()
			o.lines = append(o.lines, strings.TrimRight(line, "\n"))
			o.mu.Unlock()
			o.watch(line)
		}
		if err != nil {
			return
		}
	}
}

// run starts a process that the end of the test ends; watch sees each line of
// its output.
func run(t *testing.T, cmd *exec.Cmd, watch func(line string)) *proxy {
	t.Helper()
	r, w := io.Pipe()
	p := &proxy{cmd: cmd, out: &output{watch: watch}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.out.read(r)
	go func() {
		_ = cmd.Wait()
		_ = w.Close()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("output of %s:\n%s", filepath.Base(cmd.Path), p.out)
		}
	})
	return p
}

func (p *proxy) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// startOurs starts mcpo on a port of its choice and waits until it listens.
func startOurs(t *testing.T, args ...string) *proxy {
	t.Helper()
	cmd := exec.Command(mcptest.Build(t, "mcpo/cmd/mcpo"), append([]string{"--host", "127.0.0.1", "--port", "0"}, args...)...)
	listening := make(chan string, 1)
	p := run(t, cmd, func(line string) {
		if strings.Contains(line, "mcpo is listening") {
			_, rest, _ := strings.Cut(line, "url=")
			listening <- strings.Fields(rest)[0]
		}
	})
	select {
	case p.base = <-listening:
	case <-p.done:
		t.Fatalf("mcpo ended:\n%s", p.out)
	case <-time.After(patience):
		t.Fatalf("mcpo does not listen:\n%s", p.out)
	}
	return p
}

// startPython starts the Python mcpo and waits until it serves.
func startPython(t *testing.T, args ...string) *proxy {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(installed(t, "mcpo0020/bin/mcpo"), append([]string{"--host", "127.0.0.1", "--port", port}, args...)...)
	p := run(t, cmd, func(string) {})
	p.base = "http://127.0.0.1:" + port
	p.eventually(t, func() error { return p.got("/openapi.json", nil) })
	return p
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// eventually repeats try until it gives no error: there is nothing else to wait
// on in another process.
func (p *proxy) eventually(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("the process ended: %v\n%s", err, p.out)
		case <-deadline:
			t.Fatalf("gave up waiting: %v\n%s", err, p.out)
		case <-tick.C:
		}
	}
}

// ready waits until all servers behind our mcpo are connected.
func (p *proxy) ready(t *testing.T) {
	t.Helper()
	p.eventually(t, func() error {
		var r struct {
			Servers map[string]struct{ State string }
		}
		if err := p.got("/readyz", &r); err != nil {
			return err
		}
		for name, s := range r.Servers {
			if s.State != "connected" {
				return fmt.Errorf("server %s is %s", name, s.State)
			}
		}
		return nil
	})
}

// got reads a JSON document into v, which may be nil.
func (p *proxy) got(path string, v any) error {
	resp, err := http.Get(p.base + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", path, resp.Status, body)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(body, v)
}

// answer is the status and the body of an HTTP answer.
type answer struct {
	Status int
	Body   string
}

// call posts a body to a tool.
func (p *proxy) call(path, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(bytes.TrimSpace(b))}, err
}

func (p *proxy) mustCall(t *testing.T, path, body string) answer {
	t.Helper()
	a, err := p.call(path, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// serverConfig is one entry of a configuration file.
type serverConfig map[string]any

// configFile writes a configuration.
func configFile(t *testing.T, servers map[string]serverConfig) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"mcpServers": servers})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
