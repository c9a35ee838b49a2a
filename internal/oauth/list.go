package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

// Status is what can be told of a caller's grant.
type Status struct {
	Authenticated bool
	// ExpiresAt is when the access token runs out; zero when that is not known.
	// It is renewed before, where Renewable says so.
	ExpiresAt time.Time
	Renewable bool
	// Since is when the caller logged in; zero when that is not known.
	Since  time.Time
	Issuer string
	Scopes []string
}

// Status tells of the caller's grant, as the store has it. The error is that of
// the store.
func (a *Authorizer) Status(ctx context.Context, who caller.ID) (Status, error) {
	h, err := a.load(ctx, who, time.Now())
	if err == nil && h.expired(time.Now()) && h.Spending != "" {
		h, err = a.settled(ctx, who, h)
	}
	var required *LoginRequiredError
	if errors.As(err, &required) {
		return Status{}, nil
	}
	if err != nil {
		return Status{}, err
	}
	return h.status(), nil
}

// settleTime bounds the wait for a refresh that somebody else makes.
const settleTime = 5 * time.Second

// settled waits for the refresh that the mark of a grant tells of, in whatever
// process, and gives what came of it. A mark that somebody left behind who died is
// nothing to wait for.
func (a *Authorizer) settled(ctx context.Context, who caller.ID, h held) (held, error) {
	waiting, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	_, unlock, err := a.store.Lock(waiting, a.grantKey(who))
	if err != nil {
		return h, ctx.Err()
	}
	unlock()
	a.doubt(who, h)
	return a.load(ctx, who, time.Now())
}

func (h held) status() Status {
	return Status{
		Authenticated: !h.refused && (h.refreshable() || !h.expired(time.Now())),
		Since:         h.Since, ExpiresAt: h.Expiry, Renewable: h.refreshable(), Issuer: h.Issuer, Scopes: h.Scopes,
	}
}

// Held is what can be told of a stored grant. It has no token.
type Held struct {
	Server string
	Caller caller.ID
	// URL is the server's address that the grant is for.
	URL    string
	Status Status
}

// List tells of all grants in a store, by server and caller. Records that cannot
// be read are left out. The error is that of the store.
func List(ctx context.Context, s Store) ([]Held, error) {
	records, err := s.List(ctx, store.Grants)
	if err != nil {
		return nil, fmt.Errorf("listing the grants: %w", err)
	}
	all := make([]Held, 0, len(records))
	for _, r := range records {
		g := &grant{}
		if json.Unmarshal(r.Value, g) != nil || g.AccessToken == "" {
			continue
		}
		h := held{grant: g, read: time.Now()}
		all = append(all, Held{Server: r.Key.Server, Caller: r.Key.Caller, URL: g.Server, Status: h.status()})
	}
	slices.SortFunc(all, func(a, b Held) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Caller.String(), b.Caller.String()))
	})
	return all, nil
}

// IsFor reports whether the grant is for a server at this address.
func (h Held) IsFor(address string) bool { return sameURL(h.URL, address) }

// Newer reports whether a grant holds a later access token than another of the
// same key, so that the other's refresh token may be spent. Of other records that
// cannot be told: none is newer.
func Newer(r, than store.Record) bool {
	var a, b grant
	if r.Key.Kind != store.Grants || json.Unmarshal(r.Value, &a) != nil {
		return false
	}
	return json.Unmarshal(than.Value, &b) != nil || a.Obtained.After(b.Obtained)
}
