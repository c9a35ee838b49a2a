package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// lockPause is the time between two looks at a lock that another process has.
const lockPause = 5 * time.Millisecond

// locker locks names in this process and in all others that use its folder. The
// system frees the locks of a process that ends, however it ends.
type locker struct {
	dir   string
	queue *queue // in this process, for a file lock has no order of waiting
}

// lock waits until it has the lock of this name, or until ctx ends. The caller
// frees it by calling unlock, once.
func (l locker) lock(ctx context.Context, name string) (unlock func(), err error) {
	leave, err := l.queue.enter(ctx, name)
	if err != nil {
		return nil, err
	}
	file, err := lockFile(ctx, filepath.Join(l.dir, name+".lock"))
	if err != nil {
		leave()
		return nil, err
	}
	return func() {
		_ = file.Unlock() // it can only fail for a file that is not open
		leave()
	}, nil
}

// lockFile locks a file that is made for it. What was locked may be a file that
// sweep deleted at that moment; the lock that counts is that of the file which
// others find.
func lockFile(ctx context.Context, path string) (*flock.Flock, error) {
	for {
		file := flock.New(path)
		if _, err := file.TryLockContext(ctx, lockPause); err != nil {
			return nil, err
		}
		locked, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, file.Unlock())
		}
		found, err := os.Stat(path)
		if err == nil && os.SameFile(locked, found) {
			return file, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err := errors.Join(err, file.Unlock()); err != nil {
			return nil, err
		}
	}
}

// sweep deletes the files of locks that nobody has. It leaves those that the
// system does not let it delete, which costs no more than their names.
func (l locker) sweep() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return fmt.Errorf("listing the locks: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(l.dir, entry.Name())
		file := flock.New(path)
		free, err := file.TryLock()
		if free {
			_ = os.Remove(path)
			err = file.Unlock()
		}
		if err != nil {
			return fmt.Errorf("deleting an unused lock: %w", err)
		}
	}
	return nil
}

// queue lets one goroutine at a time through each of any number of doors. A
// door exists while somebody is inside or waits.
type queue struct {
	mu    sync.Mutex
	doors map[string]*door
}

// door is what one name is locked with.
type door struct {
	inside chan struct{} // holds a token while somebody is inside
	users  int           // who is inside, and who waits
}

func newQueue() *queue { return &queue{doors: map[string]*door{}} }

// enter waits until nobody is inside the door of this name, or until ctx ends.
// The caller leaves again by calling leave, once.
func (q *queue) enter(ctx context.Context, name string) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q.mu.Lock()
	d := q.doors[name]
	if d == nil {
		d = &door{inside: make(chan struct{}, 1)}
		q.doors[name] = d
	}
	d.users++
	q.mu.Unlock()

	select {
	case d.inside <- struct{}{}:
		return func() { <-d.inside; q.forget(name, d) }, nil
	case <-ctx.Done():
		q.forget(name, d)
		return nil, ctx.Err()
	}
}

// forget takes a user off the door, and the door away with the last one.
func (q *queue) forget(name string, d *door) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d.users--; d.users == 0 {
		delete(q.doors, name)
	}
}
