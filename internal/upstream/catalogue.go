package upstream

import (
	"slices"
	"strings"

	"mcpo/internal/wire"
)

// Bounds of what a server remembers of its callers' tools.
const (
	maxCatalogue = 5000 // tools
	maxRecent    = 64   // different tool lists
)

// Catalogue is all tools that any caller has been offered so far, as far as is
// known; nil when nothing is. Who may call which is decided at the call.
func (s *Server) Catalogue() *ToolList { return s.catalogue.Load() }

// Seed begins the catalogue with what was known before, as elements of
// tools/list. It comes before Start.
func (s *Server) Seed(tools []wire.Tool) {
	if len(tools) > 0 {
		s.catalogue.Store(newToolList(s.cfg, wire.Info{}, tools[:min(len(tools), maxCatalogue)]))
	}
}

// learn takes the tools of a caller's new list into the catalogue, and gives the
// list that equals it if a caller has one already: callers who see the same
// share one list, and with it all that is made of it.
func (s *Server) learn(l *ToolList) *ToolList {
	if s.access == nil {
		return l
	}
	s.learning.Lock()
	defer s.learning.Unlock()
	for _, known := range s.recent {
		if known.same(l) {
			return known
		}
	}
	if len(s.recent) == maxRecent {
		s.recent = slices.Delete(s.recent, 0, 1)
	}
	s.recent = append(s.recent, l)
	before := s.catalogue.Load()
	all := slices.Clone(l.Tools)
	if before != nil {
		for _, t := range before.Tools {
			if _, again := l.find(t.Name); !again && len(all) < maxCatalogue {
				all = append(all, t)
			}
		}
	}
	slices.SortFunc(all, func(a, b wire.Tool) int { return strings.Compare(a.Name, b.Name) })
	info := l.Info
	info.Instructions = "" // they may be for this caller alone
	next := newToolList(s.cfg, info, all)
	if next.same(before) {
		return l
	}
	s.catalogue.Store(next)
	if s.access.Learned != nil {
		s.access.Learned(next)
	}
	return l
}
