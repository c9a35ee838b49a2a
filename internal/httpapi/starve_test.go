package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/limit"
)

// desk serves one call at a time, in the order in which they came, as slow
// servers do. It begins when it is opened.
type desk struct {
	open    chan struct{}
	arrived chan int // how many calls were before one of the tool polite

	mu    sync.Mutex
	last  chan struct{} // closed when the call that came last is served
	there int           // calls that are not served yet
	most  int
}

func newDesk() *desk {
	first := make(chan struct{})
	close(first)
	return &desk{open: make(chan struct{}), arrived: make(chan int, 100), last: first}
}

func (d *desk) call(w http.ResponseWriter, c rawCall) {
	d.mu.Lock()
	before, served, ahead := d.last, make(chan struct{}), d.there
	d.last = served
	d.there++
	d.most = max(d.most, d.there)
	d.mu.Unlock()
	if strings.Contains(string(c.params), "polite") {
		d.arrived <- ahead
	}
	<-d.open
	<-before
	d.mu.Lock()
	d.there--
	d.mu.Unlock()
	close(served)
	c.answer(w, "result", `{"content":[]}`)
}

// waiting is how many calls are at the desk.
func (d *desk) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.there
}

const twoTools = `[{"name":"greedy","inputSchema":{"type":"object"}},{"name":"polite","inputSchema":{"type":"object"}}]`

// crowd is an mcpo before a desk, whose key is k, and which believes headers.
func crowd(t *testing.T, d *desk, rules limit.Rules) *api {
	return serve(t, setup{Options: Options{Key: "k"}, identify: caller.Options{TrustUserHeaders: true}, limits: rules,
		servers: []config.Server{scripted(t, "s", twoTools, d.call)}})
}

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(hurry); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// TestALoopStarvesNobody: one person calls in a loop, fifty calls at a time,
// without a pause. Another one's calls to the same server all get through, and
// each finds few before it there. That is told in calls, for it does not depend on
// how fast the machine is.
func TestALoopStarvesNobody(t *testing.T) {
	t.Parallel()
	const few = 2
	d := newDesk()
	a := crowd(t, d, limit.Rules{Concurrent: few, Queue: 10, QueueTime: time.Minute})
	stop := make(chan struct{})
	var loops sync.WaitGroup
	var refused sync.Map
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	defer client.CloseIdleConnections()
	for range 50 {
		loops.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := callAs(context.Background(), client, a, "greedy", "mallory", "")
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusOK:
				case http.StatusTooManyRequests:
					refused.Store(resp.Header.Get("Retry-After"), true)
				default:
					t.Errorf("the loop is told %d", resp.StatusCode)
				}
			}
		})
	}
	until(t, "the loop at the server", func() bool { return d.waiting() == few })
	until(t, "refusals", func() bool { _, ok := refused.Load("1"); return ok })
	close(d.open)
	for range 30 {
		resp, err := callAs(soon(t), client, a, "polite", "alice", "{}")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if ahead := <-d.arrived; resp.StatusCode != http.StatusOK || ahead > few {
			t.Errorf("the other's call is answered with %d, after %d others", resp.StatusCode, ahead)
		}
	}
	close(stop)
	loops.Wait()
	if d.most > few+1 {
		t.Errorf("the server had %d calls at a time", d.most)
	}
}

func callAs(ctx context.Context, client *http.Client, a *api, tool, user, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/s/"+tool, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer k")
	req.Header.Set("X-OpenWebUI-User-Id", user)
	return client.Do(req)
}

// TestWithoutIdentityAllAreOne: what does not say whose it is counts together.
func TestWithoutIdentityAllAreOne(t *testing.T) {
	d := newDesk()
	close(d.open)
	a := crowd(t, d, limit.Rules{PerSecond: 0.001, Burst: 1})
	for _, user := range []string{"", "X-OpenWebUI-User-Id: alice", "X-OpenWebUI-User-Id: bob"} {
		headers := []string{"Authorization: Bearer k"}
		if user != "" {
			headers = append(headers, user)
		}
		a.do("POST", "/s/greedy", "", headers...).want(t, "the first call of "+user, 200, "[]")
		r := a.do("POST", "/s/greedy", "", headers...)
		r.want(t, "the second of "+user, 429, `under \"limits\"`)
		if after, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || after < 900 || after > 1000 {
			t.Errorf("Retry-After is %d, %v", after, err)
		}
	}
}

// TestQueuedCalls: one that waits has its turn when another ends, and gives its
// place up when its caller goes away.
func TestQueuedCalls(t *testing.T) {
	d := newDesk()
	a := crowd(t, d, limit.Rules{Concurrent: 1, Queue: 1, QueueTime: time.Hour})
	call := func(ctx context.Context) <-chan int {
		status := make(chan int, 1)
		go func() {
			resp, err := callAs(ctx, http.DefaultClient, a, "polite", "alice", "{}")
			if err != nil {
				status <- 0
				return
			}
			resp.Body.Close()
			status <- resp.StatusCode
		}()
		return status
	}
	// waits starts calls until one neither ends nor is refused: it is in the queue.
	waits := func(ctx context.Context) (status <-chan int) {
		until(t, "room in the queue", func() bool {
			status = call(ctx)
			select {
			case <-status:
				return false
			case <-time.After(200 * time.Millisecond):
				return true
			}
		})
		return status
	}
	first := call(soon(t))
	<-d.arrived
	ctx, cancel := context.WithCancel(soon(t))
	second := waits(ctx)
	cancel()
	if status := <-second; status != 0 {
		t.Errorf("the caller who went away is told %d", status)
	}
	third := waits(soon(t))
	close(d.open)
	if status := <-first; status != http.StatusOK {
		t.Errorf("the first call ended with %d", status)
	}
	status := <-third
	for status == http.StatusTooManyRequests { // it was late, and before mcpo saw that the second had gone
		status = <-call(soon(t))
	}
	if status != http.StatusOK {
		t.Errorf("the call that waited ended with %d", status)
	}
	if len(d.arrived) != 1 {
		t.Errorf("the server had %d more calls, want one", len(d.arrived))
	}
}

// TestRefusedUnread: over the limit is told before the body has come.
func TestRefusedUnread(t *testing.T) {
	d := newDesk()
	close(d.open)
	a := crowd(t, d, limit.Rules{PerSecond: 0.001, Burst: 1})
	a.do("POST", "/s/greedy", "{}", "Authorization: Bearer k").want(t, "the first call", 200, "")
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(hurry)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "POST /s/greedy HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\nContent-Length: 1000000\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests || !resp.Close {
		t.Errorf("the answer is %d, Connection: close %t", resp.StatusCode, resp.Close)
	}
}

// TestBreaker: a server that only fails is no more asked, for the caller whose
// calls fail, until it answers again.
func TestBreaker(t *testing.T) {
	var mu sync.Mutex
	broken := true
	a := serve(t, setup{Options: Options{Key: "k"}, identify: caller.Options{TrustUserHeaders: true}, breaks: limit.BreakerRules{Failures: 3, Rest: 100 * time.Millisecond},
		servers: []config.Server{scripted(t, "s", twoTools, func(w http.ResponseWriter, c rawCall) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.Contains(string(c.params), "polite"):
				c.answer(w, "result", `{"content":[{"type":"text","text":"wrong"}],"isError":true}`)
			case broken:
				w.WriteHeader(http.StatusInternalServerError)
			default:
				c.answer(w, "result", `{"content":[]}`)
			}
		})}})
	call := func(tool, body, user string) reply {
		return a.do("POST", "/s/"+tool, body, "Authorization: Bearer k", "X-OpenWebUI-User-Id: "+user)
	}
	for range 3 { // neither a tool's errors, nor the caller's, are the server's
		call("greedy", `{}`, "alice").want(t, "a call that fails", 502, "status 500")
		call("greedy", `[`, "alice").want(t, "a mistake", 422, "")
		call("none", `{}`, "alice").want(t, "no tool", 404, "")
		call("polite", `{}`, "alice").want(t, "a tool's error", 500, "wrong")
	}
	for range 3 {
		call("greedy", `{}`, "mallory").want(t, "a call that fails", 502, "status 500")
	}
	r := call("greedy", `{}`, "mallory")
	for r.status == 502 { // on a slow machine the rest was over
		r = call("greedy", `{}`, "mallory")
	}
	r.want(t, "a call more", 503, "have all failed")
	if after := r.header.Get("Retry-After"); after != "1" {
		t.Errorf("Retry-After is %q", after)
	}
	call("greedy", `{}`, "alice").want(t, "another's call", 502, "status 500")
	mu.Lock()
	broken = false
	mu.Unlock()
	until(t, "success", func() bool { return call("greedy", `{}`, "mallory").status == 200 })
	call("greedy", `{}`, "mallory").want(t, "the next call", 200, "[]")
	if log := a.log.String(); !strings.Contains(log, "caller=user:mallory open=true") || !strings.Contains(log, "caller=user:mallory open=false") {
		t.Errorf("the log does not tell it:\n%s", log)
	}
}
