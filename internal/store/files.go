package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// openPatience is how long Open waits for another process that opens the same
// folder.
const openPatience = 10 * time.Second

// Options say where records are kept, and how.
type Options struct {
	// Dir is the folder of the store. It is made when it is not there.
	Dir string
	// Keys are the secrets that records are sealed with, each of at least 16
	// bytes: the first seals, all open. Without any, one is made once and kept
	// in the file "key" of Dir. That one opens records for as long as it is
	// there.
	Keys []string
	Log  *slog.Logger
}

// Files keeps each record in a file of its own, sealed. Several processes may
// share the folder. All its methods may be called at the same time.
type Files struct {
	dir   string
	ring  keyring
	log   *slog.Logger
	locks locker
}

// Open opens the store in a folder. Its errors say in one sentence what to do:
// the folder cannot be written, a key is too short, or, as ErrWrongKey, there
// are records that none of the keys opens.
func Open(o Options) (*Files, error) {
	f := &Files{dir: o.Dir, log: o.Log, locks: locker{dir: filepath.Join(o.Dir, lockFolder), queue: newQueue()}}
	if err := makeFolders(o.Dir); err != nil {
		return nil, fmt.Errorf("the storage folder cannot be written: %w; open it to the user that mcpo runs as, or choose another", err)
	}
	f.warnOfOthers()
	ctx, cancel := context.WithTimeout(context.Background(), openPatience)
	defer cancel()
	unlock, err := f.locks.lock(ctx, keyFile)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("another process has kept the storage folder %s locked for %v; end it, or choose another folder", o.Dir, openPatience)
	}
	if err != nil {
		return nil, fmt.Errorf("the storage folder cannot be locked: %w; choose one on a file system that has locks", err)
	}
	defer unlock()
	if f.ring, err = loadKeys(o); err != nil {
		return nil, err
	}
	return f, nil
}

// warnOfOthers says that others may change what is in the folder of the store.
// They cannot read it, but they can take it away.
func (f *Files) warnOfOthers() {
	info, err := os.Stat(f.dir)
	if err == nil && info.Mode().Perm()&0o022 != 0 && runtime.GOOS != "windows" {
		f.log.Warn("other users of this machine may write in the storage folder; close it to them", "folder", f.dir)
	}
}

// Get returns the record under key. Its errors are ErrNotFound, once for each
// damage ErrCorrupt, ErrWrongKey, and what the system says.
func (f *Files) Get(ctx context.Context, key Key) (Record, error) {
	r, err := f.get(ctx, key.path(f.dir))
	if err == nil && r.expired() {
		err = ErrNotFound
	}
	if err != nil {
		return Record{}, explain("reading", key.Kind, err)
	}
	return r, nil
}

// explain says what was done when err came about, unless that is plain.
func explain(doing string, kind Kind, err error) error {
	if err == nil || errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("%s a %s: %w", doing, kind, err)
}

// get returns the record in a file, expired or not.
func (f *Files) get(ctx context.Context, path string) (r Record, err error) {
	if r, err = f.read(path); errors.Is(err, ErrCorrupt) {
		err = f.change(ctx, path, func() error {
			r, err = f.readOrSetAside(path)
			return err
		})
	}
	return r, err
}

// read opens the record in a file, and makes sure that it is in its place.
func (f *Files) read(path string) (Record, error) {
	file, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, ErrNotFound
	}
	if err != nil {
		return Record{}, err
	}
	r, err := f.ring.open(file)
	if err == nil && r.Key.path(f.dir) != path {
		err = fmt.Errorf("%w: it is in the place of another", ErrCorrupt)
	}
	return r, err
}

// readOrSetAside reads a file, and gives it another name when it is damaged, so
// that it is out of the way and can be looked at. It is called in change.
func (f *Files) readOrSetAside(path string) (Record, error) {
	r, err := f.read(path)
	if !errors.Is(err, ErrCorrupt) {
		return r, err
	}
	aside := path + ".corrupt-" + time.Now().UTC().Format("20060102T150405.000000000")
	if err := errors.Join(os.Rename(path, aside), syncFolder(filepath.Dir(path))); err != nil {
		return Record{}, fmt.Errorf("setting a damaged record aside: %w", err)
	}
	f.log.Error("a damaged record was set aside; whoever needs it must log in again", "file", aside, "error", err)
	return Record{}, err
}

// change runs do while no other process or goroutine changes the same file. It
// need not be called to read: files are replaced as a whole.
func (f *Files) change(ctx context.Context, path string, do func() error) error {
	// A few locks serve all files: nobody holds one for long, or two at once.
	unlock, err := f.locks.lock(ctx, "change-"+filepath.Base(path)[:2])
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}

// Put keeps r in the place of what was under its key. When it returns, r
// outlives a power failure.
func (f *Files) Put(ctx context.Context, r Record) error {
	if err := r.Key.check(); err != nil {
		return fmt.Errorf("keeping a record: %w", err)
	}
	file, err := f.ring.seal(r)
	if err != nil {
		return explain("sealing", r.Key.Kind, err)
	}
	path := r.Key.path(f.dir)
	return explain("keeping", r.Key.Kind, f.change(ctx, path, func() error {
		if err := makeFolder(filepath.Dir(path)); err != nil {
			return err
		}
		return writeFile(path, file)
	}))
}

// Delete makes sure that there is no record under key.
func (f *Files) Delete(ctx context.Context, key Key) error {
	path := key.path(f.dir)
	return explain("deleting", key.Kind, f.change(ctx, path, func() error { return removeFile(path) }))
}

// Take returns the record under key and deletes it. Of many who take it at the
// same time, in any process, one gets it, and the others get ErrNotFound.
func (f *Files) Take(ctx context.Context, key Key) (Record, error) {
	path := key.path(f.dir)
	var r Record
	err := f.change(ctx, path, func() (err error) {
		if r, err = f.readOrSetAside(path); err != nil {
			return err
		}
		return removeFile(path)
	})
	if err == nil && r.expired() {
		err = ErrNotFound
	}
	if err != nil {
		return Record{}, explain("taking", key.Kind, err)
	}
	return r, nil
}

// List returns all records of a kind, in no order. Damaged ones are set aside
// and left out. A record that no key opens is an error.
func (f *Files) List(ctx context.Context, kind Kind) ([]Record, error) {
	files, _, err := paths(f.dir, kind)
	if err != nil {
		return nil, explain("listing", kind, err)
	}
	var found []Record
	for _, path := range files {
		r, err := f.get(ctx, path)
		switch {
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt):
		case err != nil:
			return nil, explain("reading", kind, err)
		case !r.expired():
			found = append(found, r)
		}
	}
	return found, nil
}

// Count is how many records of a kind there are, among them those that expired
// and were not swept yet.
func (f *Files) Count(_ context.Context, kind Kind) (int, error) {
	files, _, err := paths(f.dir, kind)
	return len(files), explain("counting every", kind, err)
}

// Lock waits until nobody else holds the lock of key, in any process, or until
// ctx ends. The lock keeps nobody from the record itself, and is freed when its
// process ends, even if killed. What is done with held is ctx's. Calling unlock
// again does nothing.
func (f *Files) Lock(ctx context.Context, key Key) (held context.Context, unlock func(), err error) {
	free, err := f.locks.lock(ctx, key.hash())
	if err != nil {
		return nil, nil, fmt.Errorf("waiting for the lock of a %s: %w", key.Kind, err)
	}
	return ctx, sync.OnceFunc(free), nil
}

// Sweep deletes the records that expired and returns how many those were. It
// also deletes what writes left behind that were cut off, and unused locks.
// A record that it fails at does not keep it from the others.
func (f *Files) Sweep(ctx context.Context) (int, error) {
	swept, problems := 0, []error{}
	for _, kind := range kinds() {
		n, err := f.sweepKind(ctx, kind)
		swept += n
		problems = append(problems, explain("sweeping", kind, err))
	}
	problems = append(problems, f.locks.sweep())
	return swept, errors.Join(problems...)
}

// sweepKind does the work of Sweep for one kind of records.
func (f *Files) sweepKind(ctx context.Context, kind Kind) (swept int, err error) {
	records, interrupted, err := paths(f.dir, kind)
	problems := []error{err}
	for _, path := range records {
		deleted, err := f.sweepRecord(ctx, path)
		problems = append(problems, err)
		if deleted {
			swept++
		}
		if ctx.Err() != nil {
			return swept, ctx.Err()
		}
	}
	for _, path := range interrupted {
		err := f.change(ctx, path, func() error { return removeFile(path + tempSuffix) })
		problems = append(problems, err)
	}
	return swept, errors.Join(problems...)
}

// sweepRecord deletes the record in a file if it expired.
func (f *Files) sweepRecord(ctx context.Context, path string) (deleted bool, err error) {
	r, err := f.get(ctx, path)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		return false, nil
	}
	if err != nil || !r.expired() {
		return false, err
	}
	err = f.change(ctx, path, func() error {
		if r, err := f.read(path); err == nil && r.expired() { // not another by now
			deleted = true
			return removeFile(path)
		}
		return nil
	})
	return deleted, err
}
