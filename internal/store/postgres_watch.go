package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"mcpo/internal/caller"
)

const (
	// listenPause is the time between two attempts to listen, and after which a
	// connection on which nothing comes is asked whether it is still one.
	listenPause = time.Second
	quietPause  = 10 * time.Second
	// longestNote is the length of a notification's text, in bytes: fewer than
	// 8000, by PostgreSQL's NOTIFY.
	longestNote = 7900
	// noteBound is what the seal of a note covers beside it.
	noteBound = "mcpo note 1"
)

// notes are what replicas tell each other of grants and catalogues.
type notes struct {
	config   *pgx.ConnConfig
	mu       sync.Mutex
	watchers map[*func(Key)]struct{}
	listens  bool
}

func newNotes(config *pgx.ConnConfig) *notes {
	return &notes{config: config, watchers: map[*func(Key)]struct{}{}}
}

// note is one notification before it is sealed: who can listen on the database
// is not to learn who logs in where. Without a kind it means all.
type note struct {
	By     string `json:"by"` // a process, which does not listen to itself
	Kind   Kind   `json:"kind,omitempty"`
	Server string `json:"server,omitempty"`
	Caller string `json:"caller,omitempty"`
	Name   string `json:"name,omitempty"`
}

// noteOf is what is told of a change of the record under key, or of all under the
// zero key.
func (p *Postgres) noteOf(key Key) (string, error) {
	n := note{By: p.name, Kind: key.Kind, Server: key.Server, Caller: key.Caller.String(), Name: key.Name}
	sealed, err := p.ring.sealNote(n)
	if err == nil && len(sealed) > longestNote {
		sealed, err = p.ring.sealNote(note{By: p.name})
	}
	if err != nil {
		return "", fmt.Errorf("sealing a note to other replicas: %w", err)
	}
	return sealed, nil
}

func (ring keyring) sealNote(n note) (string, error) {
	plain, err := json.Marshal(n)
	if err != nil {
		return "", err
	}
	return ring[0].id + "." + base64.RawStdEncoding.EncodeToString(ring[0].aead.Seal(nil, nil, plain, []byte(noteBound))), nil
}

// openNote opens what another replica sealed. Whoever may write to the database
// may send anything, which is then none.
func (ring keyring) openNote(text string) (n note, ok bool) {
	id, encoded, _ := strings.Cut(text, ".")
	key, err := ring.find(envelope{SealKey: id})
	if err != nil {
		return note{}, false
	}
	sealed, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return note{}, false
	}
	plain, err := key.aead.Open(nil, nil, sealed, []byte(noteBound))
	return n, err == nil && json.Unmarshal(plain, &n) == nil
}

// Watch has changed called with the key of each grant and catalogue that another
// replica put or deleted, until stop is called. The zero Key says that any may have
// changed: when listening begins, and each time that it begins again after the
// connection broke. changed must not block. Through a pool of transactions
// nobody hears anything.
func (p *Postgres) Watch(changed func(Key)) (stop func()) {
	p.notes.mu.Lock()
	defer p.notes.mu.Unlock()
	p.notes.watchers[&changed] = struct{}{}
	if !p.notes.listens && p.ctx.Err() == nil {
		p.notes.listens = true
		p.tasks.Go(p.listen)
	}
	return func() {
		p.notes.mu.Lock()
		defer p.notes.mu.Unlock()
		delete(p.notes.watchers, &changed)
	}
}

// tell calls all who watch.
func (n *notes) tell(key Key) {
	n.mu.Lock()
	watchers := slices.Collect(maps.Keys(n.watchers))
	n.mu.Unlock()
	for _, watcher := range watchers {
		(*watcher)(key)
	}
}

// listen listens until the store is closed, on one connection after the other.
func (p *Postgres) listen() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		}
		if err := p.listenOnce(); p.ctx.Err() == nil {
			p.log.Debug("listening to other replicas ended; it begins again", "error", err)
		}
		timer.Reset(listenPause)
	}
}

// listenOnce listens until the connection breaks.
func (p *Postgres) listenOnce() error {
	ctx, cancel := context.WithTimeout(p.ctx, p.bound)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, p.notes.config.Copy())
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), askPatience)
		defer cancel()
		_ = conn.Close(ctx) // it is given up, however it is closed
	}()
	if _, err := conn.Exec(ctx, "LISTEN mcpo"); err != nil {
		return err
	}
	p.notes.tell(Key{})
	for {
		if err := p.hear(conn); err != nil {
			return err
		}
	}
}

// hear waits for one note. When none comes for a while it makes sure that one
// could.
func (p *Postgres) hear(conn *pgx.Conn) error {
	quiet, cancel := context.WithTimeout(p.ctx, quietPause)
	defer cancel()
	heard, err := conn.WaitForNotification(quiet)
	if errors.Is(err, context.DeadlineExceeded) {
		ctx, cancel := context.WithTimeout(p.ctx, p.bound)
		defer cancel()
		return conn.Ping(ctx)
	}
	if err != nil {
		return err
	}
	n, ok := p.ring.openNote(heard.Payload)
	if !ok || n.By == p.name {
		return nil
	}
	p.notes.tell(Key{Kind: n.Kind, Server: n.Server, Caller: caller.FromStore(n.Caller), Name: n.Name})
	return nil
}
