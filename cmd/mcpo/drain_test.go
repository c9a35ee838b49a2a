//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// drainDelay is long enough for the balancer to see it, however slow the machine.
const drainDelay = "5s"

// TestRollingRestart replaces one mcpo by another under load, behind a balancer
// that watches /readyz and keeps its connections: no call fails.
func TestRollingRestart(t *testing.T) {
	start := func() *process {
		p := startProcess(t, nil, "--drain-delay", drainDelay, "--", "./mcpserver")
		until(t, "mcpo is not ready", p.answers("/readyz"))
		return p
	}
	old := start()
	b := newBalancer(t, old)
	load := b.load(t, 8)
	until(t, "there is no load", func() bool { return load.calls.Load() > 50 })
	next := start()
	b.add(next)
	long := make(chan string, 1)
	go func() { long <- post(b.URL+"/slow", slowCall) }()
	until(t, "the long call has not begun", func() bool { return b.long.Load() == 1 })
	old.signal(t, syscall.SIGTERM)
	until(t, "the one that ends does not say so", func() bool { return readiness(old).Draining })
	checkStillServes(t, old)
	if err := old.cmd.Wait(); err != nil {
		t.Errorf("mcpo ended with %v\n%s", err, old.log.String())
	}
	if answer := <-long; !strings.HasPrefix(answer, "200") {
		t.Errorf("the call that began before and ended long after is answered with %s", answer)
	}
	at := load.calls.Load()
	until(t, "the load has ended", func() bool { return load.calls.Load() > at+50 })
	load.stop()
	t.Logf("%d calls, of which %d met the restart", load.calls.Load(), at)
}

// slowCall takes longer than drainDelay.
const slowCall = `{"ms":6000}`

// post gives the answer's status and body, or what went wrong.
func post(url, body string) string {
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, text)
}

// ready is what /readyz says.
type ready struct{ Ready, Draining bool }

func readiness(p *process) (r ready) {
	resp, err := http.Get("http://" + p.address + "/readyz")
	if err != nil {
		return r
	}
	defer resp.Body.Close()
	_ = json.NewDecoder(resp.Body).Decode(&r) // what cannot be read is not ready
	return r
}

// checkStillServes looks at an mcpo that is about to end.
func checkStillServes(t *testing.T, p *process) {
	t.Helper()
	for path, want := range map[string]int{"/readyz": http.StatusServiceUnavailable, "/healthz": 200, "/openapi.json": 200, "/echo": 200, "/add": 422} {
		method, body := http.MethodGet, ""
		if path == "/echo" || path == "/add" {
			method, body = http.MethodPost, `{"message":"x"}`
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != want || !resp.Close {
			t.Errorf("%s is answered with %d, Connection: close %t", path, resp.StatusCode, resp.Close)
		}
	}
}

// TestSecondSignalEndsTheDelay: whoever cannot wait for it need not.
func TestSecondSignalEndsTheDelay(t *testing.T) {
	p := startProcess(t, nil, "--drain-delay", "1h", "--", "./mcpserver")
	p.signal(t, syscall.SIGTERM)
	until(t, "mcpo does not say that it ends", func() bool { return readiness(p).Draining })
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	p.signal(t, syscall.SIGTERM)
	exit, ok := errors.AsType[*exec.ExitError](<-ended)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("mcpo was not ended by the second signal\n%s", p.log.String())
	}
}

// balancer sends requests to the first mcpo that says that it is ready. As
// balancers do, it finds out by asking again and again, and keeps connections.
type balancer struct {
	*httptest.Server
	t       *testing.T
	long    atomic.Int64 // calls of slow that were sent on
	mu      sync.Mutex
	members []*member
}

type member struct {
	proxy *httputil.ReverseProxy
	ready atomic.Bool
}

func newBalancer(t *testing.T, p *process) *balancer {
	b := &balancer{t: t}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := b.pick(); m != nil {
			if r.URL.Path == "/slow" {
				b.long.Add(1)
			}
			m.proxy.ServeHTTP(w, r)
			return
		}
		http.Error(w, "nobody is ready", http.StatusServiceUnavailable)
	}))
	t.Cleanup(b.Close)
	b.add(p)
	return b
}

func (b *balancer) pick() *member {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.members {
		if m.ready.Load() {
			return m
		}
	}
	return nil
}

// add returns once the balancer knows that p is ready.
func (b *balancer) add(p *process) {
	pool := &http.Transport{MaxIdleConnsPerHost: 100}
	m := &member{proxy: &httputil.ReverseProxy{Transport: pool, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", p.address
	}}}
	b.mu.Lock()
	b.members = append(b.members, m)
	b.mu.Unlock()
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			m.ready.Store(readiness(p).Ready)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	b.t.Cleanup(func() {
		close(stop)
		watch.Wait()
		pool.CloseIdleConnections()
	})
	until(b.t, "the balancer does not know", m.ready.Load)
}

// load is calls without a pause.
type load struct {
	calls atomic.Int64
	end   chan struct{}
	all   sync.WaitGroup
}

func (b *balancer) load(t *testing.T, many int) *load {
	l := &load{end: make(chan struct{})}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: many}}
	t.Cleanup(client.CloseIdleConnections)
	for range many {
		l.all.Go(func() {
			for {
				select {
				case <-l.end:
					return
				default:
				}
				resp, err := client.Post(b.URL+"/echo", "application/json", strings.NewReader(`{"message":"x"}`))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if l.calls.Add(1); err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("a call is answered with %d %s, %v", resp.StatusCode, body, err)
					return
				}
			}
		})
	}
	return l
}

func (l *load) stop() {
	close(l.end)
	l.all.Wait()
}
