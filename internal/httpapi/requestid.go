package httpapi

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"sync/atomic"
)

// requestIDs names requests, so that a line in the log can be found from an
// answer.
type requestIDs struct {
	process string
	count   *atomic.Uint64
}

func newRequestIDs() requestIDs {
	return requestIDs{process: rand.Text()[:8] + "-", count: new(atomic.Uint64)}
}

// of takes the id that a proxy in front gave the request, if it is one that is
// fit for a log, or makes one.
func (g requestIDs) of(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && plainID(given[0]) {
		return given[0]
	}
	return g.process + strconv.FormatUint(g.count.Add(1), 36)
}

func plainID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=' {
			return false
		}
	}
	return true
}
