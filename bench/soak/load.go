//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// atMost is how many requests are under way at a time. More are left out, and
// counted: the machine is too slow for the rate.
const atMost = 256

// withoutTools is in place of the status of a document in which tools are missing.
const withoutTools = -http.StatusOK

// soak is one run.
type soak struct {
	opts    options
	up      *upstreams
	mcpo    *mcpo
	http    *http.Client
	callers []*caller
	faults  *faults
	tally   *tally
	began   time.Time
	sent    atomic.Int64
	late    time.Duration // that a request was sent, at most: this program had to wait for the machine
}

func newSoak(o options, up *upstreams, p *mcpo) (*soak, error) {
	s := &soak{opts: o, up: up, mcpo: p, tally: newTally(), faults: &faults{},
		http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: atMost}}}
	for n := range o.callers {
		c, err := newCaller(n)
		if err != nil {
			return nil, err
		}
		s.callers = append(s.callers, c)
	}
	return s, nil
}

// soak keeps load and faults up for the length of the run and gives what was
// seen of mcpo meanwhile.
func (s *soak) soak(ctx context.Context) ([]sample, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.length)
	defer cancel()
	s.began = time.Now()
	var wg sync.WaitGroup
	wg.Go(func() { s.arrivals(ctx) })
	wg.Go(func() { s.misfortunes(ctx) })
	seen, err := s.watch(ctx, s.opts.line/10)
	cancel()
	wg.Wait()
	s.http.CloseIdleConnections()
	return seen, err
}

// arrivals sends requests at random moments, whether those before were answered
// or not: who waits for nobody notices when mcpo is slow. What is under way at
// the end is waited for.
func (s *soak) arrivals(ctx context.Context) {
	free := make(chan struct{}, atMost)
	var wg sync.WaitGroup
	defer wg.Wait()
	for next := time.Now(); ; {
		next = next.Add(time.Duration(rand.ExpFloat64() / s.opts.rate * float64(time.Second)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		s.late = max(s.late, time.Since(next))
		select {
		case free <- struct{}{}:
		default:
			s.tally.count(leftOut)
			continue
		}
		wg.Go(func() {
			s.arrive(context.WithoutCancel(ctx))
			<-free
		})
	}
}

// present picks a caller of those that are here: four out of five. Who those are
// changes all the time, so that everybody is away for two minutes of ten, which is
// longer than mcpo keeps an idle connection.
func (s *soak) present() *caller {
	const turn = 10 * time.Minute
	n := len(s.callers)
	first := int(time.Since(s.began) % turn * time.Duration(n) / turn)
	return s.callers[(first+rand.IntN((4*n+4)/5))%n]
}

// arrive is one request, or two or three where a login is made.
func (s *soak) arrive(ctx context.Context) {
	c := s.present()
	message := fmt.Sprintf("%s says %d", c.name, s.sent.Add(1))
	switch dice := rand.IntN(1000); {
	case dice < 450:
		s.visitNotes(ctx, c)
	case dice < 650:
		s.judge(s.call(ctx, c, tool, "echo", map[string]any{"message": message}), is(message))
	case dice < 700:
		s.judge(s.call(ctx, c, tool, "slow", map[string]any{"ms": 150}), is("waited 150 ms"))
	case dice < 850:
		s.judge(s.call(ctx, c, open, "echo", map[string]any{"message": message}), is(message))
	case dice < 860:
		a := s.call(ctx, c, open, "echo", map[string]any{"message": message + ", " + refuseThis})
		s.mustFail(a, refusals, a.has(http.StatusBadGateway, "status 500"))
	case dice < 870:
		s.goAway(ctx, c)
	case dice < 920:
		s.readDocument(ctx, c)
	case dice < 950:
		s.judge(s.ask(ctx, c, tool, http.MethodGet, "/tool/openapi.json", ""), has("/echo"))
	case dice < 960:
		s.judge(s.ask(ctx, c, "", http.MethodGet, "/", ""), has("notes"))
	case dice < 970:
		s.lookAtStatus(ctx, c)
	case dice < 993:
		s.visitExtra(ctx, c, message)
	default:
		s.logOut(ctx, c)
	}
}

func is(text string) func(answer) error { return func(a answer) error { return a.is(text) } }

func has(part string) func(answer) error {
	return func(a answer) error { return a.has(http.StatusOK, part) }
}

// visitNotes calls as who one is. Who is logged out gets a link, and every
// second time logs in with it.
func (s *soak) visitNotes(ctx context.Context, c *caller) {
	c.mu.RLock()
	logged := c.logged
	if logged {
		s.judge(s.call(ctx, c, notes, "whoami", nil), is(c.name))
	}
	c.mu.RUnlock()
	if logged {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logged { // somebody else was faster
		return
	}
	a := s.call(ctx, c, notes, "whoami", nil)
	link, err := a.link()
	if !s.judge(a, func(answer) error { return err }) || rand.IntN(2) == 0 {
		return
	}
	if err := c.logIn(ctx, link); err != nil {
		s.tally.wrong("the login of %s: %v", c.name, err)
		return
	}
	s.tally.count(logins)
	c.logged = true
	s.judge(s.call(ctx, c, notes, "whoami", nil), is(c.name))
}

// readDocument looks for the tools of notes. Who is logged out has none there.
func (s *soak) readDocument(ctx context.Context, c *caller) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	part := `"/login"`
	if c.logged {
		part = `"/whoami"`
	}
	a := s.ask(ctx, c, notes, http.MethodGet, "/notes/openapi.json", "")
	if a.status == http.StatusOK && strings.Contains(a.body, `"paths":`) && !strings.Contains(a.body, part) {
		a.status = withoutTools
	}
	s.judge(a, has(part))
}

func (s *soak) lookAtStatus(ctx context.Context, c *caller) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s.judge(s.ask(ctx, c, "", http.MethodGet, "/oauth/notes/status", ""), has(fmt.Sprintf(`"authenticated":%v`, c.logged)))
}

// logOut ends the caller's login, unless a call is under way or there is none.
func (s *soak) logOut(ctx context.Context, c *caller) {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if !c.logged {
		return
	}
	a := s.ask(ctx, c, notes, http.MethodPost, "/connections/notes/disconnect", "")
	if s.judge(a, has(`"revoked":true`)) {
		s.tally.count(logouts)
		c.logged = false
	}
}

// visitExtra calls the server that is not always there.
func (s *soak) visitExtra(ctx context.Context, c *caller, message string) {
	if s.faults.extra.Load() {
		s.judge(s.call(ctx, c, extra, "echo", map[string]any{"message": message}), is(message))
	}
}

// goAway leaves in the middle of a call. No answer can come as early as that.
func (s *soak) goAway(ctx context.Context, c *caller) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(rand.Int64N(int64(300*time.Millisecond))))
	defer cancel()
	a := s.call(ctx, c, tool, "slow", map[string]any{"ms": 5000})
	if ctx.Err() != nil && a.status == 0 {
		s.mustFail(a, leavings, nil)
		return
	}
	s.judge(a, func(a answer) error { return a.not("no answer") })
}
