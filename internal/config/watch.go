package config

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// debounce is how long a file must be quiet before it is read: editors and
	// ConfigMap updates write in several steps.
	debounce = 100 * time.Millisecond
	// patience bounds the wait where something else in the folder never rests.
	patience = time.Second
	// maxLinks bounds the symbolic links of a path, as Linux does (path_resolution(7)).
	maxLinks = 40
)

// Watch calls changed each time the file's content has changed, until ctx is
// done. It watches folders rather than the file, those of every symbolic link
// on the way too, so that a file that is replaced, or a link that is swapped as
// Kubernetes does for a ConfigMap, is followed. A file that is gone is no
// change; its return with another content is.
func Watch(ctx context.Context, path string, changed func()) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("watching %s: %w", path, err)
	}
	return watch(ctx, path, content(path), changed)
}

// watch is Watch of an absolute path whose content was seen already.
func watch(ctx context.Context, path string, seen []byte, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", path, err)
	}
	defer w.Close()
	if err := follow(w, path); err != nil {
		return fmt.Errorf("watching %s: %w", path, err)
	}
	quiet := time.NewTimer(0) // a first look, for what changed before the watch stood
	defer quiet.Stop()
	since := time.Now() // of the first event that was not looked at yet
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			since = later(quiet, since)
		case err := <-w.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("watching %s: %w", path, err)
			}
			since = later(quiet, since)
		case <-quiet.C:
			since = time.Time{}
			if err := follow(w, path); err != nil {
				return fmt.Errorf("watching %s: %w", path, err)
			}
			if now := content(path); now != nil && !bytes.Equal(now, seen) {
				seen = now
				changed()
			}
		}
	}
}

// later puts the look at the file off, unless it was long enough since the
// first event. It gives the time of that event.
func later(quiet *time.Timer, since time.Time) time.Time {
	if since.IsZero() {
		since = time.Now()
	}
	if time.Since(since) < patience {
		quiet.Reset(debounce)
	}
	return since
}

// follow makes w watch what the path leads through now, and nothing else.
func follow(w *fsnotify.Watcher, path string) error {
	var wanted []string
	for range maxLinks {
		wanted = folders(path)
		for _, folder := range wanted {
			if err := w.Add(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		// What was changed before the watch stood would go unseen.
		if slices.Equal(wanted, folders(path)) {
			break
		}
	}
	for _, folder := range w.WatchList() {
		if !slices.Contains(wanted, folder) {
			_ = w.Remove(folder) // it may be gone by itself
		}
	}
	return nil
}

// folders lists where a change can change what the absolute path names: the
// folder of each symbolic link on the way, and that of the file, or the nearest
// one that exists. All are free of links, so no two are one folder.
func folders(path string) []string {
	separator := string(filepath.Separator)
	root := filepath.VolumeName(path) + separator
	split := func(p string) []string {
		return strings.FieldsFunc(p[len(filepath.VolumeName(p)):], func(c rune) bool { return os.IsPathSeparator(uint8(c)) })
	}
	var found []string
	at, rest := root, split(path)
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		target, err := os.Readlink(next)
		_, statErr := os.Lstat(next)
		switch {
		case err == nil && links < maxLinks:
			links++
			found = append(found, at)
			if filepath.IsAbs(target) {
				at = root
			}
			rest = append(split(target), rest[1:]...)
		case statErr != nil || len(rest) == 1:
			return slices.Compact(append(found, at))
		default:
			at, rest = next, rest[1:]
		}
	}
	return found
}

// content is the file's hash, or nil when it cannot be read now.
func content(path string) []byte {
	data, err := readFile(path)
	if err != nil {
		return nil
	}
	hash := sha256.Sum256(data)
	return hash[:]
}
