package upstream

import (
	"net/http"
	"sync/atomic"
	"testing"
)

// TestFlapping: a connection that is lost again and again comes back as soon as
// somebody calls, however often mcpo has tried before.
func TestFlapping(t *testing.T) {
	g := newGuests(t)
	var forgets atomic.Bool // the MCP session, at the next call
	g.set(func() {
		g.trouble = func(w http.ResponseWriter, _ *http.Request, _, method string) bool {
			if method != "tools/call" || !forgets.CompareAndSwap(true, false) {
				return false
			}
			w.WriteHeader(http.StatusNotFound)
			return true
		}
	})
	s := g.door(t, Options{}, Access{})
	asks(t, s, guest(1))
	const times = 9 // by then mcpo by itself would wait longer than a call
	for range times {
		forgets.Store(true)
		asks(t, s, guest(1))
	}
	if n := g.count(g.opened, guest(1)); n != times+1 {
		t.Errorf("the connection was opened %d times", n)
	}
}
