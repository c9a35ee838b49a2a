//go:build unix

package store_test

import (
	"bytes"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mcpo/internal/store"
)

// wantClosed checks that nobody but the owner has any right on what is in dir,
// dir included.
func wantClosed(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestModes makes a store while files are open to all unless one takes care.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	before := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(before) })
	s := open(t, dir)
	put(t, s, grant("notes", "ada"), "token")
	_, unlock, err := s.Lock(t.Context(), grant("notes", "ada"))
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	wantClosed(t, dir)
}

func TestOpenFoldersAreClosed(t *testing.T) {
	dir := t.TempDir()
	put(t, open(t, dir), grant("notes", "ada"), "token")
	for _, name := range []string{".", "tokens", "registrations", "logins", "tickets", "locks", "key"} {
		chmod(t, filepath.Join(dir, name), 0o777)
	}
	wantValue(t, open(t, dir), grant("notes", "ada"), "token")
	wantClosed(t, dir)
}

// TestFolderOfOthers keeps a store in a folder that is used for more: it keeps
// its mode, and there is a warning if others may write in it.
func TestFolderOfOthers(t *testing.T) {
	for mode, warnings := range map[fs.FileMode]int{0o755: 0, 0o777: 1} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "config.json"), "{}")
		chmod(t, dir, mode)
		var lines bytes.Buffer
		if _, err := store.Open(store.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&lines, nil))}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("the mode %v became %v, %v", mode, info.Mode(), err)
		}
		if got := strings.Count(lines.String(), "level=WARN"); got != warnings {
			t.Errorf("with the mode %v there are %d warnings, want %d:\n%s", mode, got, warnings, &lines)
		}
	}
}

// TestFilesAreReplaced holds that no file of a record is written in its place:
// who has the old one open reads it to its end, and so does who comes after a
// write that was cut off.
func TestFilesAreReplaced(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	path := fileOf(t, s, dir, grant("notes", "ada"), "one")
	want := readFile(t, path)
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	put(t, s, grant("notes", "ada"), "two")
	if got, err := io.ReadAll(old); err != nil || string(got) != want {
		t.Errorf("the old file holds %q, %v; want %q", got, err, want)
	}
}

// TestNotWritable puts files where folders are needed: permissions would not
// stop the superuser.
func TestNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "")
	wantOpenError(t, file, nil, "cannot be written", file)
	wantOpenError(t, filepath.Join(file, "folder"), nil, "cannot be written", file)
	wantOpenError(t, "", nil, "cannot be written")

	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "tokens"), "")
	wantOpenError(t, dir, nil, "cannot be written", filepath.Join(dir, "tokens"))
}

// TestWriteFails has the folder go away under a store that is open.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, grant("notes", "ada"), "token")
	if err := os.RemoveAll(filepath.Join(dir, "tokens")); err != nil {
		t.Fatal(err)
	}
	wantError(t, s, grant("notes", "ada"), store.ErrNotFound)
	writeFile(t, filepath.Join(dir, "tokens"), "")
	if err := s.Put(t.Context(), store.Record{Key: grant("notes", "ada")}); err == nil {
		t.Error("Put: no error")
	}
	if _, err := s.Get(t.Context(), grant("notes", "ada")); err == nil {
		t.Error("Get: no error")
	}
}
