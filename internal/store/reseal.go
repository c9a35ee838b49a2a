package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Seals counts records by the key that they are sealed with.
type Seals struct {
	First  int // with the one that seals now
	Others int // with another that opens: it is still needed
	None   int // with none of the keys
}

func (s *Seals) count(ring keyring, id string, n int) {
	switch _, err := ring.find(envelope{SealKey: id}); {
	case err != nil:
		s.None += n
	case id == ring[0].id:
		s.First += n
	default:
		s.Others += n
	}
}

// Seals counts the records of a folder. Damaged ones are left out.
func (f *Files) Seals(context.Context) (s Seals, err error) {
	err = f.each(func(_ string, e envelope) error {
		s.count(f.ring, e.SealKey, 1)
		return nil
	})
	return s, err
}

// Reseal seals records with the first key that others of the keys sealed, so that
// those can be taken away, and returns how many those were.
func (f *Files) Reseal(ctx context.Context) (sealed int, err error) {
	if len(f.ring) == 1 { // no other key opens anything
		return 0, nil
	}
	err = f.each(func(path string, e envelope) error {
		if e.SealKey == f.ring[0].id {
			return ctx.Err()
		}
		return f.change(ctx, path, func() error {
			r, err := f.read(path)
			switch {
			case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt), errors.Is(err, ErrWrongKey):
				return nil // nothing to seal, or nothing that can be
			case err != nil:
				return err
			}
			file, err := f.ring.seal(r)
			if err != nil {
				return err
			}
			sealed++
			return writeFile(path, file)
		})
	})
	if err != nil {
		err = fmt.Errorf("sealing records anew: %w", err)
	}
	return sealed, err
}

// each gives all records of a folder, as they are sealed.
func (f *Files) each(do func(path string, e envelope) error) error {
	for _, kind := range kinds() {
		records, _, err := paths(f.dir, kind)
		if err != nil {
			return err
		}
		for _, path := range records {
			file, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if e, err := parse(file); err == nil {
				if err := do(path, e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Seals counts the records of the database.
func (p *Postgres) Seals(ctx context.Context) (s Seals, err error) {
	var id string
	var n int
	err = p.ask(ctx, func(ctx context.Context, db *pgxpool.Pool) error {
		s = Seals{}
		rows, err := db.Query(ctx, "SELECT seal_key, count(*) FROM mcpo_records GROUP BY seal_key")
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
			s.count(p.ring, id, n)
			return nil
		})
		return err
	})
	return s, err
}

// resealBatch is how many records are read at once to be sealed anew.
const resealBatch = 100

// Reseal seals records with the first key that others of the keys sealed, so that
// those can be taken away, and returns how many those were.
func (p *Postgres) Reseal(ctx context.Context) (sealed int, err error) {
	if len(p.ring) == 1 { // no other key opens anything
		return 0, nil
	}
	for after := ""; err == nil; {
		var n int
		var last string
		if n, last, err = p.resealSome(ctx, after); last == "" {
			break
		}
		sealed, after = sealed+n, last
	}
	if err != nil {
		err = fmt.Errorf("sealing records anew: %w", err)
	}
	return sealed, err
}

// resealSome does so for records whose hash comes after one, in their order, and
// gives the last of them; "" when there are none.
func (p *Postgres) resealSome(ctx context.Context, after string) (sealed int, last string, err error) {
	var rows []row
	err = p.ask(ctx, func(ctx context.Context, db *pgxpool.Pool) error {
		found, err := db.Query(ctx, "SELECT hash, record FROM mcpo_records WHERE seal_key = ANY($1) AND hash > $2 ORDER BY hash LIMIT $3",
			p.ring.ids()[1:], after, resealBatch)
		if err == nil {
			rows, err = pgx.CollectRows(found, pgx.RowToStructByPos[row])
		}
		return err
	})
	for _, row := range rows {
		r, openErr := p.ring.open(row.Record)
		if openErr != nil {
			continue // whoever asks for it is told
		}
		again, err := p.ring.seal(r)
		if err != nil {
			return sealed, "", err
		}
		err = p.ask(ctx, func(ctx context.Context, db *pgxpool.Pool) error { // unless it has changed
			tag, err := db.Exec(ctx, "UPDATE mcpo_records SET seal_key = $1, record = $2 WHERE hash = $3 AND record = $4", p.ring[0].id, again, row.Hash, row.Record)
			sealed += int(tag.RowsAffected())
			return err
		})
		if err != nil {
			return sealed, "", err
		}
	}
	if err == nil && len(rows) > 0 {
		last = rows[len(rows)-1].Hash
	}
	return sealed, last, err
}
