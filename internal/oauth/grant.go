package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

const (
	renewTime = 30 * time.Second // for a refresh, or the exchange of a code
	// recheck is how long a grant is used from memory before the store is asked
	// again: another process may have renewed it, or taken it away.
	recheck = 5 * time.Second
	// early is how long before its end an access token is renewed, or a tenth
	// of its life if that is shorter.
	early = time.Minute
	// retry is how long after a renewal that failed the next one is tried, as
	// long as the access token is good; and how long after a new token that the
	// server refuses, too.
	retry = 10 * time.Second
)

// grant is what a caller holds for a server, tied to its URL, the issuer, the
// resource and the registration that it was given for.
type grant struct {
	// Server is the server's URL: the access token goes nowhere else.
	Server       string       `json:"server"`
	Issuer       string       `json:"issuer"`
	Resource     string       `json:"resource,omitempty"`
	Registration registration `json:"registration"`
	AccessToken  string       `json:"access_token"`
	RefreshToken string       `json:"refresh_token,omitempty"`
	Scopes       []string     `json:"scopes,omitempty"`
	Since        time.Time    `json:"since,omitzero"`  // the login
	Obtained     time.Time    `json:"obtained"`        // the access token
	Expiry       time.Time    `json:"expiry,omitzero"` // zero: not told
	// Spending names (by its hash) the refresh token with which a request is
	// under way. Found by another process, it means that the one that made the
	// request died before it could save the answer: the token may be spent, and
	// is not sent again.
	Spending string `json:"spending,omitempty"`
	// Mark tells this Spending from one for the same refresh token by another
	// process.
	Mark string `json:"mark,omitempty"`
	// Lost names (by its hash) the refresh token that was sent without an answer
	// coming back. It may be spent, and servers that see a spent one may end the
	// grant, so it waits until there is no access token to lose.
	Lost string `json:"lost,omitempty"`

	bearer []string // of a grant in memory: the values of Authorization
}

// authorization is what requests say with the access token (RFC 6750 §2.1).
// Nobody changes it.
func (g *grant) authorization() []string {
	if g.bearer == nil {
		return []string{"Bearer " + g.AccessToken}
	}
	return g.bearer
}

// LogValue keeps tokens out of logs.
func (g *grant) LogValue() slog.Value { return slog.StringValue("grant of " + g.Issuer) }

// take puts what the token endpoint answered at now in place.
func (g *grant) take(t tokens, now time.Time) {
	g.AccessToken, g.Obtained, g.Expiry, g.bearer = t.access, now, time.Time{}, nil
	if t.life > 0 {
		g.Expiry = now.Add(t.life)
	}
	if t.refresh != "" { // otherwise the old one stays good (RFC 6749 §6)
		g.RefreshToken = t.refresh
	}
	if t.scopes != nil {
		g.Scopes = t.scopes
	}
}

func (g *grant) expired(now time.Time) bool { return !g.Expiry.IsZero() && !now.Before(g.Expiry) }

// due reports whether it is time to renew the access token.
func (g *grant) due(now time.Time) bool {
	if g.Lost != "" && g.Lost == hashed(g.RefreshToken) {
		return g.expired(now)
	}
	return !g.Expiry.IsZero() && g.Expiry.Sub(now) < min(early, g.Expiry.Sub(g.Obtained)/10)
}

// refreshable reports whether the refresh token can be used.
func (g *grant) refreshable() bool {
	return g.RefreshToken != "" && g.Spending != hashed(g.RefreshToken)
}

// held is a grant in memory. It is never changed, only replaced.
type held struct {
	*grant
	read time.Time
	// refused says that the server would not have the access token, though it
	// was new, and refusedAt since when.
	refused   bool
	refusedAt time.Time
	// failed is when a renewal last came to nothing.
	failed time.Time
}

func (a *Authorizer) grantKey(who caller.ID) store.Key {
	return store.Key{Kind: store.Grants, Server: a.name, Caller: who}
}

// token gives the caller's grant with an access token that is good for now.
// The error is a *LoginRequiredError when there is none.
func (a *Authorizer) token(ctx context.Context, who caller.ID) (*grant, error) {
	now := time.Now()
	before, had := a.memory(who)
	h, err := a.load(ctx, who, now)
	if err != nil {
		return nil, err
	}
	if had && !before.Since.Equal(h.Since) && !before.Since.IsZero() { // made by another process, and perhaps as another person
		a.newLogin(who)
		a.changed(who)
		return nil, &RenewError{errNewLogin}
	}
	wait := !h.refreshable() || now.Sub(h.failed) < retry
	if !h.due(now) || wait && !h.expired(now) {
		return h.grant, nil
	}
	g, err := a.renew(ctx, who, h.AccessToken, false)
	var required *LoginRequiredError
	if err != nil && !errors.As(err, &required) && !h.expired(time.Now()) {
		a.log.Warn("renewing the access token failed; the old one is used while it lasts", "caller", who.String(), "error", err)
		a.grants.CompareAndSwap(who, h, held{grant: h.grant, read: h.read, refused: h.refused, failed: time.Now()})
		return h.grant, nil
	}
	return g, err
}

// errNewLogin refuses a request in a conversation that began with another login.
var errNewLogin = errors.New("a new login was made meanwhile")

// load gives the grant from memory, or from the store where memory has none
// that was read lately.
func (a *Authorizer) load(ctx context.Context, who caller.ID, now time.Time) (held, error) {
	a.saveAgain(ctx, who, now)
	known, ok := a.memory(who)
	if ok && now.Sub(known.read) < recheck {
		return known, nil
	}
	a.mu.Lock()
	drops, rechecks := a.drops, a.rechecks
	a.mu.Unlock()
	g, err := a.read(ctx, who)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return held{}, a.loginRequired(who, ok)
		}
		if ok && !known.expired(now) && StoreUnavailable(err) {
			return known, nil // others may know better; this is what can be done
		}
		return held{}, err
	}
	h := a.toHold(who, g)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rechecks != rechecks {
		h.read = time.Time{} // as doubt does
	}
	if a.drops == drops { // else it may have been removed since it was read
		a.grants.Store(who, h)
	}
	return h, nil
}

func (a *Authorizer) memory(who caller.ID) (held, bool) {
	v, ok := a.grants.Load(who)
	if !ok {
		return held{}, false
	}
	h, ok := v.(held)
	return h, ok
}

// remember keeps a grant in memory.
func (a *Authorizer) remember(who caller.ID, g *grant) { a.grants.Store(who, a.toHold(who, g)) }

// toHold makes a grant one for memory. What is known of it besides belongs to
// the access token.
func (a *Authorizer) toHold(who caller.ID, g *grant) held {
	g.bearer = g.authorization()
	h := held{grant: g, read: time.Now()}
	if before, ok := a.memory(who); ok && before.AccessToken == g.AccessToken {
		h.refused, h.refusedAt, h.failed = before.refused, before.refusedAt, before.failed
	}
	return h
}

// Forget takes a caller who is not here any more out of memory. The store keeps
// what it has.
func (a *Authorizer) Forget(who caller.ID) {
	a.forgetGrant(who)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tickets, who)
	delete(a.wants, who)
	delete(a.gone, who)
}

func (a *Authorizer) forgetGrant(who caller.ID) { a.grants.Delete(who) }

// loginRequired is the error for a caller without a grant. lost says that there
// was one a moment ago; that is remembered until the next login.
func (a *Authorizer) loginRequired(who caller.ID, lost bool) error {
	a.forgetGrant(who)
	a.mu.Lock()
	defer a.mu.Unlock()
	if lost { // of strangers there may be any number
		a.gone[who] = true
	}
	return &LoginRequiredError{Server: a.name, Gone: a.gone[who]}
}

// read reads the grant from the store; the error is store.ErrNotFound when
// there is none of use.
func (a *Authorizer) read(ctx context.Context, who caller.ID) (*grant, error) {
	g, err := a.readAny(ctx, who)
	if err == nil && !sameURL(g.Server, a.url.String()) {
		a.log.Debug("the stored grant is for another address of this server, and is not used; a login replaces it", "caller", who.String())
		return nil, store.ErrNotFound
	}
	return g, err
}

// readAny is read for a grant that may be for a former address of the server.
func (a *Authorizer) readAny(ctx context.Context, who caller.ID) (*grant, error) {
	g, err := a.readStored(ctx, who)
	if err != nil {
		return nil, err
	}
	return a.newest(who, g), nil
}

// readStored is readAny for what the store has.
func (a *Authorizer) readStored(ctx context.Context, who caller.ID) (*grant, error) {
	record, err := a.store.Get(ctx, a.grantKey(who))
	if errors.Is(err, store.ErrCorrupt) {
		return nil, store.ErrNotFound // the store has said what it did with it
	}
	if err != nil {
		return nil, fmt.Errorf("reading the grant: %w", err)
	}
	g := &grant{}
	if err := json.Unmarshal(record.Value, g); err != nil || g.AccessToken == "" {
		a.log.Error("a stored grant cannot be read and is left alone; a login replaces it", "caller", who.String())
		return nil, store.ErrNotFound
	}
	return g, nil
}

// write saves a grant. When it returns the grant is durable.
func (a *Authorizer) write(ctx context.Context, who caller.ID, g *grant) error {
	value, err := json.Marshal(g)
	if err != nil {
		return err
	}
	record := store.Record{Key: a.grantKey(who), Value: value}
	if g.RefreshToken == "" && !g.Expiry.IsZero() {
		record.Expires = g.Expiry // of no use to anybody then
	}
	if err := a.store.Put(ctx, record); err != nil {
		return fmt.Errorf("keeping the grant: %w", err)
	}
	a.unsaved.Delete(who)
	return nil
}

// keep makes a new grant the caller's, whatever a refresh in flight does.
func (a *Authorizer) keep(ctx context.Context, who caller.ID, g *grant) error {
	ctx, unlock, err := a.store.Lock(ctx, a.grantKey(who))
	if err != nil {
		return fmt.Errorf("keeping the grant: %w", err)
	}
	defer unlock()
	if err := a.write(ctx, who, g); err != nil {
		return err
	}
	a.remember(who, g)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.gone, who)
	a.tried(who)
	return nil
}
