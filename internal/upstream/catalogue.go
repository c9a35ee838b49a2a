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

// Seed takes into the catalogue what is known from elsewhere, as elements of
// tools/list: from before the start, or from another replica. Learned is not told.
func (s *Server) Seed(tools []wire.Tool) {
	if len(tools) == 0 {
		return
	}
	s.learning.Lock()
	defer s.learning.Unlock()
	var info wire.Info
	if before := s.catalogue.Load(); before != nil {
		info = before.Info
	}
	s.widen(info, tools)
}

// widen puts newer tools into the catalogue, and gives it if that changed it. It
// is called with learning held.
func (s *Server) widen(info wire.Info, tools []wire.Tool) *ToolList {
	all, before := Join(tools), s.catalogue.Load()
	if before != nil {
		all = Join(tools, before.Tools)
	}
	slices.SortFunc(all, func(a, b wire.Tool) int { return strings.Compare(a.Name, b.Name) })
	next := newToolList(s.cfg, info, all)
	if next.same(before) {
		return nil
	}
	s.catalogue.Store(next)
	return next
}

// Join joins lists as far as there is room in a catalogue. Of two tools with one
// name the first counts.
func Join(lists ...[]wire.Tool) []wire.Tool {
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
	info := l.Info
	info.Instructions = "" // they may be for this caller alone
	if next := s.widen(info, l.Tools); next != nil && s.access.Learned != nil {
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
