package oauth

import (
	"context"
	"errors"
	"time"

	"mcpo/internal/caller"
)

// Recheck is told that another process has changed the caller's grant, or may
// have: it looks in the store, and tells ChangedElsewhere of a login that was
// made or given up. Without it the same is seen within seconds, at the caller's
// next request.
func (a *Authorizer) Recheck(ctx context.Context, who caller.ID) {
	a.overtakeReads()
	before, had := a.memory(who)
	if !had { // perhaps somebody waits here for the login
		a.changedElsewhere(who)
		return
	}
	a.doubt(who, before)
	now, err := a.load(ctx, who, time.Now())
	var required *LoginRequiredError
	switch {
	case errors.As(err, &required):
		a.changedElsewhere(who)
	case err == nil && !now.Since.Equal(before.Since):
		a.newLogin(who)
		a.changedElsewhere(who)
	}
}

// overtakeReads has what is just being read from the store doubted, too: it may be
// from before the change.
func (a *Authorizer) overtakeReads() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rechecks++
}

// doubt has the store asked before a grant in memory is used again.
func (a *Authorizer) doubt(who caller.ID, h held) {
	doubted := h
	doubted.read = time.Time{}
	a.grants.CompareAndSwap(who, h, doubted)
}

// RecheckAll is Recheck for everybody who is here. None of the grants in memory is
// used from now on before the store was asked.
func (a *Authorizer) RecheckAll(ctx context.Context) {
	a.overtakeReads()
	a.grants.Range(func(key, value any) bool {
		who, isCaller := key.(caller.ID)
		if h, ok := value.(held); ok && isCaller {
			a.doubt(who, h)
		}
		return true
	})
	a.grants.Range(func(key, _ any) bool {
		if who, ok := key.(caller.ID); ok {
			a.Recheck(ctx, who)
		}
		return ctx.Err() == nil
	})
}

// newLogin is called where a login is found that another process has made. It
// counts among those that were made for more scopes.
func (a *Authorizer) newLogin(who caller.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.gone, who)
	a.tried(who)
}

func (a *Authorizer) changedElsewhere(who caller.ID) {
	if a.onElsewhere != nil {
		a.onElsewhere(who)
	}
}
