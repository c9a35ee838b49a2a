package app

import (
	"context"
	"errors"
	"time"

	"mcpo/internal/metrics"
	"mcpo/internal/oauth"
	"mcpo/internal/store"
)

// observed is a store whose operations are counted.
type observed struct {
	store   oauth.Store
	kind    string // what it keeps records in, such as "file"
	metrics *metrics.Metrics
}

// observe has a store's operations counted, where metrics are on.
func observe(kept oauth.Store, kind string, m *metrics.Metrics) oauth.Store {
	if m == nil {
		return kept
	}
	health := func() error { return nil }
	if h, ok := kept.(interface{ Health() error }); ok {
		health = h.Health
	}
	m.Available(kind, health)
	return observed{store: kept, kind: kind, metrics: m}
}

// Get implements oauth.Store.
func (o observed) Get(ctx context.Context, key store.Key) (store.Record, error) {
	start := time.Now()
	r, err := o.store.Get(ctx, key)
	o.tell("get", start, err)
	return r, err
}

// Put implements oauth.Store.
func (o observed) Put(ctx context.Context, r store.Record) error {
	start := time.Now()
	err := o.store.Put(ctx, r)
	o.tell("put", start, err)
	return err
}

// Delete implements oauth.Store.
func (o observed) Delete(ctx context.Context, key store.Key) error {
	start := time.Now()
	err := o.store.Delete(ctx, key)
	o.tell("delete", start, err)
	return err
}

// Take implements oauth.Store.
func (o observed) Take(ctx context.Context, key store.Key) (store.Record, error) {
	start := time.Now()
	r, err := o.store.Take(ctx, key)
	o.tell("take", start, err)
	return r, err
}

// List implements oauth.Store.
func (o observed) List(ctx context.Context, kind store.Kind) ([]store.Record, error) {
	start := time.Now()
	all, err := o.store.List(ctx, kind)
	o.tell("list", start, err)
	return all, err
}

// Lock implements oauth.Store. Its time is the wait for whoever has the lock.
func (o observed) Lock(ctx context.Context, key store.Key) (held context.Context, unlock func(), err error) {
	start := time.Now()
	held, unlock, err = o.store.Lock(ctx, key)
	o.tell("lock", start, err)
	return held, unlock, err
}

func (o observed) tell(operation string, start time.Time, err error) {
	o.metrics.Stored(o.kind, operation, storeOutcome(err), time.Since(start))
}

// storeOutcome is a word for what came of an operation.
func storeOutcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, store.ErrNotFound):
		return "not_found"
	case errors.Is(err, store.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, store.ErrLockLost):
		return "lock_lost"
	case errors.Is(err, store.ErrCorrupt):
		return "corrupt"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "canceled"
	}
	return "error"
}

// counter is a store that knows how many records of a kind it has, without
// reading them.
type counter interface {
	Count(ctx context.Context, kind store.Kind) (int, error)
}

// measure counts what a look for what has run out removed, and the grants that
// are left.
func (l *logins) measure(ctx context.Context, kept counter, kind string, swept int) {
	if l.metrics == nil {
		return
	}
	l.metrics.Swept(kind, swept)
	if n, err := kept.Count(ctx, store.Grants); err == nil { // else the sweep tells
		l.metrics.Grants(kind, n)
	}
}
