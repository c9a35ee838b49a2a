package upstream

import (
	"context"
	"time"

	"mcpo/internal/caller"
)

// connectionOf is where callers part ways. Without logins they all share.
func (s *Server) connectionOf(who caller.ID) *connection {
	if s.access == nil || who == s.access.First {
		return s.first
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.callersOwn(context.Background(), who)
}

// take hands out the caller's connection for a use that give ends. Until then
// it is not closed for being idle.
func (s *Server) take(ctx context.Context, who caller.ID) *connection {
	if s.access == nil || who == s.access.First {
		return s.first
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.callersOwn(ctx, who)
	c.users++
	return c
}

func (s *Server) give(c *connection) {
	if c == s.first {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.users--
	c.used = time.Now()
}

// callersOwn finds or makes the caller's connection, while mu is held: one,
// however many ask at the same time.
func (s *Server) callersOwn(ctx context.Context, who caller.ID) *connection {
	c := s.callers[who]
	if c != nil {
		c.used = time.Now()
		return c
	}
	if s.removed {
		c = s.connectionFor(who)
		c.close() // whoever asks for it is told at once
		return c
	}
	for len(s.callers) >= s.opts.MaxCallers && s.evict() {
	}
	c = s.connectionFor(who)
	c.causedBy(ctx)
	c.start()
	return c
}

// connectionFor makes the caller's connection.
func (s *Server) connectionFor(who caller.ID) *connection {
	in := entrance{trip: s.access.RoundTripper(who, s.pool), need: s.access.Required, quiet: who != s.access.First, older: &s.older, again: &s.again}
	c := newConnection(s.cfg, s.opts, s.log.With("caller", who.String()), in, s.learn)
	c.who, c.used = who, time.Now()
	s.callers[who] = c
	return c
}

// evict closes the connection that was not used for longest, and reports whether
// there was one. Where all are in use there are more than there should be, until
// the next caller comes.
func (s *Server) evict() bool {
	var oldest *connection
	for _, c := range s.callers {
		if c != s.first && c.users == 0 && (oldest == nil || c.used.Before(oldest.used)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	s.retire(oldest)
	s.evicted++
	return true
}

// retire closes a caller's connection beside all else. The next use opens a new
// one.
func (s *Server) retire(c *connection) {
	delete(s.callers, c.who)
	s.retiring.Go(func() {
		c.close()
		if s.access.Retired != nil {
			s.access.Retired(c.who)
		}
	})
}

// sweep closes connections that are idle, until stop. Those that cannot be opened
// are given less time: thousands that nobody waits for would keep on trying.
func (s *Server) sweep(idle time.Duration, stop <-chan struct{}) {
	failing := max(idle/8, 10*time.Millisecond)
	tick := time.NewTicker(failing)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		s.mu.Lock()
		retired := 0
		for _, c := range s.callers {
			unused := time.Since(c.used)
			if c != s.first && c.users == 0 && (unused > idle || unused > failing && c.failing()) {
				s.retire(c)
				retired++
			}
		}
		evicted, left := s.evicted, len(s.callers)
		s.evicted = 0
		s.mu.Unlock()
		if retired+evicted > 0 {
			s.log.Info("closed connections of callers", "idle", retired, "too_many", evicted, "left", left)
		}
	}
}

// Retry has the connections opened now that could not be opened, without the rest
// of their pauses: what kept them from it may be over.
func (s *Server) Retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.callers {
		if c.failing() {
			signal(c.nudge)
		}
	}
}

// Callers is how many callers have a connection.
func (s *Server) Callers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.callers)
}
