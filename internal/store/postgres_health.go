package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

// health is what is known of a database: whether it can be reached.
type health struct {
	log    *slog.Logger
	doubts chan struct{} // holds a token when somebody did not reach it

	mu      sync.Mutex
	reason  string // "" while it can be reached
	since   time.Time
	reached bool            // at least once
	up      context.Context // ends when it cannot be reached any more
	cut     context.CancelFunc
}

func newHealth(log *slog.Logger) *health {
	h := &health{log: log, doubts: make(chan struct{}, 1)}
	h.up, h.cut = context.WithCancel(context.Background())
	return h
}

// whileUp ends when the database cannot be reached any more.
func (h *health) whileUp() context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.up
}

// err is ErrUnavailable, with the reason, while the database cannot be reached.
func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reason == "" {
		return nil
	}
	return fmt.Errorf("%w since %s: %s", ErrUnavailable, h.since.UTC().Format(time.RFC3339), h.reason)
}

// lost notes that the database cannot be reached. cause is for the log.
func (h *health) lost(reason string, cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reason == "" {
		h.since = time.Now()
	}
	if h.reason != reason && cause != nil {
		h.log.Warn("the database that keeps the logins cannot be reached; what is in memory serves until it is back", "reason", reason, "error", cause)
	}
	h.reason = reason
	h.cut()
}

// found notes that the database can be reached.
func (h *health) found() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reason != "" {
		h.log.Info("the database that keeps the logins is back", "after", time.Since(h.since).Round(time.Millisecond))
		h.up, h.cut = context.WithCancel(context.Background())
	}
	h.reason, h.reached = "", true
}

// doubt has the database looked at right now.
func (h *health) doubt() {
	select {
	case h.doubts <- struct{}{}:
	default:
	}
}

// Classes of SQLSTATE, and states, that tell that the database cannot serve now;
// Appendix A of PostgreSQL's manual.
func awayClasses() []string {
	return []string{
		"08", // the connection
		"28", // who mcpo is, changed under way
		"3D", // the database, deleted under way
		"53", // resources: connections, memory, the disk
		"57", // an operator, a shutdown, a start
		"58", // the system it runs on
	}
}

const (
	readOnlyState = "25006"
	refusedReason = "it does not let mcpo in"
)

// unreachable tells whether err, of a statement, means that the database cannot
// serve now, and why, in words without a name or an address.
func unreachable(err error) (reason string, is bool) {
	var said *pgconn.PgError
	var dial *net.OpError
	switch {
	case err == nil, errors.Is(err, pgx.ErrNoRows), isOurs(err):
		return "", false
	case errors.As(err, &said):
		return answered(said)
	case tookTooLong(err):
		return "it does not answer", true
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return "nothing listens at its address", true
	case errors.As(err, &dial):
		return "the connection fails", true
	}
	return "the connection broke", true
}

// tookTooLong tells a database, or a pool, that did not answer in time, or before
// it was found to be lost.
func tookTooLong(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || pgconn.Timeout(err)
}

// isOurs tells errors of the store from those of the database.
func isOurs(err error) bool {
	return slices.ContainsFunc([]error{ErrWrongKey, ErrCorrupt, ErrLockLost, errNewer, errRefused}, func(ours error) bool { return errors.Is(err, ours) })
}

func answered(said *pgconn.PgError) (reason string, is bool) {
	switch class := said.Code[:min(2, len(said.Code))]; {
	case said.Code == readOnlyState:
		return "it takes no changes", true
	case class == "28" || class == "3D":
		return refusedReason, true
	case slices.Contains(awayClasses(), class):
		return "it cannot serve now, with SQLSTATE " + said.Code, true
	}
	return "", false
}

// mayRepeat tells whether a statement surely did nothing and may do better when
// it is sent again: it was not sent, it was cut off by a shutdown, or it stood in
// the way of another.
func mayRepeat(err error) bool {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return slices.Contains([]string{"57P01", "40001", "40P01"}, said.Code)
	}
	return err != nil && (pgconn.SafeToRetry(err) || errors.Is(err, puddle.ErrClosedPool)) // which another pool has replaced
}
