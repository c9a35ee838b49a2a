package upstream

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/wire"
)

func names(l *ToolList) (all []string) {
	if l != nil {
		for _, t := range l.Tools {
			all = append(all, t.Name)
		}
	}
	return all
}

// TestCatalogue: it has the tools of all callers, in an order that does not
// depend on who came first, and nothing that a server told one of them.
func TestCatalogue(t *testing.T) {
	g := newGuests(t)
	var mu sync.Mutex
	var learned []*ToolList
	s := g.door(t, Options{}, Access{Learned: func(l *ToolList) {
		mu.Lock()
		defer mu.Unlock()
		learned = append(learned, l)
	}})
	if s.Catalogue() != nil {
		t.Errorf("before anybody came the catalogue is %v", names(s.Catalogue()))
	}
	asks(t, s, guest(2))
	asks(t, s, guest(1))
	want := []string{"ownguest1", "ownguest2", "t"}
	if diff := cmp.Diff(want, names(s.Catalogue())); diff != "" {
		t.Errorf("the catalogue (-want +got):\n%s", diff)
	}
	if in := s.Tools(guest(1)).Info.Instructions; in != "Call them guest1." {
		t.Errorf("a caller's own instructions are %q", in)
	}
	if info := s.Catalogue().Info; info.Name != "guests" || info.Instructions != "" {
		t.Errorf("the catalogue says of the server: %+v", info)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(learned) != 2 || learned[1] != s.Catalogue() {
		t.Errorf("it was told of %d times", len(learned))
	}
}

// TestCallersShareAList that says the same to them, and with it all that is made
// of it.
func TestCallersShareAList(t *testing.T) {
	g := newGuests(t)
	g.same = true
	learned := 0 // by one caller after another
	s := g.door(t, Options{}, Access{Learned: func(*ToolList) { learned++ }})
	for n := range 3 {
		asks(t, s, guest(n))
	}
	if s.Tools(guest(0)) != s.Tools(guest(1)) || s.Tools(guest(1)) != s.Tools(guest(2)) {
		t.Error("three callers have lists of their own that say the same")
	}
	if learned != 1 {
		t.Errorf("something was learned %d times", learned)
	}
}

// TestSeed: what was known before is there before anybody comes, and stays.
func TestSeed(t *testing.T) {
	g := newGuests(t)
	s := g.door(t, Options{}, Access{})
	s.Seed([]wire.Tool{{Name: "known", Raw: []byte(`{"name":"known"}`)}})
	if diff := cmp.Diff([]string{"known"}, names(s.Catalogue())); diff != "" {
		t.Errorf("the catalogue of before (-want +got):\n%s", diff)
	}
	asks(t, s, guest(1))
	if diff := cmp.Diff([]string{"known", "ownguest1", "t"}, names(s.Catalogue())); diff != "" {
		t.Errorf("the catalogue after a caller came (-want +got):\n%s", diff)
	}
	s.Seed([]wire.Tool{{Name: "elsewhere", Raw: []byte(`{"name":"elsewhere"}`)}, {Name: "known", Raw: []byte(`{"name":"known","title":"newer"}`)}})
	if diff := cmp.Diff([]string{"elsewhere", "known", "ownguest1", "t"}, names(s.Catalogue())); diff != "" {
		t.Errorf("the catalogue after another replica learned (-want +got):\n%s", diff)
	}
	if known, _ := s.Catalogue().find("known"); !strings.Contains(string(known.Raw), "newer") {
		t.Errorf("a tool that another replica saw change is still %s", known.Raw)
	}
	if l := s.Tools(guest(2)); slices.Contains(names(l), "known") || slices.Contains(names(l), "ownguest1") {
		t.Errorf("who has only just come is shown %v", names(l))
	}
}

// bulky are count tools of size bytes each.
func bulky(prefix string, count, size int) []wire.Tool {
	tools := make([]wire.Tool, count)
	for i := range tools {
		tools[i] = wire.Tool{Name: fmt.Sprint(prefix, i), Raw: make([]byte, size)}
		copy(tools[i].Raw, tools[i].Name)
	}
	return tools
}

// TestCatalogueHasBounds: tools, and their bytes, of whatever lists a server
// shows.
func TestCatalogueHasBounds(t *testing.T) {
	check := func(when string, s *Server, tools, lists int) {
		t.Helper()
		if l := s.Catalogue(); len(l.Tools) != tools || l.bytes > maxCatalogueBytes || len(s.recent) != lists {
			t.Errorf("%s: %d tools of %d bytes, %d lists", when, len(l.Tools), l.bytes, len(s.recent))
		}
	}
	g := newGuests(t)
	s := g.door(t, Options{}, Access{})
	s.Seed(bulky("seed", 20, 1<<20))
	check("what was kept", s, 16, 0)
	s.learn(newToolList(s.cfg, wire.Info{}, bulky("a", 3, 1<<20)))
	check("a new list", s, 16, 1)
	if _, ok := s.Catalogue().find("a2"); !ok {
		t.Error("what is new has no room")
	}
	s.learn(newToolList(s.cfg, wire.Info{}, bulky("b", 15, 1<<20)))
	check("lists that are too large together", s, 16, 1)
	s.learn(newToolList(s.cfg, wire.Info{}, bulky("c", 17, 1<<20)))
	check("a list that is too large", s, 16, 1)

	s = g.door(t, Options{}, Access{})
	s.learn(newToolList(s.cfg, wire.Info{}, bulky("x", 2*maxCatalogue, 10)))
	check("many tools", s, maxCatalogue, 1)
	s = g.door(t, Options{}, Access{})
	for i := range 2 * maxRecent {
		s.learn(newToolList(s.cfg, wire.Info{}, bulky("y", i, 10)))
	}
	check("many lists", s, 2*maxRecent-1, maxRecent)
}
