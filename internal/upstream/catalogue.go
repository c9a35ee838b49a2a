package upstream

import (
	"slices"
	"strings"

	"mcpo/internal/wire"
)

// Bounds of what a server remembers of its callers' tools.
const (
	maxCatalogue      = 5000     // tools
	maxCatalogueBytes = 16 << 20 // of them together, and of the lists below
	maxRecent         = 64       // different tool lists
)

// Catalogue is all tools that any caller has been offered so far, as far as is
// known; nil when nothing is. Who may call which is decided at the call.
func (s *Server) Catalogue() *ToolList { return s.catalogue.Load() }

// Seed begins the catalogue with what was known before, as elements of
// tools/list. It comes before Start.
func (s *Server) Seed(tools []wire.Tool) {
	if len(tools) > 0 {
		s.catalogue.Store(newToolList(s.cfg, wire.Info{}, within(tools)))
	}
}

// within joins lists as far as there is room in the catalogue. Of two tools with
// one name the first counts.
func within(lists ...[]wire.Tool) []wire.Tool {
	var all []wire.Tool
	known, bytes := map[string]bool{}, 0
	for _, list := range lists {
		for _, t := range list {
			if known[t.Name] || len(all) == maxCatalogue || bytes+len(t.Raw) > maxCatalogueBytes {
				continue
			}
			known[t.Name] = true
			bytes += len(t.Raw)
			all = append(all, t)
		}
	}
	return all
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
	if l.bytes <= maxCatalogueBytes {
		s.recent = recall(append(s.recent, l))
	}
	all, before := within(l.Tools), s.catalogue.Load()
	if before != nil {
		all = within(l.Tools, before.Tools)
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

// recall is the newest of the lists, as many as are worth the memory.
func recall(lists []*ToolList) []*ToolList {
	bytes := 0
	for i := len(lists) - 1; i >= 0; i-- {
		bytes += lists[i].bytes
		if bytes > maxCatalogueBytes || len(lists)-i > maxRecent {
			return slices.Clone(lists[i+1:]) // without what holds the others
		}
	}
	return lists
}
