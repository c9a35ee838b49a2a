package caller

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxVerified is how many session tokens are remembered.
const maxVerified = 10_000

// verified remembers whose the session tokens are that were verified lately, by
// their hashes, so that a call costs no second look at a signature. A token is
// remembered for as long as it is valid.
type verified struct {
	mu sync.RWMutex
	by map[[sha256.Size]byte]remembered
}

type remembered struct {
	person Person
	until  time.Time
}

// session is verifySession, from memory where that has it.
func (v *verified) session(token, key string) (Person, error) {
	if len(token) > maxToken {
		return verifySession(token, key)
	}
	hash := sha256.Sum256([]byte(token))
	v.mu.RLock()
	known, ok := v.by[hash]
	v.mu.RUnlock()
	if ok && time.Now().Before(known.until) {
		return known.person, nil
	}
	p, expiry, err := verifySessionUntil(token, key)
	if err != nil {
		return p, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.by == nil || len(v.by) >= maxVerified {
		v.by = map[[sha256.Size]byte]remembered{}
	}
	v.by[hash] = remembered{p, expiry.Add(leeway)}
	return p, nil
}
