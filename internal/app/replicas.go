package app

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"mcpo/internal/httpapi"
	"mcpo/internal/store"
	"mcpo/internal/upstream"
)

const (
	// looks is how many changes are looked at side by side: a disconnection is not
	// to wait for all refreshes that were told of before it.
	looks = 8
	// manyKeys that wait are more work one by one than a look at all that is here.
	manyKeys = 10_000
)

// elsewhere is what other replicas have changed in the store and nobody has looked
// at here yet.
//
//	the store tells ──▶ Add, which waits for nothing ──▶ follow ──▶ a look at it
type elsewhere struct{ *store.Changes }

func newElsewhere() *elsewhere { return &elsewhere{store.NewChanges(manyKeys)} }

// follow has each change looked at until ctx ends, and returns when nobody looks
// any more.
func (e *elsewhere) follow(ctx context.Context, look func(context.Context, store.Key)) {
	all := make(chan struct{}, 1) // holds a token while a look at everything is wanted, which takes its time
	var looksAtAll sync.WaitGroup
	defer looksAtAll.Wait()
	defer close(all)
	looksAtAll.Go(func() {
		for range all {
			look(ctx, store.Key{})
		}
	})
	for {
		select {
		case <-e.Some():
		case <-ctx.Done():
			return
		}
		var looking errgroup.Group
		looking.SetLimit(looks)
		for key := range e.Take() {
			if key == (store.Key{}) {
				select {
				case all <- struct{}{}:
				default: // the next one has not begun, and sees this too
				}
				continue
			}
			looking.Go(func() error {
				look(ctx, key)
				return nil
			})
		}
		_ = looking.Wait() // a look has no error: what it misses is seen at the next call
	}
}

// lookElsewhere takes over what another replica has changed, or where the key is
// zero all that others may have.
func (a *app) lookElsewhere(ctx context.Context, key store.Key) {
	for _, s := range *a.members.Load() {
		all := key == store.Key{}
		if s.Logins == nil || s.Server.Name() != key.Server && !all {
			continue
		}
		if s.Logins.Config().MultiUser && (all || key.Kind == store.Catalogues) {
			a.learnElsewhere(ctx, s)
		}
		switch {
		case all:
			s.Server.Retry()
			s.Logins.RecheckAll(ctx)
		case key.Kind == store.Grants:
			s.Logins.Recheck(ctx, key.Caller)
		}
	}
}

// learnElsewhere joins what is known here of a server's tools with what other
// replicas know.
func (a *app) learnElsewhere(ctx context.Context, s httpapi.Served) {
	kept := a.logins.stored.shared()
	if kept == nil || s.Logins.Config().StorageType == "memory" {
		return
	}
	known := a.catalogueOf(s.Server.Config(), kept)
	tools, err := known.read(ctx)
	if err != nil {
		a.opts.Log.Debug("the catalogue of tools cannot be read now", "server", s.Server.Name(), "error", err)
		return
	}
	if here := s.Server.Catalogue(); here != nil && len(upstream.Join(tools, here.Tools)) > len(tools) {
		known.learned(here) // while the store was away
	}
	s.Server.Seed(tools)
}

// sharedStore tells how the store is that replicas share; nil where each has its
// own.
func (a *app) sharedStore() *httpapi.StoreHealth {
	p := a.logins.stored.shared()
	if p == nil {
		return nil
	}
	return &httpapi.StoreHealth{Err: p.Health(), Reached: p.Reached() || a.serving.Load()}
}
