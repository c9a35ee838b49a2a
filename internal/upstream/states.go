package upstream

import (
	"maps"
	"slices"
)

// States counts the server's connections by their state. Each state is there,
// if with none.
func (s *Server) States() map[State]int {
	all := map[State]int{StateStarting: 0, StateConnected: 0, StateFailed: 0, StateLoginRequired: 0}
	for _, c := range s.connections() {
		c.mu.Lock()
		state := c.state
		c.mu.Unlock()
		all[state]++
	}
	return all
}

// connections are those that there are now.
func (s *Server) connections() []*connection {
	if s.access == nil {
		return []*connection{s.first}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.callers))
}

// Reconnects is how often a connection was opened again after it was lost.
func (s *Server) Reconnects() int64 { return s.again.Load() }
