package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"mcpo/internal/config"
	"mcpo/internal/oauth"
	"mcpo/internal/store"
)

// durable is a store that outlives mcpo.
type durable interface {
	oauth.Store
	Sweep(ctx context.Context) (int, error)
	Reseal(ctx context.Context) (int, error)
	Seals(ctx context.Context) (store.Seals, error)
}

// opened is a durable store, and what it was opened with.
type opened struct {
	durable
	from config.Storage
}

// close gives up what the store holds, if it holds anything.
func (o *opened) close() {
	if o == nil {
		return
	}
	if p, is := o.durable.(*store.Postgres); is {
		p.Close()
	}
}

// stored is the durable store of a running mcpo: opened when a server first wants
// it, and another after a reload with another storage block.
//
//	swap ── at ──▶ now, or next ── turn ──▶ next is now; the old one, to be closed
//	                            ── back ──▶ next is closed
type stored struct {
	opts Options
	open func(Options, config.Storage) (*opened, error)
	// changed is told of grants that other replicas changed, as by
	// [store.Postgres.Watch]; nil for nobody.
	changed func(store.Key)

	// opening is held while one is opened, which may take seconds. Whoever asks
	// for the one in use does not wait for that.
	opening   sync.Mutex
	mu        sync.Mutex
	now, next *opened
}

func newStored(o Options) *stored { return &stored{opts: o, open: openStorage} }

// at gives the store of a storage block.
func (s *stored) at(at config.Storage) (*opened, error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	if there := s.find(at); there != nil {
		return there, nil
	}
	o, err := s.open(s.opts, at)
	if err != nil {
		return nil, err
	}
	if p, is := o.durable.(*store.Postgres); is && s.changed != nil {
		p.Watch(s.changed)
	}
	s.put(o).close()
	return o, nil
}

// find is the open store of a storage block, nil where there is none.
func (s *stored) find(at config.Storage) *opened {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, there := range []*opened{s.now, s.next} {
		if there != nil && sameStorage(there.from, at) {
			return there
		}
	}
	return nil
}

// put puts a store that was opened in its place, and gives the one that was there.
func (s *stored) put(o *opened) (before *opened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		s.now = o
		return nil
	}
	before, s.next = s.next, o
	return before
}

// moves tells whether what servers have stored is elsewhere by a storage block.
func (s *stored) moves(at config.Storage) bool {
	now := s.current()
	return now != nil && !sameStorage(now.from, at)
}

// turn makes the next store the one in use, and returns the one that it replaces:
// nil without a next one. Whoever still uses that closes it.
func (s *stored) turn() (old *opened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		old, s.now, s.next = s.now, s.next, nil
	}
	return old
}

// back gives up a next store that nobody came to use.
func (s *stored) back() { s.put(nil).close() }

// current is the store in use; nil before any server wanted it.
func (s *stored) current() *opened {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// shared is the store in use where replicas share it, and else nil.
func (s *stored) shared() *store.Postgres {
	if now := s.current(); now != nil {
		if p, is := now.durable.(*store.Postgres); is {
			return p
		}
	}
	return nil
}

// close closes what is open.
func (s *stored) close() {
	s.mu.Lock()
	now, next := s.now, s.next
	s.now, s.next = nil, nil
	s.mu.Unlock()
	now.close()
	next.close()
}

// openStorage opens the store of a storage block. The caller closes it.
func openStorage(o Options, at config.Storage) (*opened, error) {
	keys := make([]string, len(at.EncryptionKeys))
	for i, k := range at.EncryptionKeys {
		keys[i] = k.Reveal()
	}
	if at.Type == config.PostgresStorage {
		p, err := store.OpenPostgres(context.Background(), store.PostgresOptions{DSN: at.DSN.Reveal(), Keys: keys, Log: o.Log})
		if err != nil {
			return nil, fmt.Errorf("opening the database of storage.dsn: %w", err)
		}
		return &opened{p, at}, nil
	}
	files, err := store.Open(store.Options{Dir: at.Path, Keys: keys, Log: o.Log})
	if err != nil {
		return nil, fmt.Errorf("opening the storage folder %s: %w", at.Path, err)
	}
	return &opened{files, at}, nil
}

// sameStorage tells whether two blocks lead to the same store. Where its database
// is does not matter to a folder, nor the folder to a database.
func sameStorage(a, b config.Storage) bool {
	inDatabase := a.Type == config.PostgresStorage
	if inDatabase != (b.Type == config.PostgresStorage) || !slices.Equal(a.EncryptionKeys, b.EncryptionKeys) {
		return false
	}
	if inDatabase {
		return a.DSN == b.DSN
	}
	return a.Path == b.Path
}

// sweep removes what has run out, and seals with the first key what others of the
// keys sealed. A database that cannot be reached is no failure of it: that is told
// of elsewhere.
func (s *stored) sweep(ctx context.Context) (gone int, err error) {
	now := s.current()
	if now == nil {
		return 0, nil
	}
	gone, err = now.Sweep(ctx)
	sealed, sealErr := now.Reseal(ctx)
	if sealed > 0 {
		s.opts.Log.Info("sealed records anew, with the first of the encryption keys", "records", sealed)
	}
	if err = errors.Join(err, sealErr); errors.Is(err, store.ErrUnavailable) {
		err = nil
	}
	return gone, err
}
