package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/time/rate"

	"mcpo/internal/config"
	"mcpo/internal/wire"
)

// dialer opens conversations with one server, over the transport that its
// configuration names.
type dialer struct {
	cfg     config.Server
	opts    Options
	log     *slog.Logger
	handler wire.Handler
	in      entrance
	// older remembers that the server knows no server/discover, so that only
	// the first connection pays for asking.
	older *atomic.Bool
}

func newDialer(cfg config.Server, opts Options, log *slog.Logger, hear func(string, json.RawMessage), in entrance) dialer {
	return dialer{cfg: cfg, opts: opts, log: log, older: cmp.Or(in.older, new(atomic.Bool)), in: in,
		handler: wire.Handler{Notification: hear, Stderr: stderrLogger(log)}}
}

// stderrLogger passes children's standard error on, so many lines a second.
func stderrLogger(log *slog.Logger) func(string) {
	limit := rate.NewLimiter(20, 200)
	var dropped atomic.Int64
	return func(line string) {
		if !limit.Allow() {
			dropped.Add(1)
			return
		}
		if n := dropped.Swap(0); n > 0 {
			log.Warn("server wrote too much to standard error", "dropped_lines", n)
		}
		log.Info("server says", "stderr", line)
	}
}

// open opens a conversation and shakes hands.
func (d dialer) open(ctx context.Context) (*wire.Session, error) {
	switch d.cfg.Transport {
	case config.Stdio:
		conn, err := wire.DialStdio(ctx, wire.StdioOptions{
			Command: d.cfg.Command, Args: d.cfg.Args, Dir: d.cfg.Dir, Env: d.environment(),
			Handler: d.handler, Log: d.log,
		})
		if err != nil {
			return nil, err
		}
		return d.shake(ctx, conn, false)
	case config.SSE:
		return d.openSSE(ctx)
	case config.StreamableHTTP:
		return d.openHTTP(ctx)
	}
	session, err := d.openHTTP(ctx)
	if err != nil && speaksOlder(err) {
		if sse, err := d.openSSE(ctx); err == nil {
			return sse, nil
		}
	}
	return session, err
}

// speaksOlder reports whether the answer to initialize can be that of a server
// that only knows HTTP+SSE (MCP specification, Transports, "Backwards
// Compatibility": any 4xx, whose body may be a JSON-RPC error).
func speaksOlder(err error) bool {
	var rpc *wire.RPCError
	var status *wire.StatusError
	if !errors.As(err, &status) {
		return errors.As(err, &rpc)
	}
	return status.Code >= 400 && status.Code < 500 &&
		status.Code != http.StatusUnauthorized && status.Code != http.StatusForbidden
}

func (d dialer) openHTTP(ctx context.Context) (*wire.Session, error) {
	stateless := !d.older.Load()
	session, err := d.shake(ctx, wire.DialHTTP(d.httpOptions()), stateless)
	if !d.in.required(err) {
		d.older.Store(err == nil && session.Info.Protocol < wire.ProtocolStateless)
	}
	return session, err
}

func (d dialer) openSSE(ctx context.Context) (*wire.Session, error) {
	conn, err := wire.DialSSE(ctx, d.httpOptions())
	if err != nil {
		return nil, err
	}
	return d.shake(ctx, conn, false)
}

func (d dialer) httpOptions() wire.HTTPOptions {
	header := make(http.Header, len(d.cfg.Headers))
	for name, value := range d.cfg.Headers {
		header.Set(name, value)
	}
	return wire.HTTPOptions{URL: d.cfg.URL, Header: header, RoundTripper: d.in.trip, Handler: d.handler, Listen: !d.in.quiet, Log: d.log}
}

// shake does the handshake and closes the conversation if it fails.
func (d dialer) shake(ctx context.Context, conn wire.Conn, stateless bool) (*wire.Session, error) {
	session, err := wire.Handshake(ctx, conn, d.opts.Identity, stateless)
	if err == nil {
		return session, nil
	}
	// What the conversation itself says, a child's last words for example,
	// explains more than the request that it cut off.
	if reason := conn.Err(); reason != nil {
		err = reason
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx)
	return nil, err
}

// environment is mcpo's own, then the options', then the server's.
func (d dialer) environment() []string {
	env := os.Environ()
	for _, extra := range []map[string]string{d.opts.Env, d.cfg.Env} {
		for name, value := range extra {
			env = slices.DeleteFunc(env, func(s string) bool { return strings.HasPrefix(s, name+"=") })
			env = append(env, name+"="+value)
		}
	}
	return env
}
