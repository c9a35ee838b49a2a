package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

// Logout removes the caller's grant, and revokes its tokens at the
// authorization server (RFC 7009) where that is possible. had is false when
// there was no grant. A server that cannot be reached does not keep the grant
// alive here; the error then says that it may still be valid there.
func (a *Authorizer) Logout(ctx context.Context, who caller.ID) (had bool, err error) {
	if err := a.enter(); err != nil {
		return false, err
	}
	defer a.working.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTime)
	defer cancel()
	ctx, unlock, err := a.store.Lock(ctx, a.grantKey(who)) // after a refresh in flight, whose outcome is removed too
	if err != nil {
		return false, fmt.Errorf("waiting for a refresh in progress: %w", err)
	}
	defer unlock()
	g, err := a.readAny(ctx, who)
	if errors.Is(err, store.ErrNotFound) {
		a.forgetGrant(who)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := a.drop(ctx, who); err != nil {
		return true, err
	}
	a.mu.Lock()
	delete(a.wants, who)
	a.mu.Unlock()
	a.changed(who)
	a.log.Info("logged out", "caller", who.String())
	err = a.revoke(ctx, g)
	a.happened(LoggedOut, who, err)
	return true, err
}

// NotRevokedError says that tokens are gone from here and may still be valid
// at their authorization server.
type NotRevokedError struct {
	Issuer string
	// Err is nil when the server has no way to revoke tokens.
	Err error
}

// Error implements error.
func (e *NotRevokedError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s has no way to revoke tokens; remove mcpo's access in your account there", e.Issuer)
	}
	return fmt.Sprintf("revoking the tokens at %s failed; remove mcpo's access in your account there: %v", e.Issuer, e.Err)
}

// Unwrap gives the reason.
func (e *NotRevokedError) Unwrap() error { return e.Err }

// revoke revokes both tokens, the refresh token first, as it is worth more.
func (a *Authorizer) revoke(ctx context.Context, g *grant) error {
	m, err := a.metadata(ctx, g.Issuer)
	if err != nil {
		return &NotRevokedError{g.Issuer, err}
	}
	if m.RevocationEndpoint == "" {
		return &NotRevokedError{Issuer: g.Issuer}
	}
	u, err := a.guard.checkEndpoint("revocation_endpoint", m.RevocationEndpoint)
	if err != nil {
		return &NotRevokedError{g.Issuer, err}
	}
	r := g.Registration
	if byHand := a.byHand(m); byHand != nil && byHand.ClientID == r.ClientID {
		r = *byHand
	}
	var failed error
	for _, t := range [][2]string{{"refresh_token", g.RefreshToken}, {"access_token", g.AccessToken}} {
		if t[1] == "" {
			continue
		}
		form := url.Values{"token": {t[1]}, "token_type_hint": {t[0]}}
		got, err := a.guard.postForm(ctx, u, form, r.authenticate(form))
		if err == nil && got.status/100 != 2 {
			o, _ := got.object()
			e := tokenError(got, o, r.Secret, g.RefreshToken, g.AccessToken)
			if e.Code == "unsupported_token_type" && t[0] == "access_token" && g.RefreshToken != "" && failed == nil {
				continue // one that is only checked by its signature, and soon runs out (RFC 7009 §2.2.1)
			}
			err = e
		}
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return &NotRevokedError{g.Issuer, failed}
	}
	return nil
}
