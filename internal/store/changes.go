package store

import "sync"

// Changes are the keys of records that were changed and that somebody has still to
// look at. Whoever adds to them waits for nothing. The zero Key stands for all
// records. All methods may be called at the same time.
type Changes struct {
	most int
	some chan struct{} // holds a token while there are keys

	mu   sync.Mutex
	keys map[Key]bool
}

// NewChanges makes Changes that hold so many keys; where there are more, all of
// them become the zero Key.
func NewChanges(most int) *Changes {
	return &Changes{most: most, some: make(chan struct{}, 1), keys: map[Key]bool{}}
}

// Add adds a key, once.
func (c *Changes) Add(key Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= c.most {
		c.keys, key = map[Key]bool{}, Key{}
	}
	c.keys[key] = true
	select {
	case c.some <- struct{}{}:
	default:
	}
}

// Some gives a value when there is something to take.
func (c *Changes) Some() <-chan struct{} { return c.some }

// Take gives the keys that were added, and forgets them.
func (c *Changes) Take() map[Key]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := c.keys
	c.keys = map[Key]bool{}
	return keys
}
