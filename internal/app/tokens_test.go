package app

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

// keep puts a grant into the storage folder of a configuration.
func keep(t *testing.T, o Options, server string, who caller.ID, members map[string]any) {
	t.Helper()
	files, err := store.Open(store.Options{Dir: filepath.Join(filepath.Dir(o.ConfigPath), "store"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	members["access_token"] = "top-secret-token"
	value, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	if err := files.Put(t.Context(), store.Record{Key: store.Key{Kind: store.Grants, Server: server, Caller: who}, Value: value}); err != nil {
		t.Fatal(err)
	}
}

func TestTokensTellStates(t *testing.T) {
	const url = "https://lab.example/mcp"
	o := protectedBy(t, url, "")
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	keep(t, o, "lab", caller.Local(), map[string]any{"server": url, "issuer": "https://as.example", "expiry": soon, "scopes": []string{"read", "wr\x1b[31mite"}})
	keep(t, o, "lab", caller.User("1"), map[string]any{"server": url, "issuer": "https://as.example", "expiry": past, "refresh_token": "secret-too"})
	keep(t, o, "lab", caller.User("2"), map[string]any{"server": url, "issuer": "https://as.example", "expiry": past})
	keep(t, o, "lab", caller.User("3"), map[string]any{"server": "https://old.example/mcp", "issuer": "https://as.example"})
	keep(t, o, "gone", caller.Shared(), map[string]any{"server": url})
	keep(t, o, "plain", caller.Shared(), map[string]any{"server": url})
	table := tokens(t, o)
	lines := strings.Split(table, "\n")
	for i, want := range [][]string{
		{"SERVER", "CALLER", "STATE", "ACCESS TOKEN UNTIL", "SCOPES", "ISSUER"},
		{"gone", "shared", "valid", "not told", "-"},
		{"lab", "local", "valid", soon.Local().Format("2006-01-02 15:04"), "read wr [31mite", "https://as.example"},
		{"lab", "user:1", "renewable", past.Local().Format("2006-01-02 15:04")},
		{"lab", "user:2", "expired"},
		{"lab", "user:3", "valid", "not told"},
		{"plain", "shared"},
		{"Not in use: the login of shared at gone; the configuration has no such server."},
		{"Not in use: the login of user:3 at lab; it is for https://old.example/mcp, and the server's url is another."},
		{"Not in use: the login of shared at plain; the server has no oauth block."},
	} {
		for _, word := range want {
			if i >= len(lines) || !strings.Contains(lines[i], word) {
				t.Fatalf("line %d has no %q:\n%s", i+1, word, table)
			}
		}
	}
	if strings.Contains(table, "secret") || strings.Contains(table, "\x1b") {
		t.Errorf("the table has what is not to be shown:\n%s", table)
	}
}

func TestLogoutNamesOthers(t *testing.T) {
	o := protectedBy(t, "https://lab.example/mcp", "")
	keep(t, o, "lab", caller.User("1"), map[string]any{"server": "https://lab.example/mcp"})
	var b bytes.Buffer
	err := Logout(t.Context(), o, "lab", &b)
	if want := "Not logged in at lab.\nLogged in there: user:1. Each of them disconnects at http://localhost:8000/connections, or you do it for one with --user ID.\n"; err != nil || b.String() != want {
		t.Errorf("Logout says %q, %v", b.String(), err)
	}
}

func TestTokensWithTheWrongKey(t *testing.T) {
	o := protectedBy(t, "https://lab.example/mcp", "")
	keep(t, o, "lab", caller.Local(), map[string]any{"server": "https://lab.example/mcp"})
	folder := filepath.Join(filepath.Dir(o.ConfigPath), "store")
	if err := os.Rename(filepath.Join(folder, "key"), filepath.Join(folder, "old-key")); err != nil {
		t.Fatal(err)
	}
	exits(t, Tokens(t.Context(), o, "", io.Discard), 1, folder)
}
