package store_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

const (
	firstSecret  = "the first secret, of 32 letters."
	secondSecret = "another secret, also 32 letters."
)

// grant names the record of a caller's grant for a server.
func grant(server, who string) store.Key {
	return store.Key{Kind: store.Grants, Server: server, Caller: caller.FromStore(who)}
}

func put(t *testing.T, s *store.Files, key store.Key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), store.Record{Key: key, Value: []byte(value)}); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func wantValue(t *testing.T, s *store.Files, key store.Key, want string) {
	t.Helper()
	if r, err := s.Get(t.Context(), key); err != nil || string(r.Value) != want {
		t.Errorf("Get %v = %q, %v; want %q", key, r.Value, err, want)
	}
}

func wantError(t *testing.T, s *store.Files, key store.Key, want error) {
	t.Helper()
	if r, err := s.Get(t.Context(), key); !errors.Is(err, want) {
		t.Errorf("Get %v = %q, %v; want the error %q", key, r.Value, err, want)
	}
}

// files lists what lies in the folders of records, by paths from dir.
func files(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.Contains(name, "/") && !strings.HasPrefix(name, "locks/") {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// fileOf puts a record and returns the file that this made.
func fileOf(t *testing.T, s *store.Files, dir string, key store.Key, value string) string {
	t.Helper()
	before := files(t, dir)
	put(t, s, key, value)
	for _, name := range files(t, dir) {
		if !strings.Contains(strings.Join(before, "\n"), name) {
			return filepath.Join(dir, name)
		}
	}
	t.Fatal("Put made no file")
	return ""
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsOutliveTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder [with *odd*? marks]")
	put(t, open(t, dir), grant("notes", "ada"), "token")
	s := open(t, dir+"/.")
	wantValue(t, s, grant("notes", "ada"), "token")
	if n, err := s.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("Sweep = %d, %v", n, err)
	}
	wantValue(t, s, grant("notes", "ada"), "token")
}

func TestNothingSecretIsInTheFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, firstSecret)
	put(t, s, grant("notes", "ada"), "a very secret token")
	for _, name := range files(t, dir) {
		content := readFile(t, filepath.Join(dir, name))
		if strings.Contains(content, "secret") {
			t.Errorf("%s holds a secret:\n%s", name, content)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made though one was given: %v", err)
	}
}

// TestDamage damages the file of ada's grant in one way each: ada is told once
// and begins anew, and bob notices nothing.
func TestDamage(t *testing.T) {
	replace := func(old, new string) func(string, string) string {
		return func(file, _ string) string { return strings.Replace(file, old, new, 1) }
	}
	damages := map[string]func(file, bobs string) string{
		"empty":                  func(string, string) string { return "" },
		"cut off":                func(file, _ string) string { return file[:len(file)/2] },
		"no record":              func(string, string) string { return `{"access_token":"x"}` },
		"null":                   func(string, string) string { return "null" },
		"not JSON":               func(string, string) string { return "\x00\x01\x02" },
		"not base64":             replace(`"sealed":"`, `"sealed":"!`),
		"no seal":                func(file, _ string) string { return file[:strings.Index(file, `,"sealed"`)] + "}" },
		"another's":              func(_, bobs string) string { return bobs },
		"another's seal":         func(file, bobs string) string { return file[:len(file)-60] + bobs[len(bobs)-60:] },
		"another's, renamed":     func(_, bobs string) string { return strings.Replace(bobs, `"bob"`, `"ada"`, 1) },
		"another caller":         replace(`"ada"`, `"Ada"`),
		"another server":         replace(`"notes"`, `"mail"`),
		"another kind":           replace(`"grant"`, `"login"`),
		"another name":           replace(`"sealed"`, `"name":"x","sealed"`),
		"a longer life":          replace(`"expires":"2`, `"expires":"3`),
		"no end of life":         func(file, _ string) string { return strings.Replace(file, `"expires"`, `"expired"`, 1) },
		"a part in another case": replace(`"caller"`, `"name":"ada","Caller"`),
		"an older version":       replace(`"version":1`, `"version":0`),
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			var lines bytes.Buffer
			dir, ada, bob := t.TempDir(), grant("notes", "ada"), grant("notes", "bob")
			s, err := store.Open(store.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&lines, nil))})
			if err != nil {
				t.Fatal(err)
			}
			path := fileOf(t, s, dir, ada, "ada's token")
			bobs := readFile(t, fileOf(t, s, dir, bob, "bob's token"))
			if err := s.Put(t.Context(), store.Record{Key: ada, Value: []byte("ada's token"), Expires: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			damaged := damage(readFile(t, path), bobs)
			if damaged == readFile(t, path) {
				t.Fatal("the damage changes nothing")
			}
			writeFile(t, path, damaged)

			open(t, dir) // it does not keep mcpo from starting
			wantError(t, s, ada, store.ErrCorrupt)
			wantError(t, s, ada, store.ErrNotFound)
			wantValue(t, s, bob, "bob's token")
			if n := strings.Count(lines.String(), "\n"); n != 1 {
				t.Errorf("%d lines were logged, want 1:\n%s", n, &lines)
			}
			if strings.Contains(lines.String(), "token\"") {
				t.Errorf("the log holds a secret:\n%s", &lines)
			}
			aside, err := filepath.Glob(path + ".corrupt-*")
			if err != nil || len(aside) != 1 || readFile(t, aside[0]) != damaged {
				t.Errorf("set aside: %q, %v", aside, err)
			}
			put(t, s, ada, "a new token")
			wantValue(t, s, ada, "a new token")
		})
	}
}

// TestDamageIsFoundByAll checks the other ways to come upon a damaged record.
func TestDamageIsFoundByAll(t *testing.T) {
	ways := map[string]func(*testing.T, *store.Files){
		"Take": func(t *testing.T, s *store.Files) {
			if _, err := s.Take(t.Context(), grant("notes", "ada")); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("Take: %v, want ErrCorrupt", err)
			}
		},
		"List": func(t *testing.T, s *store.Files) {
			if found, err := s.List(t.Context(), store.Grants); err != nil || len(found) != 1 {
				t.Errorf("List = %v, %v; want bob's alone", found, err)
			}
		},
		"Sweep": func(t *testing.T, s *store.Files) {
			if n, err := s.Sweep(t.Context()); err != nil || n != 0 {
				t.Errorf("Sweep = %d, %v", n, err)
			}
		},
	}
	for name, find := range ways {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			path := fileOf(t, s, dir, grant("notes", "ada"), "token")
			put(t, s, grant("notes", "bob"), "bob's token")
			writeFile(t, path, "damaged")
			find(t, s)
			if aside, err := filepath.Glob(path + ".corrupt-*"); err != nil || len(aside) != 1 {
				t.Errorf("set aside: %q, %v", aside, err)
			}
			wantError(t, s, grant("notes", "ada"), store.ErrNotFound)
			wantValue(t, s, grant("notes", "bob"), "bob's token")
		})
	}
}

// TestForeignFiles puts files of somebody else's into the folders.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	record := fileOf(t, s, dir, grant("notes", "ada"), "token")
	foreign := []string{
		filepath.Join(dir, "config.json"), filepath.Join(dir, "tokens", "notes_tokens.json"), filepath.Join(dir, "logins", "README"),
		filepath.Join(filepath.Dir(record), "short.json"), record + ".corrupt-x", record + "~",
	}
	for _, path := range foreign {
		writeFile(t, path, "not ours")
	}
	open(t, dir)
	if found, err := s.List(t.Context(), store.Grants); err != nil || len(found) != 1 {
		t.Errorf("List = %v, %v; want one record", found, err)
	}
	if n, err := s.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("Sweep = %d, %v", n, err)
	}
	for _, path := range foreign {
		if got := readFile(t, path); got != "not ours" {
			t.Errorf("%s is now %q", path, got)
		}
	}
}

// TestLaterVersion reads a record of a format to come: it is not damaged.
func TestLaterVersion(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	path := fileOf(t, s, dir, grant("notes", "ada"), "token")
	later := strings.Replace(readFile(t, path), `"version":1`, `"version":2`, 1)
	writeFile(t, path, later)
	if _, err := s.Get(t.Context(), grant("notes", "ada")); err == nil || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v, want an error about the version", err)
	}
	if _, err := store.Open(store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "later mcpo") {
		t.Errorf("Open: %v, want an error about the version", err)
	}
	if got := readFile(t, path); got != later {
		t.Errorf("the record was changed to %q", got)
	}
}

// TestInterruptedWrites finds what a process leaves that is killed as it writes.
func TestInterruptedWrites(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	path := fileOf(t, s, dir, grant("notes", "ada"), "token")
	writeFile(t, path+".tmp", "half a rec")
	gone := strings.Replace(path, filepath.Base(path)[:4], "0000", 1) + ".tmp"
	writeFile(t, gone, "")
	if found, err := s.List(t.Context(), store.Grants); err != nil || len(found) != 1 {
		t.Errorf("List = %v, %v; want one record", found, err)
	}
	put(t, s, grant("notes", "ada"), "another") // in spite of the first
	wantValue(t, s, grant("notes", "ada"), "another")
	writeFile(t, path+".tmp", "half a rec")
	if n, err := s.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("Sweep = %d, %v", n, err)
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("after the sweep there are %q", got)
	}
	wantValue(t, s, grant("notes", "ada"), "another")
}

// TestSweepDeletesUnusedLocks counts files: there is a lock for each caller.
func TestSweepDeletesUnusedLocks(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, held, err := s.Lock(t.Context(), grant("notes", "ada"))
	if err != nil {
		t.Fatal(err)
	}
	_, free, err := s.Lock(t.Context(), grant("notes", "bob"))
	if err != nil {
		t.Fatal(err)
	}
	free()
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if locks, err := os.ReadDir(filepath.Join(dir, "locks")); err != nil || len(locks) != 1 {
		t.Errorf("the locks are %v, %v; want the one that is held", locks, err)
	}
	held()
}
