package store

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// tellPause is how long after a failure the others are tried to be told again.
	tellPause = time.Second
	// manyKeys are told in one word, that there may be any number.
	manyKeys = 1000
)

// outbox is what this replica has changed and the others were not told yet. That is
// not done with the change: a commit that notifies waits for all others that do, and
// so the disk would be waited for by one after the other.
type outbox struct {
	mu   sync.Mutex
	keys map[Key]bool  // the zero key stands for all
	some chan struct{} // holds a token while there are keys
}

func newOutbox() *outbox { return &outbox{keys: map[Key]bool{}, some: make(chan struct{}, 1)} }

// add has the others told of a change soon.
func (o *outbox) add(key Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.keys) >= manyKeys {
		o.keys, key = map[Key]bool{}, Key{}
	}
	o.keys[key] = true
	select {
	case o.some <- struct{}{}:
	default:
	}
}

func (o *outbox) take() map[Key]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	keys := o.keys
	o.keys = map[Key]bool{}
	return keys
}

// changed has the others told of a change, if it is one that they want to know of.
func (p *Postgres) changed(key Key) {
	if key.Kind == Grants || key.Kind == Catalogues {
		p.outbox.add(key)
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
		case <-p.outbox.some:
		}
		if p.tellNow() == nil {
			continue
		}
		p.outbox.add(Key{})
		pause.Reset(tellPause)
		select {
		case <-p.ctx.Done():
		case <-pause.C:
		}
	}
}

// tellNow tells the others what they were not told yet.
func (p *Postgres) tellNow() error {
	keys := p.outbox.take()
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
