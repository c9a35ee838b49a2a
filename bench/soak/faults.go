//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mcpo/internal/oauthtest"
)

// window is the time in which calls to a server may fail, and how.
type window struct {
	because  kind
	server   string
	statuses []int
	from, to time.Time // to is zero while it is open
	// recovers says that the first call that succeeds closes the window, if it
	// began after since.
	recovers bool
	since    time.Time
}

// faults are the windows so far, and what is there now.
type faults struct {
	round atomic.Int64 // of the configuration
	extra atomic.Bool  // the server is there, and stays for now

	mu      sync.Mutex
	windows []*window // the latest ones; guarded by mu
}

// open begins a window.
func (f *faults) open(because kind, server string, statuses ...int) *window {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &window{because: because, server: server, statuses: statuses, from: time.Now()}
	f.windows = append(f.windows, w)
	if len(f.windows) > 20 { // calls that long ago are over
		f.windows = slices.Delete(f.windows, 0, 1)
	}
	return w
}

// close ends a window at a time, unless it has ended.
func (f *faults) close(w *window, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.to.IsZero() {
		w.to = at
	}
}

// awaitSuccess lets the first call that begins from now on and succeeds end the
// window.
func (f *faults) awaitSuccess(w *window) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.recovers, w.since = true, time.Now()
}

// ended tells whether the window is over.
func (f *faults) ended(w *window) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !w.to.IsZero()
}

// excuse is the fault in whose window a failed answer lies, and which explains it.
func (f *faults) excuse(a answer) (because kind, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.windows {
		if w.server == a.server && a.ended.After(w.from) && (w.to.IsZero() || a.began.Before(w.to)) && slices.Contains(w.statuses, a.status) {
			return w.because, true
		}
	}
	return "", false
}

// succeeded closes the windows that wait for that.
func (f *faults) succeeded(a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.windows {
		if w.server == a.server && w.recovers && w.to.IsZero() && a.began.After(w.since) {
			w.to = a.ended
		}
	}
}

// misfortunes do harm, one after the other, until ctx ends.
func (s *soak) misfortunes(ctx context.Context) {
	turns := []func(context.Context) error{s.reload, s.crash, s.outage, s.reload, s.crash, s.forget}
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.opts.pause):
		}
		if err := turns[i%len(turns)](ctx); err != nil && ctx.Err() == nil {
			s.tally.wrong("%v", err)
		}
	}
}

// reload changes the configuration. A server that is changed goes on answering;
// only calls to one that is gone may fail.
func (s *soak) reload(ctx context.Context) error {
	s.faults.extra.Store(false)
	w := s.faults.open(reloads, extra, http.StatusNotFound, http.StatusServiceUnavailable)
	defer func() { s.faults.close(w, time.Now()) }()
	round := int(s.faults.round.Load()) + 1
	if err := s.mcpo.reload(ctx, round); err != nil {
		return fmt.Errorf("reload %d: %w", round, err)
	}
	s.faults.round.Store(int64(round))
	s.faults.extra.Store(hasExtra(round))
	s.tally.count(reloads)
	return nil
}

// patience is how long a child may take to be back.
const patience = 10 * time.Second

// crash kills the server that is a child process. Calls under way fail; those
// that come before the next one is there are kept waiting, or told to come back.
func (s *soak) crash(ctx context.Context) error {
	pid := s.toolProcess()
	if pid == 0 {
		return fmt.Errorf("the process of %s is not there", tool)
	}
	w := s.faults.open(crashes, tool, http.StatusBadGateway, http.StatusServiceUnavailable)
	defer func() { s.faults.close(w, time.Now()) }()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing a child: %w", err)
	}
	limit := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for dead := false; !s.faults.ended(w); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("%v after its process was killed, %s has answered no call", patience, tool)
		case <-tick.C:
		}
		if !dead && !alive(pid) {
			dead = true
			s.faults.awaitSuccess(w)
		}
	}
	s.tally.count(crashes)
	return nil
}

// toolProcess is the newest child that serves tool, 0 for none.
func (s *soak) toolProcess() int {
	newest := 0
	for _, pid := range childrenOf(s.mcpo.pid()) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(line), "\x00"+tool+"-") {
			newest = max(newest, pid)
		}
	}
	return newest
}

// outage has the authorization server refuse to renew tokens for a while. Who
// holds one that is good goes on; others are told to come back.
func (s *soak) outage(ctx context.Context) error {
	w := s.faults.open(outages, notes, http.StatusServiceUnavailable, withoutTools)
	length := s.opts.life / 10
	s.up.login.Set(func(o *oauthtest.Options) {
		o.Instead["refresh"] = oauthtest.Answer{Status: http.StatusServiceUnavailable}
	})
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
	s.up.login.Set(func(o *oauthtest.Options) { delete(o.Instead, "refresh") })
	// A connection that could not be opened meanwhile is tried again after pauses
	// that double each time: at the latest after as long as that has gone on.
	s.faults.close(w, time.Now().Add(length+time.Second))
	s.tally.count(outages)
	return nil
}

// forget ends all MCP sessions at notes, as a restart of that server does. A call
// that finds its MCP session gone did not run, so it has to go through on a new one;
// only those under way are lost. A connection that was just being opened is tried
// again after a quarter of a second, and until then callers are told to come back.
func (s *soak) forget(context.Context) error {
	w := s.faults.open(restarts, notes, http.StatusBadGateway, http.StatusServiceUnavailable)
	s.up.login.ForgetSessions()
	s.faults.close(w, time.Now().Add(time.Second))
	s.tally.count(restarts)
	return nil
}
