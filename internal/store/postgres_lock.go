package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The time between two looks at a lock that another process has is between these.
const (
	leastLockPause = 10 * time.Millisecond
	mostLockPause  = 150 * time.Millisecond
)

const (
	// A lock is free once its time is over by the clock of the database, which is
	// the same for all. What this process, $2, still holds as it asks was left
	// behind while the database could not be reached: in a process one asks at a
	// time. $3 is how long a lease lasts, in milliseconds.
	acquireLock = `INSERT INTO mcpo_locks (hash, holder, fence, until) VALUES ($1, $2, nextval('mcpo_fences'), clock_timestamp() + $3 * interval '1 millisecond')
		ON CONFLICT (hash) DO UPDATE SET holder = excluded.holder, fence = excluded.fence, until = excluded.until
		WHERE mcpo_locks.until <= clock_timestamp() OR mcpo_locks.holder = excluded.holder
		RETURNING fence`
	renewLock = `UPDATE mcpo_locks SET until = clock_timestamp() + $3 * interval '1 millisecond' WHERE hash = $1 AND fence = $2`
	// The row stays, and with it the fence of what is still to be done with it.
	freeLock = `UPDATE mcpo_locks SET until = clock_timestamp() WHERE hash = $1 AND fence = $2`
)

// lease is a lock that is held as long as it is renewed. Whoever gets it after
// another gets a greater fence.
type lease struct {
	lock  string // the hash of the key
	fence int64
}

// leaseKey is where a context has the lease that it was given by Lock.
type leaseKey struct{}

// fenceOf begins the statement of a change: with the fence of the lock that ctx
// is held with, or without.
func fenceOf(ctx context.Context) (begin, lock string, fence int64) {
	l, held := ctx.Value(leaseKey{}).(lease)
	if !held {
		return unfenced, "", 0
	}
	return fenced, l.lock, l.fence
}

// Lock waits until nobody else holds the lock of key, in any process, or until
// ctx ends. The lock keeps nobody from the record itself. It is a lease, renewed
// until unlock is called: a process that ends, or does not reach the database,
// loses it after a while, and what it does with held after somebody else got it
// is refused with ErrLockLost. Held is ctx otherwise. Calling unlock again does
// nothing.
func (p *Postgres) Lock(ctx context.Context, key Key) (held context.Context, unlock func(), err error) {
	leave, err := p.queue.enter(ctx, key.hash())
	var l lease
	if err == nil {
		if l, err = p.waitForLease(ctx, key.hash()); err != nil {
			leave()
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("waiting for the lock of a %s: %w", key.Kind, err)
	}
	stop := p.renewing(l)
	return context.WithValue(ctx, leaseKey{}, l), sync.OnceFunc(func() {
		stop()
		p.free(l)
		leave()
	}), nil
}

// waitForLease asks for a lock again and again.
func (p *Postgres) waitForLease(ctx context.Context, lock string) (lease, error) {
	for pause := leastLockPause; ; pause = min(2*pause, mostLockPause) {
		l, err := p.acquire(ctx, lock)
		if !errors.Is(err, pgx.ErrNoRows) {
			return l, err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return lease{}, ctx.Err()
		}
	}
}

// acquire gets a lock that is free; else its error is pgx.ErrNoRows.
func (p *Postgres) acquire(ctx context.Context, lock string) (lease, error) {
	l := lease{lock: lock}
	err := p.ask(ctx, func(ctx context.Context, db *pgxpool.Pool) error {
		return db.QueryRow(ctx, acquireLock, lock, p.name, p.lease.Milliseconds()).Scan(&l.fence)
	})
	return l, err
}

// renewing renews a lease until stop is called, or it is somebody else's.
func (p *Postgres) renewing(l lease) (stop func()) {
	ctx, cancel := context.WithCancel(p.ctx)
	done := make(chan struct{})
	p.tasks.Go(func() {
		defer close(done)
		tick := time.NewTicker(p.lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if !p.renew(ctx, l) {
				return
			}
		}
	})
	return func() {
		cancel()
		<-done // a renewal that goes on would take back what is freed now
	}
}

// renew tells whether a lease is still to be renewed. While the database cannot
// be reached it is: maybe nobody wants the lock meanwhile.
func (p *Postgres) renew(ctx context.Context, l lease) bool {
	renewed := int64(0)
	err := p.ask(ctx, func(ctx context.Context, db *pgxpool.Pool) error {
		tag, err := db.Exec(ctx, renewLock, l.lock, l.fence, p.lease.Milliseconds())
		renewed = tag.RowsAffected()
		return err
	})
	if err == nil && renewed == 0 && ctx.Err() == nil {
		p.log.Warn("a lock went to another replica, for this one did not reach the database in time; what it was about to change is left to the other", "lock", l.lock)
		return false
	}
	return true
}

// free gives a lock back. Where that fails it is free when its time is over.
func (p *Postgres) free(l lease) {
	err := p.ask(context.Background(), func(ctx context.Context, db *pgxpool.Pool) error {
		_, err := db.Exec(ctx, freeLock, l.lock, l.fence)
		return err
	})
	if err != nil {
		p.log.Debug("a lock was not given back; it is free when its time is over", "lock", l.lock, "error", err)
	}
}
