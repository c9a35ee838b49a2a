package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

const (
	labURL    = "https://lab.example/mcp"
	sharedKey = "a key for tests, 32 letters long"
)

// inBoth is a configuration with a folder and a database, of which one is in use.
func inBoth(t *testing.T, dsn, kind string) Options {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "mcpo.json")
	write(t, path, fmt.Sprintf(`{"storage": {"type": %q, "path": %q, "dsn": %q, "encryption_key": %q}, "mcpServers": {
		"lab": {"type": "streamable-http", "url": %q, "oauth": {"server_url": "auto", "callback_port": %d}}}}`,
		kind, filepath.Join(dir, "store"), dsn, sharedKey, labURL, freePort(t)))
	return Options{ConfigPath: path, Port: 8000, ServerType: "stdio", ShutdownTimeout: hurry, Log: slog.New(slog.DiscardHandler)}
}

// within opens a store of a configuration and closes it when do is done.
func within(t *testing.T, o Options, kind string, do func(kept *opened)) {
	t.Helper()
	cfg, err := configuration(o)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := reach(o, cfg.Storage, kind)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.close()
	do(kept)
}

func grantOf(who string, obtained time.Time) store.Record {
	value, _ := json.Marshal(map[string]any{"server": labURL, "issuer": "https://as.example", "access_token": "top-secret", "obtained": obtained})
	return store.Record{Key: store.Key{Kind: store.Grants, Server: "lab", Caller: caller.User(who)}, Value: value}
}

func putAll(t *testing.T, kept *opened, records ...store.Record) {
	t.Helper()
	for _, r := range records {
		if err := kept.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// wantGrants checks when the tokens of callers were obtained, in a store.
func wantGrants(t *testing.T, o Options, kind string, want ...store.Record) {
	t.Helper()
	within(t, o, kind, func(kept *opened) {
		for _, w := range want {
			if r, err := kept.Get(t.Context(), w.Key); err != nil || !bytes.Equal(r.Value, w.Value) {
				t.Errorf("%s has %s, %v of %s; want %s", kind, r.Value, err, w.Key.Caller, w.Value)
			}
		}
		if all, err := kept.List(t.Context(), store.Grants); err != nil || len(all) != len(want) {
			t.Errorf("%s has %d grants, %v; want %d", kind, len(all), err, len(want))
		}
	})
}

func migrated(t *testing.T, o Options, m Migration, want ...string) {
	t.Helper()
	var said bytes.Buffer
	if err := MigrateStore(t.Context(), o, m, &said); err != nil {
		t.Fatalf("MigrateStore = %v", err)
	}
	for _, word := range want {
		if !strings.Contains(said.String(), word) {
			t.Errorf("it says\n%swithout %q", &said, word)
		}
	}
	if strings.Contains(said.String(), "secret") {
		t.Errorf("it shows a secret:\n%s", &said)
	}
}

func TestMigrateStore(t *testing.T) {
	o := inBoth(t, pgtest.Shared(t).NewDatabase(t), config.FileStorage)
	there := Migration{From: config.FileStorage, To: config.PostgresStorage}
	back := Migration{From: config.PostgresStorage, To: config.FileStorage}
	now := time.Now().Round(0)
	ada, bob, newer := grantOf("ada", now), grantOf("bob", now), grantOf("ada", now.Add(time.Hour))
	within(t, o, config.FileStorage, func(files *opened) {
		putAll(t, files, ada, bob,
			store.Record{Key: store.Key{Kind: store.Registrations, Name: "https://as.example"}, Value: []byte("{}"), Expires: now.Add(time.Hour)},
			store.Record{Key: store.Key{Kind: store.Catalogues, Server: "lab"}, Value: []byte("{}")},
			store.Record{Key: store.Key{Kind: store.Tickets, Name: "link"}})
	})
	migrated(t, o, there, "grants         2 copied\n", "registrations  1 copied\n", "catalogues     1 copied\n", "were not copied", `write "type": "postgres" into`)
	wantGrants(t, o, config.PostgresStorage, ada, bob)
	wantGrants(t, o, config.FileStorage, ada, bob)
	migrated(t, o, there, "grants         0 copied, 2 already there\n", "registrations  0 copied, 1 already there\n")

	within(t, o, config.PostgresStorage, func(kept *opened) {
		putAll(t, kept, newer)
		if left, err := kept.List(t.Context(), store.Tickets); err != nil || len(left) != 0 {
			t.Errorf("%d links were copied, %v", len(left), err)
		}
	})
	migrated(t, o, there, "grants         0 copied, 1 already there, 1 kept as the target has them (--overwrite replaces them)\n")
	wantGrants(t, o, config.PostgresStorage, newer, bob)
	migrated(t, o, back, "grants         1 copied, 1 already there\n")
	wantGrants(t, o, config.FileStorage, newer, bob)

	within(t, o, config.FileStorage, func(files *opened) { putAll(t, files, ada) })
	there.Overwrite = true
	migrated(t, o, there, "grants         1 copied, 1 already there\n")
	wantGrants(t, o, config.PostgresStorage, ada, bob)
}

// TestMigrateStoreRefuses, in a sentence that says what to do.
func TestMigrateStoreRefuses(t *testing.T) {
	there := Migration{From: config.FileStorage, To: config.PostgresStorage}
	back := Migration{From: config.PostgresStorage, To: config.FileStorage}
	away := inBoth(t, "postgres://me:hunter2@/mcpo?host="+t.TempDir(), config.FileStorage)
	within(t, away, config.FileStorage, func(files *opened) { putAll(t, files, grantOf("ada", time.Now())) })
	for _, c := range []struct {
		o    Options
		m    Migration
		want string
	}{
		{protectedBy(t, labURL, ""), there, "the configuration names no database; write into it"},
		{inBoth(t, "postgres://me:hunter2@h/x", config.FileStorage), there, "to copy from; storage.path names it"},
		{away, there, "the database of storage.dsn: the store cannot be reached since"},
		{away, back, "nothing listens at its address; nothing was copied"},
	} {
		var exit *ExitError
		err := MigrateStore(t.Context(), c.o, c.m, &bytes.Buffer{})
		if !errors.As(err, &exit) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestCommandsUseTheDatabase that the configuration names.
func TestCommandsUseTheDatabase(t *testing.T) {
	o := inBoth(t, pgtest.Shared(t).NewDatabase(t), config.PostgresStorage)
	within(t, o, config.PostgresStorage, func(kept *opened) {
		putAll(t, kept, grantOf("ada", time.Now()), grantOf("bob", time.Now()))
	})
	if table := tokens(t, o); !strings.Contains(table, "user:ada") || !strings.Contains(table, "user:bob") {
		t.Errorf("the table is\n%s", table)
	}
	var said bytes.Buffer
	if err := StoreKeys(t.Context(), o, &said); err != nil || !strings.HasPrefix(said.String(), "2 records are sealed with the first key, 0 with another") {
		t.Errorf("StoreKeys = %v\n%s", err, &said)
	}
	said.Reset()
	_ = LogoutUser(t.Context(), o, "", "ada", &said) // nobody is there to revoke tokens
	if table := tokens(t, o); strings.Contains(table, "user:ada") || !strings.Contains(table, "user:bob") {
		t.Errorf("after logging ada out (%s) the table is\n%s", &said, table)
	}
	if err := Logout(t.Context(), o, "lab", &said); err != nil || !strings.Contains(said.String(), "Not logged in at lab.") {
		t.Errorf("Logout = %v\n%s", err, &said)
	}
}
