package oauth

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/caller"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// ticketed gives the secret of a link for a person.
func ticketed(t testing.TB, a *Authorizer, p caller.Person) string {
	t.Helper()
	text, err := a.Ticket(testContext(t), p)
	if err != nil || len(text) != 43 {
		t.Fatalf("Ticket = %q, %v", text, err)
	}
	return text
}

// TestTicket is for one person, and of use once.
func TestTicket(t *testing.T) {
	a := authorizer(t, "https://mcp.example/mcp", nil)
	ada, bob := caller.Person{ID: caller.User("1"), Label: "ada\u202e\r\n"}, caller.Person{ID: caller.User("2"), Label: "bob"}
	text, other := ticketed(t, a, ada), ticketed(t, a, bob)
	if text == other {
		t.Error("two people have one ticket")
	}
	if again := ticketed(t, a, ada); again != text {
		t.Error("a link that was just told is not told again")
	}
	ada.Label = "ada"
	for range 2 {
		if p, err := a.TicketOf(testContext(t), text); err != nil || p != ada {
			t.Errorf("TicketOf = %v, %v", p, err)
		}
	}
	var used atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			p, err := a.UseTicket(testContext(t), text)
			if err == nil && p == ada {
				used.Add(1)
			} else if !errors.Is(err, ErrUnknownLogin) {
				t.Errorf("UseTicket = %v, %v", p, err)
			}
		})
	}
	all.Wait()
	if used.Load() != 1 {
		t.Errorf("it was used %d times", used.Load())
	}
	if next := ticketed(t, a, ada); next == text {
		t.Error("a link that was used is told again")
	}
	if p, err := a.TicketOf(testContext(t), other); err != nil || p != bob {
		t.Errorf("the other's: %v, %v", p, err)
	}
}

// TestTicketsOfNoUse: unknown, run out, or of another server.
func TestTicketsOfNoUse(t *testing.T) {
	shared := store.NewMemory()
	a := authorizer(t, "https://mcp.example/mcp", func(o *Options) { o.Store = shared })
	b := authorizer(t, "https://mcp.example/mcp", func(o *Options) { o.Store, o.Server.Name = shared, "other" })
	p := caller.Person{ID: caller.User("1")}
	old := ticketed(t, a, p)
	r, err := shared.Get(testContext(t), ticketKey(old))
	if err != nil || time.Until(r.Expires) > ticketTime || strings.Contains(r.Key.Name, old) {
		t.Fatalf("the ticket is kept as %+v, %v", r, err)
	}
	others := ticketed(t, b, p)
	for name, text := range map[string]string{"none": "", "unknown": random(), "another server's": others} {
		if _, err := a.TicketOf(testContext(t), text); !errors.Is(err, ErrUnknownLogin) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := a.UseTicket(testContext(t), text); !errors.Is(err, ErrUnknownLogin) {
			t.Errorf("using %s: %v", name, err)
		}
	}
	if got, err := b.UseTicket(testContext(t), others); err != nil || got != p {
		t.Errorf("at its own server, after that: %v, %v", got, err)
	}
	r.Expires = time.Now().Add(-time.Second)
	if err := shared.Put(testContext(t), r); err != nil {
		t.Fatal(err)
	}
	for _, look := range []func() (caller.Person, error){
		func() (caller.Person, error) { return a.TicketOf(testContext(t), old) }, func() (caller.Person, error) { return a.UseTicket(testContext(t), old) },
	} {
		if _, err := look(); !errors.Is(err, ErrUnknownLogin) {
			t.Errorf("run out: %v", err)
		}
	}
	if ticketed(t, a, p) == old {
		t.Error("a link that has run out is told again")
	}
	a.mu.Lock()
	last := a.tickets[p.ID]
	last.at = last.at.Add(-ticketReuse)
	a.tickets[p.ID] = last
	a.mu.Unlock()
	if ticketed(t, a, p) == last.text {
		t.Error("a link that will soon run out is told again")
	}
}

// TestTicketIsNoState: a link's secret is of no use at the callback, and the
// other way round.
func TestTicketIsNoState(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	a := authorizer(t, s.MCP, nil)
	b := begun(t, a)
	if _, err := a.UseTicket(testContext(t), b.State); !errors.Is(err, ErrUnknownLogin) {
		t.Errorf("UseTicket: %v", err)
	}
	if a.Knows(testContext(t), ticketed(t, a, caller.Person{ID: who})) {
		t.Error("a ticket is taken for a state")
	}
}

// TestList tells of grants, and of no token.
func TestList(t *testing.T) {
	s, shared := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), store.NewMemory()
	a := granted(t, s, func(o *Options) { o.Store = shared })
	granted(t, s, func(o *Options) { o.Store, o.Server.Name = shared, "another" })
	damaged := store.Record{Key: store.Key{Kind: store.Grants, Server: "test", Caller: caller.User("x")}, Value: []byte("{")}
	if err := shared.Put(testContext(t), damaged); err != nil {
		t.Fatal(err)
	}
	all, err := List(testContext(t), shared)
	if err != nil || len(all) != 2 {
		t.Fatalf("List = %+v, %v", all, err)
	}
	status, err := a.Status(testContext(t), who)
	if err != nil {
		t.Fatal(err)
	}
	h := all[1]
	if diff := cmp.Diff(status, h.Status); diff != "" || h.Server != "test" || h.Caller != who || all[0].Server != "another" {
		t.Errorf("List = %+v; %s", all, diff)
	}
	if !h.IsFor(s.MCP) || !h.IsFor(s.MCP+"/") || h.IsFor(s.Other+"/mcp") {
		t.Errorf("it is for %s", h.URL)
	}
}
