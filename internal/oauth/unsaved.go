package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

// unsaved is a grant that the store could not take, as when the disk is full,
// though its refresh token is the only one that is good. It is never changed,
// only replaced.
type unsaved struct {
	grant *grant
	// over are the marks of the stored grant that it takes the place of, which has
	// one of them. Where another one is stored meanwhile, by a login or a logout,
	// that one counts.
	over  []string
	tried time.Time // when it was last tried to save it; zero: only as it came
}

// replaces reports whether the unsaved grant counts and the stored one does not.
func (u *unsaved) replaces(stored *grant) bool { return slices.Contains(u.over, stored.Mark) }

// keepUnsaved keeps a grant in memory until it can be saved over the marked one.
func (a *Authorizer) keepUnsaved(who caller.ID, g, marked *grant, err error) {
	a.log.Error("a login cannot be saved; it is kept in memory and tried again, and is lost if mcpo ends before", "caller", who.String(), "error", err)
	a.unsaved.Store(who, &unsaved{grant: g, over: []string{marked.Mark}})
}

// keepUnmarked is for a mark that the store may have or not, as its answer was
// lost. Nothing was sent, so the grant counts without the mark.
func (a *Authorizer) keepUnmarked(who caller.ID, g, marked *grant) {
	over := []string{marked.Mark}
	if u := a.unsavedOf(who); u != nil {
		over = append(over, u.over...)
	}
	a.unsaved.Store(who, &unsaved{grant: g, over: over})
}

// newest is what counts of the stored grant and one that could not be saved.
func (a *Authorizer) newest(who caller.ID, stored *grant) *grant {
	if u := a.unsavedOf(who); u != nil && u.replaces(stored) {
		g := *u.grant
		return &g
	}
	return stored
}

func (a *Authorizer) unsavedOf(who caller.ID) *unsaved {
	v, _ := a.unsaved.Load(who)
	u, _ := v.(*unsaved)
	return u
}

// saveAgain tries to save what could not be saved before, if there is anything
// and it was not tried lately.
func (a *Authorizer) saveAgain(ctx context.Context, who caller.ID, now time.Time) {
	u := a.unsavedOf(who)
	if u == nil || now.Sub(u.tried) < recheck {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := a.save(ctx, who)
	if err == nil {
		a.log.Info("the login that could not be saved is saved now, or has been replaced", "caller", who.String())
		return
	}
	a.log.Debug("a login still cannot be saved", "caller", who.String(), "error", err)
	a.unsaved.CompareAndSwap(who, u, &unsaved{grant: u.grant, over: u.over, tried: time.Now()})
}

// save saves the caller's unsaved grant, or drops it where it does not count any
// more.
func (a *Authorizer) save(ctx context.Context, who caller.ID) error {
	ctx, unlock, err := a.store.Lock(ctx, a.grantKey(who))
	if err != nil {
		return fmt.Errorf("waiting for a refresh in progress: %w", err)
	}
	defer unlock()
	u := a.unsavedOf(who)
	if u == nil { // somebody else has saved it
		return nil
	}
	stored, err := a.readStored(ctx, who)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || !u.replaces(stored) {
		a.unsaved.Delete(who)
		return nil
	}
	return a.write(ctx, who, u.grant)
}

// saveAll tries for the last time.
func (a *Authorizer) saveAll() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	a.unsaved.Range(func(key, _ any) bool {
		if who, ok := key.(caller.ID); ok {
			if err := a.save(ctx, who); err != nil {
				a.log.Error("a login could not be saved and has to be made again", "caller", who.String(), "error", err)
			}
		}
		return ctx.Err() == nil
	})
}
