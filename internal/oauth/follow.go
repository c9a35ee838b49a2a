package oauth

import (
	"context"
	"time"

	"mcpo/internal/caller"
)

// Follow watches the store for the end of a login that was begun here and that
// another mcpo, to which the browser comes back, finishes. The outcome is that of
// b, and the watching ends with ctx, for which Close waits.
func (a *Authorizer) Follow(ctx context.Context, who caller.ID, b *Begun) {
	began := time.Now()
	a.watching.Go(func() { a.watch(ctx, who, b.State, began) })
}
