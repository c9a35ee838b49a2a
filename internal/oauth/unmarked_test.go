package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// mute is a store whose answers to changes are lost, in turn: of some that it
// made ("made"), and of some that it did not ("not made").
type mute struct {
	Store
	lose []string
}

func (m *mute) Put(ctx context.Context, r store.Record) error {
	if len(m.lose) == 0 {
		return m.Store.Put(ctx, r)
	}
	lost := m.lose[0]
	m.lose = m.lose[1:]
	if lost == "made" {
		if err := m.Store.Put(ctx, r); err != nil {
			return err
		}
	}
	return fmt.Errorf("the answer is lost: %w", store.ErrUnavailable)
}

// TestLostMark: where nobody knows whether a refresh token is marked in the store,
// it was not sent, and is not lost.
func TestLostMark(t *testing.T) {
	for _, lose := range []string{"made", "not made", "made,made", "made,not made", "not made,made"} {
		t.Run(lose, func(t *testing.T) {
			s, shared := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), store.NewMemory()
			muted := &mute{Store: shared}
			a := granted(t, s, func(o *Options) { o.Store = muted })
			over(t, s, a)
			muted.lose = strings.Split(lose, ",")
			for range strings.Split(lose, ",") {
				if u := a.unsavedOf(who); u != nil { // it is not its turn to be saved
					a.unsaved.Store(who, &unsaved{grant: u.grant, over: u.over, tried: time.Now()})
				}
				_, err := ask(t, a)
				var failed *RenewError
				if !errors.As(err, &failed) {
					t.Errorf("with a mark of which nothing is known: %v", err)
				}
			}
			if n := s.Requests("refresh"); n != 0 {
				t.Errorf("%d refreshes", n)
			}
			works(t, a)
			if n := s.Requests("refresh"); n != 1 || s.Replays() != 0 || a.unsavedOf(who) != nil {
				t.Errorf("after that %d refreshes, %d of them again; unsaved %v", n, s.Replays(), a.unsavedOf(who))
			}
			other := authorizer(t, s.MCP, func(o *Options) { o.Store = shared })
			over(t, s, other)
			works(t, other)
		})
	}
}

// TestLostMarkOfAnother: the mark of a process that died is not taken for the own,
// of which nothing is known.
func TestLostMarkOfAnother(t *testing.T) {
	s, shared := oauthtest.Start(t, oauthtest.Options{AutoApprove: true}), store.NewMemory()
	muted := &mute{Store: shared}
	a := granted(t, s, func(o *Options) { o.Store = muted })
	over(t, s, a)
	muted.lose = []string{"not made"}
	if _, err := ask(t, a); err == nil {
		t.Error("the mark is lost, and the token was renewed")
	}
	other := authorizer(t, s.MCP, func(o *Options) { o.Store = shared })
	changeGrant(t, other, func(g *grant) { g.Spending, g.Mark = hashed(g.RefreshToken), "of another" })
	_, err := ask(t, a)
	needsLogin(t, err, true)
	if n := s.Requests("refresh"); n != 0 {
		t.Errorf("%d refreshes", n)
	}
}
