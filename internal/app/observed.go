package app

import (
	"cmp"
	"context"
	"errors"
	"time"

	"mcpo/internal/config"
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

// measure counts what a look for what has run out removed from memory and from
// the durable store, and the grants that are left.
func (l *logins) measure(ctx context.Context, fromMemory, fromDurable int) {
	if l.metrics == nil {
		return
	}
	grants := map[string]int{}
	count := func(kept oauth.Store, kind string) {
		if c, ok := kept.(counter); ok {
			if n, err := c.Count(ctx, store.Grants); err == nil { // else a sweep fails too, and tells
				grants[kind] = n
			}
		}
	}
	count(l.memory, memoryKind)
	l.metrics.Swept(memoryKind, fromMemory)
	if now := l.stored.current(); now != nil {
		count(now.durable, kindOf(now.from))
		l.metrics.Swept(kindOf(now.from), fromDurable)
	}
	l.metrics.Grants(grants)
}

// memoryKind is the word for the store that forgets everything.
const memoryKind = "memory"

// kindOf is the word for what a storage block leads to.
func kindOf(at config.Storage) string { return cmp.Or(at.Type, config.FileStorage) }

// available tells of the store in use whether it can be asked.
func (s *stored) available() (kind string, err error) {
	now := s.current()
	if now == nil {
		return "", nil
	}
	if p, is := now.durable.(interface{ Health() error }); is {
		err = p.Health()
	}
	return kindOf(now.from), err
}
