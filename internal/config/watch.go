package config

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// debounce is how long a file must be quiet before it is read: editors and
// ConfigMap updates write in several steps.
const debounce = 100 * time.Millisecond

// Watch calls changed each time the file's content has changed, until ctx is
// done. It watches folders rather than the file, along every symbolic link on
// the way, so that a file that is replaced, or a link that is swapped as
// Kubernetes does for a ConfigMap, is followed.
func Watch(ctx context.Context, path string, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", path, err)
	}
	defer w.Close()
	if err := follow(w, path); err != nil {
		return err
	}
	seen := content(path)
	quiet := time.NewTimer(0) // once at the start, for what changed before the watch stood
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			quiet.Reset(debounce)
		case err := <-w.Errors:
			return fmt.Errorf("watching %s: %w", path, err)
		case <-quiet.C:
			if err := follow(w, path); err != nil {
				return err
			}
			if now := content(path); now != nil && !bytes.Equal(now, seen) {
				seen = now
				changed()
			}
		}
	}
}

// follow watches the folder of the path and those of all links behind it.
func follow(w *fsnotify.Watcher, path string) error {
	for range 16 { // no sane chain of links is longer
		if err := w.Add(filepath.Dir(path)); err != nil {
			return fmt.Errorf("watching %s: %w", filepath.Dir(path), err)
		}
		real, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return nil // it is being replaced; its parent is watched
		}
		if err := w.Add(real); err != nil {
			return fmt.Errorf("watching %s: %w", real, err)
		}
		target, err := os.Readlink(path)
		if err != nil {
			return nil // a plain file, or none just now
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return nil
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
