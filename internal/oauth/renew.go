package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
	"mcpo/internal/tracing"
)

// renew replaces an access token, once for all who ask at the same time. stale
// is the token to be replaced; refused says that the server would not have it.
// It goes on when ctx ends, for the refresh token may be spent by then.
func (a *Authorizer) renew(ctx context.Context, who caller.ID, stale string, refused bool) (*grant, error) {
	if h, ok := a.memory(who); ok && refused && h.refused && h.AccessToken == stale && time.Since(h.refusedAt) < retry {
		return nil, &LoginRequiredError{Server: a.name, Gone: true} // a newer one would not help
	}
	flight := a.flights.DoChan(who.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTime)
		defer cancel()
		ctx, span := tracing.Start(ctx, tracing.Internal, "refresh token", "")
		g, err := a.renewLocked(ctx, who, stale, refused)
		endSpan(span, err)
		return g, err
	})
	select {
	case done := <-flight:
		var required *LoginRequiredError
		var failed *RenewError
		if done.Err != nil && !errors.As(done.Err, &required) && !errors.As(done.Err, &failed) {
			return nil, &RenewError{done.Err}
		}
		if done.Err != nil {
			return nil, done.Err
		}
		g, _ := done.Val.(*grant)
		return g, nil
	case <-ctx.Done():
		return nil, &RenewError{context.Cause(ctx)}
	}
}

func (a *Authorizer) renewLocked(ctx context.Context, who caller.ID, stale string, refused bool) (*grant, error) {
	if err := a.enter(); err != nil {
		return nil, err
	}
	defer a.working.Done()
	ctx, unlock, err := a.store.Lock(ctx, a.grantKey(who))
	if err != nil {
		return nil, fmt.Errorf("waiting for a refresh in progress: %w", err)
	}
	defer unlock()
	g, err := a.read(ctx, who)
	if errors.Is(err, store.ErrNotFound) {
		return nil, a.loginRequired(who, true)
	}
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if !g.due(now) && (g.AccessToken != stale || !refused) { // somebody else has renewed it, or tried to
		a.remember(who, g)
		return g, nil
	}
	if !g.refreshable() {
		return a.cannotRenew(ctx, who, g, refused && g.AccessToken == stale)
	}
	return a.spend(ctx, who, g)
}

// cannotRenew is for a grant without a refresh token, or with one that may be
// spent. It stays until it has run out. What a server refuses may be good for
// it again tomorrow, so that is remembered and not deleted.
func (a *Authorizer) cannotRenew(ctx context.Context, who caller.ID, g *grant, refused bool) (*grant, error) {
	switch {
	case g.expired(time.Now()):
		if err := a.drop(ctx, who); err != nil {
			return nil, err
		}
	case refused:
		return nil, a.useless(who, g)
	default:
		a.remember(who, g)
		return g, nil
	}
	return nil, a.loginRequired(who, true)
}

// useless remembers that the server would not have an access token that is as
// new as can be, and sends the caller to log in.
func (a *Authorizer) useless(who caller.ID, g *grant) error {
	h, ok := a.memory(who)
	if !ok || h.AccessToken != g.AccessToken {
		h = held{grant: g, read: time.Now()}
	}
	h.refused, h.refusedAt = true, time.Now()
	a.grants.Store(who, h)
	return &LoginRequiredError{Server: a.name, Gone: true}
}

// spend sends the refresh token. Before, it marks the stored grant; after, the
// answer is saved before anybody uses it, if it can be saved.
func (a *Authorizer) spend(ctx context.Context, who caller.ID, g *grant) (*grant, error) {
	marked := *g
	marked.Spending, marked.Mark = hashed(g.RefreshToken), rand.Text()
	if err := a.write(ctx, who, &marked); err != nil {
		a.keepUnmarked(who, g, &marked)
		return nil, err
	}
	a.step("marked")
	next, err := a.refresh(ctx, g)
	a.step("answered")
	// What came of it is kept, even if the time for the request is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTime)
	defer cancel()
	switch {
	case err == nil:
		if err := a.write(ctx, who, next); err != nil {
			a.keepUnsaved(who, next, &marked, err)
		}
		a.step("saved")
		a.remember(who, next)
		a.log.Info("renewed the access token", "caller", who.String(), "expires", next.Expiry)
		a.happened(Refreshed, who, nil)
		return next, nil
	case refused(err, a.isByHand(g.Registration)):
		a.log.Warn("the authorization server refuses to renew the login, which is removed", "caller", who.String(), "error", err)
		a.happened(RefreshRefused, who, err)
		if err := a.drop(ctx, who); err != nil {
			return nil, err
		}
		return nil, a.loginRequired(who, true)
	}
	a.forget() // of the endpoints; they may have moved
	kept := *g
	var lost *lostError
	if errors.As(err, &lost) {
		kept.Lost = hashed(g.RefreshToken)
	}
	if err := a.write(ctx, who, &kept); err != nil {
		a.keepUnsaved(who, &kept, &marked, err)
	}
	a.happened(Refreshed, who, err)
	return nil, &RenewError{err}
}

// isByHand reports whether the configuration has this registration.
func (a *Authorizer) isByHand(r registration) bool {
	c := a.cfg.ClientMetadata
	return c != nil && c.ClientID != "" && c.ClientID == r.ClientID
}

// drop removes the caller's grant, while its lock is held.
func (a *Authorizer) drop(ctx context.Context, who caller.ID) error {
	a.forgetGrant(who)
	if err := a.store.Delete(ctx, a.grantKey(who)); err != nil {
		return fmt.Errorf("removing the grant: %w", err)
	}
	a.unsaved.Delete(who)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drops++
	a.forgetGrant(who)
	return nil
}
