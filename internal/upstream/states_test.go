package upstream

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStates counts connections, and those that came back after a loss.
func TestStates(t *testing.T) {
	s := start(t, stdioConfig(t, "--crash-on", "fail"), Options{})
	echo(t, s, "before")
	if s.Reconnects() != 0 {
		t.Errorf("%d connections were opened again before any loss", s.Reconnects())
	}
	_, _ = s.Call(testContext(t), who, "fail", json.RawMessage(`{}`), nil)
	await(t, "the connection to come back", func() bool { return s.Reconnects() == 1 && s.States()[StateConnected] == 1 })
	echo(t, s, "after")
}

// TestStatesOfCallers counts those of all callers, with a line for each state.
func TestStatesOfCallers(t *testing.T) {
	g := newGuests(t)
	s := g.door(t, Options{}, Access{Idle: time.Hour})
	for n := range 3 {
		asks(t, s, guest(n))
	}
	want := map[State]int{StateConnected: 3, StateStarting: 0, StateFailed: 0, StateLoginRequired: 0}
	if diff := cmp.Diff(want, s.States()); diff != "" {
		t.Error(diff)
	}
	s.Wake(guest(0)) // a login that is made anew is no loss
	asks(t, s, guest(0))
	if s.Reconnects() != 0 {
		t.Errorf("%d connections were opened again after a loss", s.Reconnects())
	}
}
