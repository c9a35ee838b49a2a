package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// awayStore is a store in a database that can be gone.
type awayStore struct {
	oauth.Store
	gone atomic.Bool
}

func (s *awayStore) err() error {
	if s.gone.Load() {
		return fmt.Errorf("%w: dial tcp 192.0.2.1:5432: connection refused", store.ErrUnavailable)
	}
	return nil
}

// Get implements oauth.Store.
func (s *awayStore) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if err := s.err(); err != nil {
		return store.Record{}, err
	}
	return s.Store.Get(ctx, key)
}

// Put implements oauth.Store.
func (s *awayStore) Put(ctx context.Context, r store.Record) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.Put(ctx, r)
}

// Lock implements oauth.Store.
func (s *awayStore) Lock(ctx context.Context, key store.Key) (context.Context, func(), error) {
	if err := s.err(); err != nil {
		return nil, nil, err
	}
	return s.Store.Lock(ctx, key)
}

// TestDatabaseAway: whoever has a token goes on, all else is told to come back,
// and nobody is told where the database is.
func TestDatabaseAway(t *testing.T) {
	kept := &awayStore{Store: store.NewMemory()}
	kept.gone.Store(true)
	var reached atomic.Bool
	d := openDoor(t, doorSetup{store: kept, outside: oauthtest.Options{},
		Options: Options{Store: func() *StoreHealth { return &StoreHealth{Err: kept.err(), Reached: reached.Load()} }}})
	wantAway := func(method, path string) {
		t.Helper()
		r := d.do(method, path, "{}")
		r.want(t, path, http.StatusServiceUnavailable, "Nothing is lost")
		if r.header.Get("Retry-After") == "" || strings.Contains(r.body, "192.0.2.1") {
			t.Errorf("%s: %v %s", path, r.header, r.body)
		}
	}
	wantReady := func(status int, text string) {
		t.Helper()
		r := d.do("GET", "/readyz", "")
		r.want(t, "readyz", status, text)
		if strings.Contains(r.body, "192.0.2.1") {
			t.Errorf("readyz tells where the database is: %s", r.body)
		}
	}
	<-d.server.Tried()
	wantReady(http.StatusServiceUnavailable, `"store":{"state":"unavailable"`)
	wantAway("POST", "/notes/whoami")
	wantAway("GET", "/notes/login")
	wantAway("GET", "/oauth/notes/status")

	kept.gone.Store(false)
	reached.Store(true)
	wantReady(http.StatusOK, `"store":{"state":"ok"}`)
	for d.do("POST", "/notes/whoami", "{}").status != http.StatusUnauthorized { // the calls ask for another attempt
		if t.Context().Err() != nil {
			t.Fatal("the server is never asked again")
		}
	}
	d.login("notes")
	d.do("POST", "/notes/whoami", "{}").want(t, "whoami", http.StatusOK, "alice")

	kept.gone.Store(true)
	d.do("POST", "/notes/whoami", "{}").want(t, "whoami while the database is away", http.StatusOK, "alice")
	wantReady(http.StatusOK, `"store":{"state":"unavailable"`)
	wantAway("POST", "/connections/notes/disconnect")
}
