package app

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/metrics"
	"mcpo/internal/oauth"
	"mcpo/internal/store"
	"mcpo/internal/upstream"
)

// sweepPause is the time between two looks for what has run out.
const sweepPause = time.Minute

// logins is all that servers with logins share: where grants are kept, and
// where browsers come back to.
type logins struct {
	opts      Options
	publicURL string // without a slash at its end
	web       bool   // browsers come back there, and not to the loopback port
	loopback  *oauth.Loopback
	memory    *store.Memory
	happened  func(oauth.Happening) // nil for nobody to be told
	metrics   *metrics.Metrics      // nil for none
	stored    *stored
}

// newLogins makes them. callback answers browsers at the loopback port.
func newLogins(o Options, publicURL string, web bool, callback http.Handler) *logins {
	return &logins{opts: o, publicURL: publicURL, web: web, memory: store.NewMemory(), stored: newStored(o), loopback: oauth.NewLoopback(callback, o.Log)}
}

// storeFor is where the grants of a server are kept.
func (l *logins) storeFor(s config.Server, at config.Storage) (oauth.Store, error) {
	if s.OAuth.StorageType == "memory" {
		return observe(l.memory, memoryKind, l.metrics), nil
	}
	kept, err := l.stored.at(at)
	if err != nil {
		return nil, err
	}
	return observe(kept.durable, kindOf(at), l.metrics), nil
}

// firstCaller is the caller whose connection is opened at the start.
func firstCaller(s config.Server) caller.ID {
	if s.OAuth != nil && s.OAuth.MultiUser {
		return caller.Local()
	}
	return caller.Shared()
}

// authorizer makes what keeps a server's grants. changed is told of logins and
// logouts, elsewhere of those at other replicas; both may be nil.
func (l *logins) authorizer(s config.Server, at config.Storage, changed, elsewhere func(caller.ID)) (*oauth.Authorizer, error) {
	kept, err := l.storeFor(s, at)
	if err != nil {
		return nil, err
	}
	return oauth.New(oauth.Options{
		Server: s, Store: kept, Loopback: l.loopback, PublicURL: l.publicURL, WebCallback: l.web, Changed: changed, ChangedElsewhere: elsewhere, Happened: l.happened, Log: l.opts.Log,
	})
}

// access lets callers in with an authorizer's tokens.
func access(a *oauth.Authorizer, first caller.ID) *upstream.Access {
	return &upstream.Access{RoundTripper: a.RoundTripper, First: first, Required: loginRequired, Retired: a.Forget}
}

func loginRequired(err error) bool {
	var required *oauth.LoginRequiredError
	return errors.As(err, &required)
}

// sweep removes what has run out, until ctx ends.
func (l *logins) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepPause)
	defer tick.Stop()
	for {
		gone, err := l.memory.Sweep(ctx)
		n, storedErr := l.stored.sweep(ctx)
		l.measure(ctx, gone, n)
		gone, err = gone+n, errors.Join(err, storedErr)
		if gone > 0 {
			l.opts.Log.Info("removed what has run out: links, logins in progress, and grants that cannot be renewed", "records", gone)
		}
		if err != nil && ctx.Err() == nil {
			l.opts.Log.Warn("removing logins that have run out failed", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// takeOver takes over what a Python mcpo left in the folder, for the caller that
// it would have served.
func takeOver(ctx context.Context, a *oauth.Authorizer, s config.Server, at config.Storage, o Options) {
	if s.OAuth.StorageType == "memory" || at.Path == "" {
		return
	}
	if _, err := a.TakeOver(ctx, firstCaller(s), filepath.Join(at.Path, "tokens")); err != nil {
		o.Log.Warn("the login of a Python mcpo was not taken over", "server", s.Name, "error", err)
	}
}
