package config

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watched starts watching path. next waits until the file was reported and
// reads text; it needs no clock, for the test's own deadline bounds it. also is
// called at each report.
func watched(t *testing.T, path string, also ...func()) (next func(text string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen := content(path) // what the test changes from here on is a change
	changes, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- watch(ctx, path, seen, func() {
			for _, f := range also {
				f()
			}
			select {
			case changes <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch = %v", err)
		}
	})
	return func(text string) {
		t.Helper()
		for {
			select {
			case <-changes:
			case err := <-ended:
				ended <- nil
				t.Fatalf("Watch ended: %v", err)
			}
			if data, err := os.ReadFile(path); err == nil && string(data) == text {
				return
			}
		}
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

func TestWatchSeesFilesReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	must(t, write(path, "0"))
	next := watched(t, path)

	must(t, write(path, "in place"))
	next("in place")
	must(t, write(path+"~", "renamed over"), os.Rename(path+"~", path))
	next("renamed over")
	must(t, os.Remove(path), write(path, "created again"))
	next("created again")
}

func TestWatchFollowsConfigMaps(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) error {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		return write(filepath.Join(dir, name, "config.json"), text)
	}
	path := filepath.Join(dir, "config.json")
	must(t, version("..1", "one"), os.Symlink("..1", filepath.Join(dir, "..data")), os.Symlink("..data/config.json", path))
	next := watched(t, path)
	for i, name := range []string{"..2", "..3"} {
		old := []string{"..1", "..2"}[i]
		must(t, version(name, name), os.Symlink(name, filepath.Join(dir, "..tmp")),
			os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")), os.RemoveAll(filepath.Join(dir, old)))
		next(name)
	}
}

func TestWatchFollowsFoldersThatAreLinks(t *testing.T) {
	dir := t.TempDir()
	releases, current := filepath.Join(dir, "releases"), filepath.Join(dir, "current")
	path := filepath.Join(current, "config.json")
	must(t, os.MkdirAll(filepath.Join(releases, "1"), 0o700), os.MkdirAll(filepath.Join(releases, "2"), 0o700),
		write(filepath.Join(releases, "1", "config.json"), "1"), write(filepath.Join(releases, "2", "config.json"), "2"),
		os.Symlink(filepath.Join(releases, "1"), current))
	next := watched(t, path)
	must(t, os.Symlink(filepath.Join(releases, "2"), current+"~"), os.Rename(current+"~", current))
	next("2")
	must(t, write(path, "2b")) // the new folder is watched
	next("2b")
}

func TestWatchWaitsForFoldersToReturn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "config.json")
	next := watched(t, path) // nothing of it is there yet
	must(t, os.MkdirAll(dir, 0o700), write(path, "1"))
	next("1")
	must(t, os.RemoveAll(filepath.Dir(dir)), os.MkdirAll(dir, 0o700), write(path, "2"))
	next("2")
}

func TestWatchFollowsFilesThatAreLinks(t *testing.T) {
	dir := t.TempDir()
	real, path := filepath.Join(dir, "real", "config.json"), filepath.Join(dir, "config.json")
	must(t, os.Mkdir(filepath.Dir(real), 0o700), write(real, "0"), os.Symlink(filepath.Join("real", "config.json"), path))
	next := watched(t, path)
	must(t, write(real, "in place"))
	next("in place")
	must(t, write(real+"~", "renamed over"), os.Rename(real+"~", real))
	next("renamed over")
	must(t, write(path+"~", "no link any more"), os.Rename(path+"~", path))
	next("no link any more")
}

// TestWatchSaysNothingOfTheSameContent lets a second watch of the same folder
// tell when what happened in it was seen.
func TestWatchSaysNothingOfTheSameContent(t *testing.T) {
	dir := t.TempDir()
	path, beside := filepath.Join(dir, "config.json"), filepath.Join(dir, "beside")
	replace := func(path, text string) {
		t.Helper()
		must(t, write(path+"~", text), os.Rename(path+"~", path))
	}
	must(t, write(path, "0"), write(beside, "0"))
	var calls atomic.Int32
	next := watched(t, path, func() { calls.Add(1) })
	nextBeside := watched(t, beside)
	for _, text := range []string{"1", "2"} {
		replace(path, "0")
		replace(beside, text)
		nextBeside(text)
	}
	replace(path, "changed")
	next("changed")
	if got := calls.Load(); got != 1 {
		t.Errorf("the change was reported %d times", got)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Watch(ctx, filepath.Join(t.TempDir(), "config.json"), func() { t.Error("a change of nothing") }); err != nil {
		t.Errorf("Watch = %v, want nil", err)
	}
}
