package store

import (
	"context"
	"sync"
)

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
