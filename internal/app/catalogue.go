package app

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"mcpo/internal/config"
	"mcpo/internal/oauth"
	"mcpo/internal/store"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

// catalogue keeps what is known of a server's tools over a restart, so that
// Open WebUI, which reads them once for everybody, still finds them before the
// first caller has come back.
type catalogue struct {
	server config.Server
	store  oauth.Store
	beside func(func()) // runs what goes on beside the serving
	failed func(error)

	mu      sync.Mutex
	pending *upstream.ToolList // the newest that was not kept yet
	busy    bool               // somebody is keeping
}

func (c *catalogue) key() store.Key { return store.Key{Kind: store.Catalogues, Server: c.server.Name} }

// keptTools is what is kept. Another server may come under the same name: its
// tools are not these.
type keptTools struct {
	URL   string            `json:"url"`
	Tools []json.RawMessage `json:"tools"`
}

// learned takes a newer catalogue, to be kept by and by.
func (c *catalogue) learned(l *upstream.ToolList) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = l
	if !c.busy {
		c.busy = true
		c.beside(c.keep)
	}
}

// next gives what is still to be kept, or ends the keeping.
func (c *catalogue) next() *upstream.ToolList {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.pending
	c.pending, c.busy = nil, l != nil
	return l
}

// keep writes what is learned until nothing is left.
func (c *catalogue) keep() {
	for l := c.next(); l != nil; l = c.next() {
		if err := c.write(context.Background(), l); err != nil {
			c.failed(err)
		}
	}
}

// read gives the tools that were kept; none when there are none.
func (c *catalogue) read(ctx context.Context) ([]wire.Tool, error) {
	record, err := c.store.Get(ctx, c.key())
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kept keptTools
	if err := json.Unmarshal(record.Value, &kept); err != nil {
		return nil, err
	}
	if kept.URL != c.server.URL {
		return nil, nil
	}
	return wire.ParseTools(kept.Tools), nil
}

// write keeps a catalogue, and what another replica has learned meanwhile.
func (c *catalogue) write(ctx context.Context, l *upstream.ToolList) error {
	ctx, unlock, err := c.store.Lock(ctx, c.key())
	if err != nil {
		return err
	}
	defer unlock()
	others, err := c.read(ctx)
	if err != nil {
		return err
	}
	kept := keptTools{URL: c.server.URL}
	for _, t := range upstream.Join(l.Tools, others) {
		kept.Tools = append(kept.Tools, t.Raw)
	}
	value, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return c.store.Put(ctx, store.Record{Key: c.key(), Value: value})
}
