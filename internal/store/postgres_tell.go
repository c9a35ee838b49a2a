package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// tellPause is how long after a failure the others are tried to be told again.
	tellPause = time.Second
	// manyKeys are told in one word, that there may be any number.
	manyKeys = 1000
)

// changed has the others told of a change soon, if it is one that they want to know
// of. That is not done with the change: a commit that notifies waits for all others
// that do, and so the disk would be waited for by one after the other.
func (p *Postgres) changed(key Key) {
	if key.Kind == Grants || key.Kind == Catalogues {
		p.outbox.Add(key)
	}
}

// tellOthers tells the others until the store is closed, and a last time then.
func (p *Postgres) tellOthers() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-p.ctx.Done():
			_ = p.tellNow() // who is not told sees it at the next look
			return
		case <-p.outbox.Some():
		}
		if p.tellNow() == nil {
			continue
		}
		p.outbox.Add(Key{})
		pause.Reset(tellPause)
		select {
		case <-p.ctx.Done():
		case <-pause.C:
		}
	}
}

// tellNow tells the others what they were not told yet.
func (p *Postgres) tellNow() error {
	keys := p.outbox.Take()
	if len(keys) == 0 {
		return nil
	}
	notes := make([]string, 0, len(keys))
	for key := range keys {
		note, err := p.noteOf(key)
		if err != nil {
			return err
		}
		notes = append(notes, note)
	}
	return p.askWithin(context.Background(), p.bound, func(ctx context.Context, db *pgxpool.Pool) error {
		_, err := db.Exec(ctx, "SELECT pg_notify('mcpo', note) FROM unnest($1::text[]) AS note", notes)
		return err
	})
}
