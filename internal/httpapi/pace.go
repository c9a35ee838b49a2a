package httpapi

import (
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"mcpo/internal/audit"
	"mcpo/internal/caller"
)

// pace bounds the lines that anybody at all can make mcpo write, so that nobody
// fills the disk or hides other lines among them.
type pace struct {
	limit   *rate.Limiter
	leftOut atomic.Int64
}

const (
	// paceBurst lines are written at once, and one every paceRest after.
	paceBurst = 50
	paceRest  = 2 * time.Second
)

func newPace() *pace { return &pace{limit: rate.NewLimiter(rate.Every(paceRest), paceBurst)} }

// next reports whether a line may be written, and how many were left out before.
func (p *pace) next() (leftOut int64, ok bool) {
	if !p.limit.Allow() {
		p.leftOut.Add(1)
		return 0, false
	}
	return p.leftOut.Swap(0), true
}

// writesCall reports whether a call is to be written down: each of a caller who
// is known, and of the refused ones of strangers so many, then how many more
// there were.
func (h *Handler) writesCall(who caller.ID) bool {
	if who != (caller.ID{}) {
		return true
	}
	more, ok := h.strangeCalls.next()
	if more > 0 {
		h.opts.Audit.Write(audit.Entry{Event: audit.Call, Outcome: strconv.FormatInt(more, 10) + " more were refused"})
		h.opts.Log.Info("more calls were refused, of callers who are not known", "calls", more)
	}
	return ok
}

// writesLogin is writesCall for logins that were not finished because nobody
// began them.
func (h *Handler) writesLogin() bool {
	more, ok := h.strangeLogins.next()
	if more > 0 {
		h.opts.Log.Warn("more logins were not finished, which nobody had begun", "logins", more)
	}
	return ok
}
