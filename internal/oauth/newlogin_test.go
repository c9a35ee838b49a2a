package oauth

import (
	"errors"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// TestNewLoginElsewhere: a login that another process makes, perhaps as another
// person, is no matter of a token alone: what was begun before is begun anew.
func TestNewLoginElsewhere(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	kept, told := store.NewMemory(), 0
	here := authorizer(t, s.MCP, func(o *Options) { o.Store, o.Changed = kept, func(caller.ID) { told++ } })
	elsewhere := authorizer(t, s.MCP, func(o *Options) { o.Store = kept })
	if err := logIn(t, here); err != nil {
		t.Fatal(err)
	}
	if status, err := ask(t, here); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	told = 0
	if err := logIn(t, elsewhere); err != nil {
		t.Fatal(err)
	}
	h, _ := here.memory(who)
	here.grants.Store(who, held{grant: h.grant, read: time.Now().Add(-recheck)})
	var again interface{ NotExecuted() bool }
	if _, err := ask(t, here); !errors.Is(err, errNewLogin) || !errors.As(err, &again) || told != 1 {
		t.Errorf("the first request: %v, told %d times", err, told)
	}
	if status, err := ask(t, here); status != 200 || err != nil || told != 1 {
		t.Errorf("the next request: %d, %v, told %d times", status, err, told)
	}
}
