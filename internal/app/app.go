package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mcpo/internal/audit"
	"mcpo/internal/chat"
	"mcpo/internal/config"
	"mcpo/internal/httpapi"
	"mcpo/internal/metrics"
	"mcpo/internal/tracing"
)

// Limits of what a connection from outside may cost before a request is known.
const (
	headTime = 10 * time.Second
	idleTime = 2 * time.Minute
	headSize = 64 << 10
)

// app is one running mcpo.
type app struct {
	opts    Options
	handler *httpapi.Handler
	servers []httpapi.Served                 // of the generation that serves, in order
	members atomic.Pointer[[]httpapi.Served] // the same, for who works beside
	logins  *logins
	audit   *audit.Log       // nil without
	metrics *metrics.Metrics // nil without
	chats   *chat.Poster
	prompt  *prompt
	tracer  *tracing.Tracer // nil without

	// serving says that a reload found mcpo in service: whatever the database is
	// that it changes to, all replicas would leave at once.
	serving atomic.Bool

	replicas *elsewhere
	beside   sync.WaitGroup  // what goes on beside the serving, until stopping
	draining sync.WaitGroup  // servers of older generations that finish their calls
	stopping context.Context // ends when mcpo stops: then draining hurries
}

// Run serves until ctx is done, then finishes the calls in flight and ends all
// servers. The error is an *ExitError where the exit status is not to be 1.
func Run(ctx context.Context, o Options) error {
	cfg, err := configuration(o)
	if err != nil {
		return err
	}
	tracer, err := tracing.Open(o.Build, o.Log)
	if err != nil {
		return err
	}
	defer tracer.Close() // when everything else is over
	meter, err := measure(o)
	if err != nil {
		return err
	}
	defer meter.close()
	listener, err := listen(o)
	if err != nil {
		return err
	}
	written, err := audit.Open(o.AuditLog, o.Log)
	if err != nil {
		listener.Close()
		return fmt.Errorf("%w (--audit-log names it)", err)
	}
	defer written.Close()
	chats := chat.NewPoster(o.Log)
	defer chats.Close()
	stopping, hurry := context.WithCancel(context.Background())
	defer hurry()
	a := &app{opts: o, audit: written, metrics: meter.metrics, chats: chats, stopping: stopping, prompt: newPrompt(o.Terminal), tracer: tracer, replicas: newElsewhere()}
	handler, wrapped := httpapi.New(a.httpOptions(cfg, listener.Addr()))
	a.handler = handler
	a.logins = newLogins(o, publicURL(o, cfg, listener.Addr()), o.PublicURL != "" || cfg.PublicURL != "", http.HandlerFunc(handler.ServeCallback))
	a.logins.happened, a.logins.metrics, a.logins.stored.changed = a.happened, a.metrics, a.replicas.Add
	a.metrics.Available(a.logins.stored.available)
	defer a.logins.stored.close()
	defer a.logins.loopback.Close()
	if _, err := a.swap(cfg); err != nil {
		listener.Close()
		return err
	}
	a.beside.Go(func() { a.logins.sweep(stopping) })
	a.beside.Go(func() { a.replicas.follow(stopping, a.lookElsewhere) })
	server := &http.Server{Handler: wrapped, ReadHeaderTimeout: headTime, IdleTimeout: idleTime, MaxHeaderBytes: headSize,
		ErrorLog: quiet(o.Log)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	a.announce(cfg, listener.Addr())
	if err = a.live(ctx, served); err == nil {
		a.leave(served)
	}
	a.stop(server)
	hurry()
	a.draining.Wait()
	a.beside.Wait()
	return err
}

// live stays until something ends mcpo: the context, the listener, or the only
// server's failure to start.
func (a *app) live(ctx context.Context, served <-chan error) error {
	failed := a.onlyServerFailed(ctx)
	changed := a.changes(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("serving: %w", err)
		case err := <-failed:
			return err
		case <-changed:
			a.reload()
		case <-a.opts.Reload:
			a.audit.Reopen()
			a.reload()
		}
	}
}

// stop lets calls in flight finish within the shutdown timeout, then ends all
// servers and returns when their processes are gone.
func (a *app) stop(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), a.opts.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		a.opts.Log.Warn("calls were still in flight at the end of --shutdown-timeout", "error", err)
		server.Close()
	}
	closeServers(ctx, a.servers)
}

// onlyServerFailed tells when the one server of `mcpo -- COMMAND` cannot be
// started: then mcpo is of no use, and whoever typed the command wants to know.
func (a *app) onlyServerFailed(ctx context.Context) <-chan error {
	failed := make(chan error, 1)
	only := a.servers[0].Server
	if a.opts.ConfigPath != "" || only.Config().Transport != config.Stdio {
		return failed
	}
	go func() {
		select {
		case <-ctx.Done():
		case <-only.Tried():
			// It may be trying again already; what tells is that it never had tools.
			if s := only.Status(shared); only.Tools(shared) == nil && s.Err != nil {
				failed <- &ExitError{Code: 1, Err: fmt.Errorf("the MCP server did not start: %w", s.Err)}
			}
		}
	}()
	return failed
}

// listen opens the socket, with TLS when a certificate is given.
func listen(o Options) (net.Listener, error) {
	address := net.JoinHostPort(o.Host, strconv.Itoa(o.Port))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w (--host and --port set the address)", address, err)
	}
	l = timedListener{l, takeTime}
	if o.CertFile == "" {
		return l, nil
	}
	certificate, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("reading --ssl-certfile and --ssl-keyfile: %w", err)
	}
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}), nil
}

func (a *app) httpOptions(cfg *config.Config, addr net.Addr) httpapi.Options {
	o := a.opts
	return httpapi.Options{
		Key: o.APIKey, StrictAuth: o.StrictAuth, CORSOrigins: o.CORSAllowOrigins,
		RootPath: o.RootPath, PathPrefix: o.PathPrefix, PublicURL: publicURL(o, cfg, addr), Loopback: isLoopback(addr),
		Name: o.Name, Description: o.Description, Version: o.Version, MaxBody: o.MaxBody, Store: a.sharedStore, Audit: a.audit, Metrics: a.metrics, Chat: a.chats, Tracer: a.tracer, Log: o.Log,
	}
}

// publicURL is the command line's, or else the configuration's, or else where
// this machine's own browser finds mcpo. It has no slash at its end.
func publicURL(o Options, cfg *config.Config, addr net.Addr) string {
	if told := cmp.Or(o.PublicURL, cfg.PublicURL); told != "" {
		return strings.TrimRight(told, "/")
	}
	_, port, _ := net.SplitHostPort(addr.String())
	here := "http://localhost:" + port
	if o.CertFile != "" {
		here = "https://localhost:" + port
	}
	if root := strings.Trim(o.RootPath, "/"); root != "" {
		here += "/" + root
	}
	return here
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// announce says where mcpo listens, and warns where that is open to strangers.
func (a *app) announce(cfg *config.Config, addr net.Addr) {
	scheme := "http"
	if a.opts.CertFile != "" {
		scheme = "https"
	}
	a.opts.Log.Info("mcpo is listening", "url", scheme+"://"+addr.String(), "servers", len(cfg.Servers))
	if a.opts.APIKey == "" && !isLoopback(addr) {
		a.opts.Log.Warn("everybody who reaches this address may call all tools; " +
			"set a key with MCPO_API_KEY=…, or listen on this machine only with --host 127.0.0.1")
	}
	if a.opts.Ready != nil {
		a.opts.Ready(addr.String())
	}
}
