package oauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

// VisitTime is how long a browser in which a login was finished is known to be
// that of its person.
const VisitTime = time.Hour

func (a *Authorizer) visitKey(secret string) store.Key {
	return store.Key{Kind: store.Visits, Server: a.name, Name: hashed(secret)}
}

// Visited remembers that the browser with this secret cookie is the caller's. The
// error is that of the store.
func (a *Authorizer) Visited(ctx context.Context, secret string, who caller.ID) error {
	record := store.Record{Key: a.visitKey(secret), Value: []byte(who.String()), Expires: time.Now().Add(VisitTime)}
	if err := a.store.Put(ctx, record); err != nil {
		return fmt.Errorf("keeping whose browser it is: %w", err)
	}
	return nil
}

// Visitor is whose login was finished lately in the browser with this secret
// cookie; ok is false for nobody's. The error is that of the store.
func (a *Authorizer) Visitor(ctx context.Context, secret string) (who caller.ID, ok bool, err error) {
	record, err := a.store.Get(ctx, a.visitKey(secret))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return caller.ID{}, false, nil
	}
	if err != nil {
		return caller.ID{}, false, fmt.Errorf("reading whose browser it is: %w", err)
	}
	return caller.FromStore(string(record.Value)), true, nil
}
