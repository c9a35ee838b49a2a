package app

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/oauthtest"
	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// TestElsewhere: what is told of often is looked at once, one slow look holds
// nobody up, and where too much is told all is looked at.
func TestElsewhere(t *testing.T) {
	e := newElsewhere()
	key := func(n int) store.Key {
		return store.Key{Kind: store.Grants, Server: "notes", Caller: caller.User(strconv.Itoa(n))}
	}
	for n := range 3 {
		e.Add(key(n))
		e.Add(key(0))
	}
	if keys := e.Take(); len(keys) != 3 {
		t.Errorf("%d keys wait: %v", len(keys), keys)
	}
	for n := range manyKeys + 5 {
		e.Add(key(n))
	}
	if keys := e.Take(); len(keys) > manyKeys || !keys[store.Key{}] {
		t.Errorf("%d keys wait, all: %v", len(keys), keys[store.Key{}])
	}

	e.Add(store.Key{})
	e.Add(key(1))
	ctx, cancel := context.WithCancel(t.Context())
	var all, one sync.WaitGroup
	all.Add(1)
	one.Add(1)
	var following sync.WaitGroup
	following.Go(func() {
		e.follow(ctx, func(_ context.Context, k store.Key) {
			if k == (store.Key{}) {
				all.Wait()
				return
			}
			one.Done()
		})
	})
	one.Wait() // though a look at everything goes on
	all.Done()
	cancel()
	following.Wait()
}

// TestLooksAtEverything: however often everything may have changed, as where the
// connection that listens breaks again and again, one look goes on at a time, and
// one more follows what was told during it.
func TestLooksAtEverything(t *testing.T) {
	e, begun, on := newElsewhere(), make(chan struct{}, 100), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	var at, most atomic.Int32
	following.Go(func() {
		e.follow(ctx, func(_ context.Context, k store.Key) {
			if k != (store.Key{}) {
				begun <- struct{}{}
				return
			}
			most.Store(max(most.Load(), at.Add(1)))
			begun <- struct{}{}
			<-on
			at.Add(-1)
		})
	})
	e.Add(store.Key{})
	<-begun
	for range 3 {
		e.Add(store.Key{})
		e.Add(store.Key{Kind: store.Grants, Server: "notes"})
		<-begun // after what was told before
	}
	on <- struct{}{}
	<-begun
	close(on)
	cancel()
	following.Wait()
	if n := most.Load(); n != 1 {
		t.Errorf("%d looks at everything went on at a time", n)
	}
}

// twins are two mcpos on one database.
func twins(t *testing.T, s *oauthtest.Server) (one, two *running, database *pgtest.Server) {
	database = pgtest.Start(t)
	start := func() *running {
		h := newHousehold(t)
		server := guarded("kept", s.MCP, freePort(t), "")
		write(t, h.path, `{"storage": {"type": "postgres", "encryption_key": "a key of thirty-two letters, yes", "dsn": `+strconv.Quote(database.DSN())+`, "path": `+
			strconv.Quote(filepath.Join(h.dir, "storage"))+`}, "identity": {"webui_secret_key": "`+crowdKey+`"}, "mcpServers": {`+server+`}}`)
		return run(t, Options{ConfigPath: h.path})
	}
	return start(), start(), database
}

// await asks until the answer is right.
func await(t *testing.T, what string, right func() bool) {
	t.Helper()
	for late := time.Now().Add(hurry); !right(); {
		if time.Now().After(late) {
			t.Fatalf("%s: it does not come to that", what)
		}
	}
}

// TestReplicas share logins, and know at once of each other's tools and logouts.
func TestReplicas(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{Tools: ownTool})
	one, two, _ := twins(t, s)
	one.login("alice", "kept")
	if status, body := two.as("alice", http.MethodPost, "/kept/whoami", "{}"); status != http.StatusOK || body != `"alice"` {
		t.Fatalf("alice is answered %d %s by the other", status, body)
	}
	two.login("bob", "kept")
	all := []string{"/add", "/admin", "/login", "/own_alice", "/own_bob", "/whoami"}
	for name, m := range map[string]*running{"one": one, "two": two} {
		await(t, "the catalogue of "+name, func() bool { return slices.Equal(m.shown("kept"), all) })
	}
	if status, body := one.as("alice", http.MethodPost, "/connections/kept/disconnect", ""); status != http.StatusOK {
		t.Fatalf("disconnecting is answered %d %s", status, body)
	}
	await(t, "alice's logout", func() bool {
		status, _ := two.as("alice", http.MethodPost, "/kept/whoami", "{}")
		return status == http.StatusUnauthorized
	})
	if status, body := two.as("bob", http.MethodPost, "/kept/whoami", "{}"); status != http.StatusOK || body != `"bob"` {
		t.Errorf("bob is answered %d %s", status, body)
	}
	two.login("alice", "kept")
	if status, body := one.as("alice", http.MethodPost, "/kept/whoami", "{}"); status != http.StatusOK || body != `"alice"` {
		t.Errorf("after the next login alice is answered %d %s", status, body)
	}
}

// TestReplicasWithoutDatabase: who is here stays, and who comes is told to come
// again; then all is as before.
func TestReplicasWithoutDatabase(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	one, two, database := twins(t, s)
	one.login("alice", "kept")
	database.Stop(t)
	if status, body := one.as("alice", http.MethodPost, "/kept/whoami", "{}"); status != http.StatusOK || body != `"alice"` {
		t.Errorf("alice is answered %d %s", status, body)
	}
	if status, body := two.as("alice", http.MethodPost, "/kept/whoami", "{}"); status != http.StatusServiceUnavailable || !strings.Contains(body, "Nothing is lost") {
		t.Errorf("at the other alice is answered %d %s", status, body)
	}
	await(t, "what /readyz says", func() bool {
		status, body := one.get(http.MethodGet, "/readyz", "")
		return status == http.StatusOK && strings.Contains(body, `"store":{"state":"unavailable"`)
	})
	database.Continue(t)
	await(t, "alice at the other", func() bool {
		status, _ := two.as("alice", http.MethodPost, "/kept/whoami", "{}")
		return status == http.StatusOK
	})
}
