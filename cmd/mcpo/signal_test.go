//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestHangups(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reload := hangups(ctx)
	for range 3 {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		<-reload
	}
}

// TestHangupReloads holds that SIGHUP brings new servers, and that a file with
// mistakes changes nothing.
func TestHangupReloads(t *testing.T) {
	const file = "servers.json"
	p := startProcess(t, map[string]string{file: `{"mcpServers": {"one": {"command": "./mcpserver"}}}`}, "--config", file)
	until(t, "server one is not served", p.answers("/one/openapi.json"))

	writeFile(t, filepath.Join(p.cmd.Dir, file), `{"mcpServers": {"two": {"command": "./mcpserver"}}}`)
	p.signal(t, syscall.SIGHUP)
	until(t, "server two is not served", p.answers("/two/openapi.json"))

	writeFile(t, filepath.Join(p.cmd.Dir, file), `{"mcpServers": 7}`)
	p.signal(t, syscall.SIGHUP)
	until(t, "the mistake is not told", func() bool { return strings.Contains(p.log.String(), file+":1") })
	if !p.answers("/two/openapi.json")() {
		t.Error("server two is gone")
	}
	p.signal(t, syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("mcpo ended with %v\n%s", err, p.log.String())
	}
}

// TestHangupOpensTheAuditLogAnew, for a single server too, which then lives on.
func TestHangupOpensTheAuditLogAnew(t *testing.T) {
	p := startProcess(t, nil, "--audit-log", "audit.log", "--", "./mcpserver")
	path := filepath.Join(p.cmd.Dir, "audit.log")
	call := func() {
		t.Helper()
		answer, err := http.Post("http://"+p.address+"/none", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	call()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP)
	until(t, "there is no new audit log", func() bool {
		call()
		text, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(text), `"event":"call"`)
	})
	if text, err := os.ReadFile(path + ".1"); err != nil || !strings.Contains(string(text), `"event":"call"`) {
		t.Errorf("the old one holds %q, %v", text, err)
	}
	p.signal(t, syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("mcpo ended with %v\n%s", err, p.log.String())
	}
}

// TestSecondSignal holds that whoever cannot wait for the calls in flight need
// not.
func TestSecondSignal(t *testing.T) {
	p := startProcess(t, nil, "--shutdown-timeout", "1h", "--", "./mcpserver")
	inFlight := beginRequest(t, p.address)
	defer inFlight.Close()
	p.signal(t, syscall.SIGINT)
	until(t, "mcpo still listens after the first signal", func() bool { return !p.listens() })
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	var err error
	// Signals are given back a moment after the first one was heard.
	until(t, "mcpo goes on after the second signal", func() bool {
		_ = p.cmd.Process.Signal(syscall.SIGINT) // fails when it has ended
		select {
		case err = <-ended:
			return true
		default:
			return false
		}
	})
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("mcpo ended with %v, not by the second signal\n%s", err, p.log.String())
	}
}

// process is a running mcpo.
type process struct {
	cmd     *exec.Cmd
	address string
	log     *syncBuffer
}

// syncBuffer holds what a process writes, while it writes.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String is what was written so far.
func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// startProcess runs mcpo in a folder that holds files and the program
// ./mcpserver, and returns once it listens.
func startProcess(t *testing.T, files map[string]string, args ...string) *process {
	t.Helper()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "mcpserver")); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		writeFile(t, filepath.Join(dir, name), content)
	}
	p := &process{address: address, log: &syncBuffer{}}
	p.cmd = &exec.Cmd{
		Path:   self,
		Args:   append([]string{"mcpo", "--host", "127.0.0.1", "--port", port}, args...),
		Dir:    dir,
		Stderr: p.log,
		Env:    append(os.Environ(), "GORACE=atexit_sleep_ms=0"),
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	until(t, "mcpo does not listen", p.listens)
	return p
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%v\n%s", err, p.log.String())
	}
}

func (p *process) listens() bool {
	c, err := net.Dial("tcp", p.address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// answers tells whether path answers 200.
func (p *process) answers(path string) func() bool {
	return func() bool {
		answer, err := http.Get("http://" + p.address + path)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
}

// beginRequest sends the head of a request and returns once mcpo waits for the
// body.
func beginRequest(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /echo HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", address)
	line, err := textproto.NewReader(bufio.NewReader(c)).ReadLine()
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("mcpo answers %q, %v", line, err)
	}
	return c
}

// until returns once done is true.
func until(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(otherwise)
		}
	}
}
