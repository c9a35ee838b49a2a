package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// askPatience bounds every look whether the database answers.
	askPatience = 2 * time.Second
	// busyTime is what is added for an operation: a database may be slow and answer
	// all the same. One that is found to be lost ends it.
	busyTime = 3 * time.Second
	// largeTime is what is added for what may be large.
	largeTime = 20 * time.Second
	// beginPatience bounds the first one, which may wait for a replica that
	// brings the tables up to date.
	beginPatience = 10 * time.Second
	// probePause is the time between two looks whether the database answers.
	probePause = 500 * time.Millisecond
	// leaseTime is how long a lock outlives the last sign of life of its holder.
	leaseTime = 15 * time.Second
	// poolSize is how many connections there are at most, unless the DSN has
	// pool_max_conns. One more listens.
	poolSize = 8
)

// PostgresOptions say which database records are kept in, and how.
type PostgresOptions struct {
	// DSN is a URL, postgres://user:password@host:5432/database, or a list of
	// settings as libpq has it, host=… dbname=….
	DSN string
	// Keys are the secrets that records are sealed with, as in [Options]. There
	// is at least one, for all replicas must have the same.
	Keys []string
	Log  *slog.Logger

	patience, lease time.Duration // 0 for askPatience and leaseTime; tests have others
}

// Postgres keeps records in a PostgreSQL database, sealed, which any number of
// processes may share. While the database cannot be reached all its methods
// answer ErrUnavailable at once, and they work again within a second after it
// came back. All may be called at the same time.
//
//	an operation ── ask ──▶ is the database there? ──▶ a statement, at most 5 s
//	                             ▲                          │
//	                          health ◀── it cannot be reached
//	                             ▲
//	keep: begins (tables, keys), then asks twice a second
//
// No statement leaves anything behind in its connection, and no connection is
// held between statements, so that a pool of transactions may stand between.
type Postgres struct {
	name   string // of this process, for the others
	ring   keyring
	log    *slog.Logger
	config *pgxpool.Config
	pool   atomic.Pointer[pgxpool.Pool]
	queue  *queue // of those who want a lock, in this process
	lease  time.Duration
	bound  time.Duration // of an operation
	health *health
	notes  *notes
	outbox *Changes // of this process, that the others were not told yet

	ctx   context.Context // ends with Close
	end   context.CancelFunc
	tasks sync.WaitGroup
	left  sync.WaitGroup // pools that are being closed
}

// OpenPostgres opens the store in a database. It does not fail when the database
// cannot be reached: the store answers ErrUnavailable then until it is there.
// Errors say in one sentence what to do: the DSN cannot be understood, the
// database does not let mcpo in, its tables are those of a later mcpo, or, as
// ErrWrongKey, there are records that none of the keys opens.
func OpenPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	p := &Postgres{name: rand.Text(), log: o.Log, queue: newQueue(), lease: cmp.Or(o.lease, leaseTime), bound: cmp.Or(o.patience, askPatience), outbox: NewChanges(manyKeys), health: newHealth(o.Log)}
	var err error
	if len(o.Keys) == 0 {
		return nil, errors.New("records in a database need an encryption key, the same for all replicas; make one with: openssl rand -base64 32")
	}
	if p.ring, err = newKeyring(o.Keys); err != nil {
		return nil, err
	}
	if p.config, err = parseDSN(o.DSN, p.bound); err != nil {
		return nil, err
	}
	p.ctx, p.end = context.WithCancel(context.Background())
	if err := p.newPool(); err != nil {
		p.end()
		return nil, fmt.Errorf("preparing connections to the database: %w", err)
	}
	p.notes = newNotes(p.config.ConnConfig)
	begun, err := p.tryToBegin(ctx)
	if err != nil {
		p.Close()
		return nil, err
	}
	p.tasks.Go(func() { p.keep(begun) })
	p.tasks.Go(p.tellOthers)
	return p, nil
}

// parseDSN never repeats a DSN, nor a part of one: it holds a password.
func parseDSN(dsn string, patience time.Duration) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if file := (*os.PathError)(nil); errors.As(err, &file) {
		return nil, fmt.Errorf("a file that the database's DSN names cannot be read: %w", file)
	}
	if err != nil {
		return nil, errors.New("the database's DSN cannot be understood; write it as postgres://user:password@host:5432/database, with %-escapes for /, @, : and % in the password")
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns = poolSize
	}
	// Statements without names, sent in one go: they work through pools.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.ConnConfig.StatementCacheCapacity, config.ConnConfig.DescriptionCacheCapacity = 0, 0
	config.ConnConfig.ConnectTimeout = shareOf(patience, config.ConnConfig)
	return config, nil
}

// shareOf is how much of the patience each host of a DSN gets, or less where the
// DSN says so: one that hangs is not to take the time of those after it.
func shareOf(patience time.Duration, config *pgx.ConnConfig) time.Duration {
	type address struct {
		host string
		port uint16
	}
	hosts := map[address]bool{{config.Host, config.Port}: true}
	for _, f := range config.Fallbacks { // the same host without TLS is there too
		hosts[address{f.Host, f.Port}] = true
	}
	share := patience / time.Duration(len(hosts))
	if asked := config.ConnectTimeout; asked > 0 && asked < share {
		return asked
	}
	return share
}

// tryToBegin begins if the database can be reached.
func (p *Postgres) tryToBegin(ctx context.Context) (begun bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, max(beginPatience, p.bound))
	defer cancel()
	err = p.begin(ctx)
	if reason, is := unreachable(err); is {
		p.health.lost(reason, err)
		return false, nil
	}
	if err == nil {
		p.health.found()
	}
	return err == nil, err
}

// keep begins where that was not yet possible, and asks whether the database
// answers, until the store is closed.
func (p *Postgres) keep(begun bool) {
	tick := time.NewTicker(probePause)
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		case <-p.health.doubts:
		}
		if begun {
			p.probe()
			continue
		}
		var err error
		if begun, err = p.tryToBegin(p.ctx); err != nil && p.ctx.Err() == nil {
			p.health.lost(err.Error(), err)
		}
	}
}

// probe asks whether the database answers and takes changes.
func (p *Postgres) probe() {
	ctx, cancel := context.WithTimeout(p.ctx, p.bound)
	defer cancel()
	var closed bool
	err := p.pool.Load().QueryRow(ctx, "SELECT current_setting('transaction_read_only')::bool").Scan(&closed)
	if err == nil && !closed {
		p.health.found()
		return
	}
	reason, is := unreachable(err)
	switch {
	case p.ctx.Err() != nil:
		return
	case closed:
		reason = "it takes no changes"
	case !is:
		reason = "it fails"
	}
	p.health.lost(reason, err)
	// Another server may take changes, of the DSN or at the same address.
	if !tookTooLong(err) || p.newPool() != nil {
		p.pool.Load().Reset()
	}
}

// newPool puts a pool without connections in place. Those of the one before end
// by themselves; where their server hangs that takes many seconds, and a pool
// counts them until then.
func (p *Postgres) newPool() error {
	pool, err := pgxpool.NewWithConfig(p.ctx, p.config.Copy())
	if err != nil {
		return err
	}
	if old := p.pool.Swap(pool); old != nil {
		p.left.Go(old.Close)
	}
	return nil
}

// ask runs a statement on the database. Statements that surely did nothing are
// tried once more, as on a connection that a restart cut. An operation is not
// given up when ctx ends amid it: it takes five seconds at most, or until the
// database is found to be lost, and what came of it is known.
func (p *Postgres) ask(ctx context.Context, do func(ctx context.Context, db *pgxpool.Pool) error) error {
	return p.askWithin(ctx, p.bound+busyTime, do)
}

// askAbout is ask for the record of a kind. A catalogue may be as large as a server
// makes it, and nobody waits for it: that it takes its time says nothing of the
// database. It ends when others find that lost.
func (p *Postgres) askAbout(ctx context.Context, kind Kind, do func(ctx context.Context, db *pgxpool.Pool) error) error {
	bound := p.bound + busyTime
	if kind == Catalogues {
		bound += largeTime
	}
	return p.askWithin(ctx, bound, do)
}

func (p *Postgres) askWithin(ctx context.Context, bound time.Duration, do func(ctx context.Context, db *pgxpool.Pool) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.Health(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), bound)
	defer cancel()
	defer context.AfterFunc(p.health.whileUp(), cancel)()
	err := do(bounded, p.pool.Load())
	if mayRepeat(err) && bounded.Err() == nil {
		err = do(bounded, p.pool.Load())
	}
	reason, is := unreachable(err)
	if !is {
		return err
	}
	if !tookTooLong(err) { // else the database may only be busy, as the look at it will show
		p.health.lost(reason, err)
	}
	p.health.doubt()
	return fmt.Errorf("%w: %s", ErrUnavailable, reason)
}

// Health tells, as ErrUnavailable, since when and why the database cannot be
// reached. It names no part of the DSN.
func (p *Postgres) Health() error { return p.health.err() }

// Reached reports whether the database could be asked at least once.
func (p *Postgres) Reached() bool {
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	return p.health.reached
}

// Close ends all connections, and does not wait long for those whose server hangs.
// Locks that are held become free when their time is over.
func (p *Postgres) Close() {
	p.end()
	p.tasks.Wait()
	p.health.lost("it was closed", nil)
	p.left.Go(p.pool.Load().Close)
	ended := make(chan struct{})
	go func() {
		p.left.Wait()
		close(ended)
	}()
	late := time.NewTimer(p.bound)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
	}
}
