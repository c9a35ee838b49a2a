package store

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// Memory keeps records in this process, and no longer than it lives. All its
// methods may be called at the same time.
type Memory struct {
	locks   *queue
	mu      sync.Mutex
	records map[Key]Record
}

// NewMemory returns a store without records.
func NewMemory() *Memory {
	return &Memory{locks: newQueue(), records: map[Key]Record{}}
}

// Get returns the record under key, or ErrNotFound.
func (m *Memory) Get(_ context.Context, key Key) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.find(key)
}

// find returns a copy of the record under key. It is called with mu held.
func (m *Memory) find(key Key) (Record, error) {
	r, ok := m.records[key]
	if !ok || r.expired() {
		return Record{}, ErrNotFound
	}
	return r.copied(), nil
}

// Put keeps r in the place of what was under its key.
func (m *Memory) Put(_ context.Context, r Record) error {
	if err := r.Key.check(); err != nil {
		return fmt.Errorf("keeping a record: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records[r.Key] = r.copied()
	return nil
}

// Delete makes sure that there is no record under key.
func (m *Memory) Delete(_ context.Context, key Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, key)
	return nil
}

// Take returns the record under key and deletes it. Of many who take it at the
// same time one gets it, and the others get ErrNotFound.
func (m *Memory) Take(_ context.Context, key Key) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.find(key)
	delete(m.records, key)
	return r, err
}

// List returns all records of a kind, in no order.
func (m *Memory) List(_ context.Context, kind Kind) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Record
	for key, r := range m.records {
		if key.Kind == kind && !r.expired() {
			found = append(found, r.copied())
		}
	}
	return found, nil
}

// Count is how many records of a kind there are, among them those that expired
// and were not swept yet.
func (m *Memory) Count(_ context.Context, kind Kind) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for key := range m.records {
		if key.Kind == kind {
			n++
		}
	}
	return n, nil
}

// Lock waits until nobody else holds the lock of key, or until ctx ends. The
// lock keeps nobody from the record itself. What is done with held is ctx's.
// Calling unlock again does nothing.
func (m *Memory) Lock(ctx context.Context, key Key) (held context.Context, unlock func(), err error) {
	leave, err := m.locks.enter(ctx, key.hash())
	if err != nil {
		return nil, nil, fmt.Errorf("waiting for the lock of a %s: %w", key.Kind, err)
	}
	return ctx, sync.OnceFunc(leave), nil
}

// Sweep deletes the records that expired and returns how many those were.
func (m *Memory) Sweep(context.Context) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	swept := 0
	for key, r := range m.records {
		if r.expired() {
			delete(m.records, key)
			swept++
		}
	}
	return swept, nil
}

// copied returns r with bytes of its own and a time that means the same after
// it was written down: in UTC, without the reading of this process's clock.
func (r Record) copied() Record {
	r.Value = bytes.Clone(r.Value)
	if !r.Expires.IsZero() {
		r.Expires = r.Expires.UTC().Round(0)
	}
	return r
}
