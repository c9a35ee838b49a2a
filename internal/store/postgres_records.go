package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Every change is one statement, and so it happens as a whole or not at all. It
// begins with the fence: a row if the change may be made. $1 and $2 are the lock
// and its fence, and for a change without a lock anything. The share lock keeps
// others from taking over the lock until the change is made.
const (
	fenced   = `WITH fence AS MATERIALIZED (SELECT 1 FROM mcpo_locks WHERE hash = $1 AND fence = $2 FOR SHARE)`
	unfenced = `WITH fence AS MATERIALIZED (SELECT $1::text, $2::bigint)`

	putRecord = ` INSERT INTO mcpo_records (hash, kind, seal_key, expires, record) SELECT $3, $4, $5, $6, $7 FROM fence
		ON CONFLICT (hash) DO UPDATE SET kind = excluded.kind, seal_key = excluded.seal_key, expires = excluded.expires, record = excluded.record`

	// $4 is the record that is to be deleted; NULL is any.
	deleteRecord = `, gone AS (
		DELETE FROM mcpo_records USING fence WHERE hash = $3 AND ($4::bytea IS NULL OR record = $4)
		RETURNING 1)
	SELECT (SELECT count(*) FROM gone) FROM fence`

	setAside = `WITH gone AS (DELETE FROM mcpo_records WHERE hash = $1 AND record = $2 RETURNING hash, kind, record)
	INSERT INTO mcpo_damaged (hash, kind, record, reason) SELECT hash, kind, record, $3 FROM gone`
)

// Get returns the record under key. Its errors are ErrNotFound, once for each
// damage ErrCorrupt, ErrWrongKey, and ErrUnavailable.
func (p *Postgres) Get(ctx context.Context, key Key) (Record, error) {
	r, _, err := p.get(ctx, key)
	if err == nil && r.expired() {
		err = ErrNotFound
	}
	if err != nil {
		return Record{}, explain("reading", key.Kind, err)
	}
	return r, nil
}

// get returns the record under key, expired or not, and how it is kept.
func (p *Postgres) get(ctx context.Context, key Key) (r Record, sealed []byte, err error) {
	hash := key.hash()
	err = p.askAbout(ctx, key.Kind, func(ctx context.Context, db *pgxpool.Pool) error {
		return db.QueryRow(ctx, "SELECT record FROM mcpo_records WHERE hash = $1", hash).Scan(&sealed)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Record{}, nil, ErrNotFound
	}
	if err == nil {
		r, err = p.open(ctx, hash, key.Kind, sealed)
	}
	return r, sealed, err
}

// open opens the record of a row, which tells whose it should be. A damaged one
// is set aside, unless another stands in its place by now.
func (p *Postgres) open(ctx context.Context, hash string, kind Kind, sealed []byte) (Record, error) {
	r, err := p.ring.open(sealed)
	if err == nil && (r.Key.hash() != hash || r.Key.Kind != kind) {
		err = fmt.Errorf("%w: it is in the place of another", ErrCorrupt)
	}
	if !errors.Is(err, ErrCorrupt) {
		return r, err
	}
	var moved int64
	failure := p.ask(ctx, func(ctx context.Context, db *pgxpool.Pool) error {
		tag, err := db.Exec(ctx, setAside, hash, sealed, err.Error())
		moved = tag.RowsAffected()
		return err
	})
	switch {
	case failure != nil:
		return Record{}, fmt.Errorf("setting a damaged record aside: %w", failure)
	case moved == 0: // somebody else did it
		return Record{}, ErrNotFound
	}
	p.log.Error("a damaged record was moved to the table mcpo_damaged; whoever needs it must log in again", "record", hash, "error", err)
	return Record{}, err
}

// Put keeps r in the place of what was under its key. Done with a lock that is
// another's by now, it is ErrLockLost.
func (p *Postgres) Put(ctx context.Context, r Record) error {
	if err := r.Key.check(); err != nil {
		return fmt.Errorf("keeping a record: %w", err)
	}
	sealed, err := p.ring.seal(r)
	if err != nil {
		return explain("sealing", r.Key.Kind, err)
	}
	var expires any // NULL
	if !r.Expires.IsZero() {
		expires = r.Expires
	}
	begin, lock, fence := fenceOf(ctx)
	err = p.askAbout(ctx, r.Key.Kind, func(ctx context.Context, db *pgxpool.Pool) error {
		tag, err := db.Exec(ctx, begin+putRecord, lock, fence, r.Key.hash(), string(r.Key.Kind), p.ring[0].id, expires, sealed)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrLockLost
		}
		return err
	})
	if err != nil {
		return explain("keeping", r.Key.Kind, err)
	}
	p.changed(r.Key)
	return nil
}

// Delete makes sure that there is no record under key. Done with a lock that is
// another's by now, it is ErrLockLost.
func (p *Postgres) Delete(ctx context.Context, key Key) error {
	_, err := p.delete(ctx, key, nil)
	return explain("deleting", key.Kind, err)
}

// delete deletes the record under key, if it is still kept as sealed; nil is
// however.
func (p *Postgres) delete(ctx context.Context, key Key, sealed []byte) (deleted int, err error) {
	begin, lock, fence := fenceOf(ctx)
	err = p.ask(ctx, func(ctx context.Context, db *pgxpool.Pool) error {
		return db.QueryRow(ctx, begin+deleteRecord, lock, fence, key.hash(), sealed).Scan(&deleted)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrLockLost
	}
	if deleted > 0 {
		p.changed(key)
	}
	return deleted, err
}

// Take returns the record under key and deletes it. Of many who take it at the
// same time, in any process, one gets it, and the others get ErrNotFound. Done
// with a lock that is another's by now, it is ErrLockLost.
func (p *Postgres) Take(ctx context.Context, key Key) (Record, error) {
	for {
		r, sealed, err := p.get(ctx, key)
		deleted := 0
		if err == nil {
			deleted, err = p.delete(ctx, key, sealed)
		}
		switch {
		case err == nil && deleted == 0: // taken or replaced meanwhile
			continue
		case err == nil && r.expired():
			return Record{}, ErrNotFound
		case err != nil:
			return Record{}, explain("taking", key.Kind, err)
		}
		return r, nil
	}
}

// row is a record as it is kept.
type row struct {
	Hash   string
	Record []byte
}

// List returns all records of a kind, in no order. Damaged ones are set aside
// and left out. A record that no key opens is an error.
func (p *Postgres) List(ctx context.Context, kind Kind) ([]Record, error) {
	var rows []row
	err := p.askWithin(ctx, p.bound+busyTime+largeTime, func(ctx context.Context, db *pgxpool.Pool) error {
		found, err := db.Query(ctx, "SELECT hash, record FROM mcpo_records WHERE kind = $1", string(kind))
		if err == nil {
			rows, err = pgx.CollectRows(found, pgx.RowToStructByPos[row])
		}
		return err
	})
	if err != nil {
		return nil, explain("listing", kind, err)
	}
	var records []Record
	for _, row := range rows {
		r, err := p.open(ctx, row.Hash, kind, row.Record)
		switch {
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt):
		case err != nil:
			return nil, explain("reading", kind, err)
		case !r.expired():
			records = append(records, r)
		}
	}
	return records, nil
}

// Count is how many records of a kind there are, among them those that expired
// and were not swept yet.
func (p *Postgres) Count(ctx context.Context, kind Kind) (n int, err error) {
	err = p.ask(ctx, func(ctx context.Context, db *pgxpool.Pool) error {
		return db.QueryRow(ctx, "SELECT count(*) FROM mcpo_records WHERE kind = $1", string(kind)).Scan(&n)
	})
	return n, explain("counting every", kind, err)
}

// Sweep deletes the records that expired, by the clock of the database, and
// returns how many those were. It also forgets locks that nobody had for a day.
func (p *Postgres) Sweep(ctx context.Context) (swept int, err error) {
	err = p.ask(ctx, func(ctx context.Context, db *pgxpool.Pool) error {
		tag, err := db.Exec(ctx, "DELETE FROM mcpo_records WHERE expires <= now()")
		swept = int(tag.RowsAffected())
		return err
	})
	if err == nil {
		err = p.ask(ctx, func(ctx context.Context, db *pgxpool.Pool) error {
			_, err := db.Exec(ctx, "DELETE FROM mcpo_locks WHERE until < now() - interval '1 day'")
			return err
		})
	}
	if err != nil {
		err = fmt.Errorf("sweeping the records: %w", err)
	}
	return swept, err
}
