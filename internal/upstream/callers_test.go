package upstream

import (
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcpo/internal/caller"
)

// TestOneConnectionEach: a caller has one connection, however many calls open it
// at once, and every answer is that caller's.
func TestOneConnectionEach(t *testing.T) {
	const guests, calls = 20, 25
	g := newGuests(t)
	s := g.door(t, Options{}, Access{Idle: time.Hour})
	var all sync.WaitGroup
	for n := range guests {
		for range calls {
			all.Go(func() { asks(t, s, guest(n)) })
		}
		all.Go(func() { _ = s.Status(guest(n)) })
		all.Go(func() { _, _ = s.Ready(testContext(t), guest(n)) })
	}
	all.Wait()
	for n := range guests {
		if opened, called := g.count(g.opened, guest(n)), g.count(g.called, guest(n)); opened != 1 || called != calls {
			t.Errorf("%s: %d connections were opened, and %d calls made", guest(n), opened, called)
		}
		if _, ok := s.Tools(guest(n)).find("own" + guest(n).Name()); !ok || len(s.Tools(guest(n)).Tools) != 2 {
			t.Errorf("the tools of %s are %v", guest(n), s.Tools(guest(n)).Tools)
		}
	}
	if s.Callers() != guests {
		t.Errorf("%d callers have connections", s.Callers())
	}
}

// TestOnlyTheFirstIsAskedWhatItSpeaks: that a server is of an older protocol is
// found out once, not with each caller.
func TestOnlyTheFirstIsAskedWhatItSpeaks(t *testing.T) {
	g := newGuests(t)
	s := g.door(t, Options{}, Access{})
	for n := range 5 {
		asks(t, s, guest(n))
	}
	if first, second := g.count(g.asked, guest(0)), g.count(g.asked, guest(1)); first != 1 || second != 0 {
		t.Errorf("server/discover: %d times by the first, %d by the second", first, second)
	}
}

// TestIdleConnections: a connection that nobody uses is closed, at the server
// too, and opened again by the next call. One in use never is.
func TestIdleConnections(t *testing.T) {
	g := newGuests(t)
	busy, idle := guest(0), guest(1)
	s := g.door(t, Options{}, Access{Idle: 50 * time.Millisecond})
	held, release := g.hold(busy, "tools/call")
	defer release()
	var calls sync.WaitGroup
	calls.Go(func() { asks(t, s, busy) })
	<-held
	for round := 1; round <= 3; round++ { // all of it takes many times as long as an idle connection has
		asks(t, s, idle)
		await(t, "the end of the idle connection", func() bool { return g.count(g.left, idle) == round })
		if n := s.Callers(); n != 1 {
			t.Errorf("%d callers have connections", n)
		}
	}
	if n := g.count(g.opened, idle); n != 3 {
		t.Errorf("the idle connection was opened %d times", n)
	}
	if g.count(g.left, busy) != 0 {
		t.Error("the connection in use was closed")
	}
	release()
	calls.Wait()
	if n := g.count(g.opened, busy); n != 1 {
		t.Errorf("the connection in use was opened %d times", n)
	}
	await(t, "the end of the other", func() bool { return g.count(g.left, busy) == 1 })
}

// TestFailingConnectionsAreLeft: a connection that cannot be opened is not tried
// for as long as a good one is kept, once nobody asks any more. Who asks then
// waits for a new one.
func TestFailingConnectionsAreLeft(t *testing.T) {
	g := newGuests(t)
	failing, fine := guest(0), guest(1)
	broken := true
	g.trouble = func(w http.ResponseWriter, _ *http.Request, who, _ string) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		if broken && who == failing.Name() {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return true
		}
		return false
	}
	s := g.door(t, Options{}, Access{Idle: 1600 * time.Millisecond})
	asks(t, s, fine)
	if _, err := s.Ready(testContext(t), failing); err == nil {
		t.Error("a broken server is ready")
	}
	await(t, "the end of the failing connection", func() bool {
		_ = s.Status(fine) // this one is looked at all the time
		return s.Callers() == 1
	})
	if g.count(g.left, fine) != 0 {
		t.Error("the good connection was closed as well")
	}
	g.set(func() { broken = false })
	asks(t, s, failing)
}

// TestFirstIsNeverIdle: the connection that the start opens stays.
func TestFirstIsNeverIdle(t *testing.T) {
	g := newGuests(t)
	s := g.door(t, Options{}, Access{Idle: time.Millisecond, First: caller.Local()})
	asks(t, s, caller.Local())
	asks(t, s, guest(1))
	await(t, "the end of the idle connection", func() bool { return g.count(g.left, guest(1)) == 1 })
	if n := g.count(g.left, caller.Local()); n != 0 || s.Status(caller.Local()).State != StateConnected {
		t.Errorf("the first connection was closed %d times", n)
	}
}

// TestCeiling: beyond the ceiling the connection goes that was not used for
// longest.
func TestCeiling(t *testing.T) {
	g := newGuests(t)
	s := g.door(t, Options{MaxCallers: 3}, Access{})
	for _, n := range []int{0, 1, 2, 0, 3} { // 1 is the oldest when 3 comes
		asks(t, s, guest(n))
	}
	await(t, "the end of the oldest", func() bool { return g.count(g.left, guest(1)) == 1 })
	if n := s.Callers(); n != 3 {
		t.Errorf("%d callers have connections", n)
	}
	for n, want := range []int{0, 1, 0, 0} {
		if got := g.count(g.left, guest(n)); got != want {
			t.Errorf("the connection of %s was closed %d times", guest(n), got)
		}
	}
	asks(t, s, guest(1)) // comes back, and 2 goes
	await(t, "the end of the next", func() bool { return g.count(g.left, guest(2)) == 1 })
	if n := g.count(g.opened, guest(1)); n != 2 {
		t.Errorf("the one that came back was opened %d times", n)
	}
}

// TestCeilingWithAllInUse: nobody in use has to go, and when they are through it
// is as it should be with the next who comes.
func TestCeilingWithAllInUse(t *testing.T) {
	g := newGuests(t)
	s := g.door(t, Options{MaxCallers: 2}, Access{})
	var calls sync.WaitGroup
	var releases []func()
	for n := range 5 {
		held, release := g.hold(guest(n), "tools/call")
		releases = append(releases, release)
		calls.Go(func() { asks(t, s, guest(n)) })
		<-held
	}
	if n := s.Callers(); n != 5 {
		t.Errorf("%d callers have connections while all are in use", n)
	}
	for _, release := range releases {
		release()
	}
	calls.Wait()
	asks(t, s, guest(5))
	if n := s.Callers(); n != 2 {
		t.Errorf("%d callers have connections after that", n)
	}
}

// TestTroubleIsOnesOwn: who hangs, who is refused, and who has no login keep
// nobody else waiting.
func TestTroubleIsOnesOwn(t *testing.T) {
	g := newGuests(t)
	hanging, failing, stranger, fine := guest(0), guest(1), guest(2), guest(3)
	g.stranger = stranger
	g.trouble = func(w http.ResponseWriter, _ *http.Request, who, _ string) bool {
		if who == failing.Name() {
			http.Error(w, "out of order", http.StatusInternalServerError)
		}
		return who == failing.Name()
	}
	s := g.door(t, Options{}, Access{Idle: time.Hour})
	held, release := g.hold(hanging, "initialize")
	defer release()
	var beside sync.WaitGroup
	for range 10 {
		beside.Go(func() { asks(t, s, hanging) })
		beside.Go(func() {
			var unavailable *UnavailableError
			if _, err := s.Call(testContext(t), failing, "t", json.RawMessage(`{}`), nil); !errors.As(err, &unavailable) {
				t.Errorf("the one who is refused: %v", err)
			}
		})
		beside.Go(func() {
			if _, err := s.Call(testContext(t), stranger, "t", json.RawMessage(`{}`), nil); !errors.Is(err, errNoLogin) {
				t.Errorf("the one without a login: %v", err)
			}
		})
	}
	<-held
	for range 50 {
		asks(t, s, fine)
		_, _ = s.Tools(hanging), s.Status(hanging)
	}
	if g.count(g.called, hanging) != 0 {
		t.Error("the one who hangs was answered first")
	}
	release()
	beside.Wait()
	if n := g.count(g.opened, fine); n != 1 {
		t.Errorf("the connection of the one who is fine was opened %d times", n)
	}
}

// TestCloseEndsAllCallers: whatever state their connections are in.
func TestCloseEndsAllCallers(t *testing.T) {
	g := newGuests(t)
	before := goleak.IgnoreCurrent()
	g.stranger = guest(0)
	s := g.door(t, Options{MaxCallers: 8}, Access{Idle: time.Minute})
	held, release := g.hold(guest(1), "initialize")
	defer release()
	for n := range 2 {
		_ = s.Status(guest(n))
	}
	<-held
	for n := 2; n < 12; n++ { // some have to go
		asks(t, s, guest(n))
	}
	s.Close(testContext(t))
	for n := range 12 {
		_, _ = s.Tools(guest(n)), s.Status(guest(n))
		s.Wake(guest(n))
		begun := time.Now()
		if l, err := s.Ready(testContext(t), guest(n)); l == nil && !errors.Is(err, ErrRemoved) || time.Since(begun) > startPatience/2 {
			t.Errorf("Ready after the end, after %v: %v, %v", time.Since(begun), l, err)
		}
		if _, err := s.Call(testContext(t), guest(n), "t", json.RawMessage(`{}`), nil); !errors.Is(err, ErrRemoved) {
			t.Errorf("Call after the end: %v", err)
		}
	}
	release()
	g.CloseClientConnections()
	goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

// TestIdleCallersAreCheap: 64 KiB each are allowed.
func TestIdleCallersAreCheap(t *testing.T) {
	const many = 2000
	g := newGuests(t)
	g.same = true
	s := g.door(t, Options{}, Access{Idle: time.Hour})
	asks(t, s, guest(many))
	before := memory(s)
	var all sync.WaitGroup
	for first := range 8 {
		all.Go(func() {
			for n := first; n < many; n += 8 {
				asks(t, s, guest(n))
			}
		})
	}
	all.Wait()
	each := (int64(memory(s)) - int64(before)) / many
	t.Logf("%d bytes for each", each)
	if s.Callers() != many+1 || each > 64<<10 {
		t.Errorf("%d callers cost %d bytes each", s.Callers(), each)
	}
}

// memory is what is in use, without what waits to be used again for new
// requests.
func memory(s *Server) uint64 {
	s.pool.CloseIdleConnections()
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
