package app

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/httpapi"
	"mcpo/internal/oauth"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

// shared is the caller on whose behalf app looks at servers.
var shared = caller.Shared()

// configuration reads the file, or makes a configuration of the one server
// that the command line names.
func configuration(o Options) (*config.Config, error) {
	if o.ConfigPath != "" {
		cfg, err := config.Load(o.ConfigPath, o.lookup)
		if err != nil {
			return nil, err
		}
		for _, w := range cfg.Warnings {
			o.Log.Warn(w.Error())
		}
		return cfg, nil
	}
	s := config.Server{Name: "mcp", Transport: config.Transport(o.ServerType)}
	if s.Transport == config.Stdio {
		s.Name = strings.TrimSuffix(filepath.Base(o.Command[0]), ".exe")
		s.Command, s.Args = o.Command[0], o.Command[1:]
	} else {
		s.URL, s.Headers = o.Command[0], o.Headers
	}
	return &config.Config{Servers: []config.Server{s}}, nil
}

// lookup finds a variable for ${VAR}: those of --env and --env-path come first.
func (o Options) lookup(name string) (string, bool) {
	if value, ok := o.Env[name]; ok {
		return value, true
	}
	return os.LookupEnv(name)
}

// upstreamOptions are what all servers share.
func (a *app) upstreamOptions() upstream.Options {
	return upstream.Options{
		Env: a.opts.Env, Identity: wire.Identity{Name: "mcpo", Version: a.opts.Build},
		ConnectTimeout: a.opts.ConnectTimeout, CallTimeout: a.opts.CallTimeout, MaxCallers: a.opts.MaxCallers, Log: a.opts.Log,
	}
}

// swap makes cfg's servers the ones that serve. Unchanged servers are carried
// over with their connections, new ones start at once and in parallel, and
// what is gone is returned for the caller to close.
func (a *app) swap(cfg *config.Config) (gone []httpapi.Served, err error) {
	old := make(map[string]httpapi.Served, len(a.servers))
	for _, s := range a.servers {
		old[s.Server.Name()] = s
	}
	next := make([]httpapi.Served, 0, len(cfg.Servers))
	var fresh []int // places in next
	for _, c := range cfg.Servers {
		if s := old[c.Name]; s.Server != nil && s.Server.Config().Equal(c) && !a.moves(c, cfg.Storage) {
			delete(old, c.Name)
			next = append(next, s)
			continue
		}
		s, err := a.serve(c, cfg.Storage)
		if err != nil {
			closeServers(context.Background(), chosen(next, fresh)) // which were not started
			return nil, err
		}
		next, fresh = append(next, s), append(fresh, len(next))
	}
	identities := newIdentities(cfg.Identity)
	for i := range next {
		next[i].Identify = identities.of(next[i].Server.Config().OAuth)
		next[i].WebUI = cfg.Identity.WebUIURL
		a.protect(&next[i], cfg.Servers[i])
	}
	a.servers = next
	a.members.Store(&next)
	a.count(next)
	a.handler.Publish(httpapi.NewGeneration(next, a.opts.ConfigPath == "", identities.of(nil)))
	for _, s := range chosen(next, fresh) {
		a.start(s, cfg.Storage)
	}
	a.warnOfIdentity(cfg)
	return slices.Collect(maps.Values(old)), nil
}

// moves tells whether what a server keeps of its callers is elsewhere by a new
// configuration.
func (a *app) moves(c config.Server, at config.Storage) bool {
	return c.OAuth != nil && c.OAuth.StorageType != "memory" && a.logins.stored.moves(at)
}

// chosen are the servers at these places.
func chosen(servers []httpapi.Served, places []int) []httpapi.Served {
	some := make([]httpapi.Served, len(places))
	for i, place := range places {
		some[i] = servers[place]
	}
	return some
}

// serve makes a server, with what keeps its callers' logins if they have any.
func (a *app) serve(c config.Server, at config.Storage) (httpapi.Served, error) {
	if c.OAuth == nil {
		return httpapi.Served{Server: upstream.New(c, a.upstreamOptions(), nil)}, nil
	}
	var s *upstream.Server
	kept, err := a.logins.authorizer(c, at, func(who caller.ID) { s.Wake(who) }, func(who caller.ID) { s.WakeOpen(who) })
	if err != nil {
		return httpapi.Served{}, err
	}
	in := access(kept, firstCaller(c))
	if !c.OAuth.MultiUser {
		s = upstream.New(c, a.upstreamOptions(), in)
		return httpapi.Served{Server: s, Logins: kept}, nil
	}
	place, err := a.logins.storeFor(c, at)
	if err != nil {
		kept.Close()
		return httpapi.Served{}, err
	}
	known := a.catalogueOf(c, place)
	in.Idle, in.Learned = c.OAuth.SessionTimeout, known.learned
	s = upstream.New(c, a.upstreamOptions(), in)
	tools, err := known.read(context.Background())
	if err != nil {
		a.opts.Log.Warn("the catalogue of tools cannot be read; it fills again as callers come", "server", c.Name, "error", err)
	}
	s.Seed(tools)
	return httpapi.Served{Server: s, Logins: kept}, nil
}

// catalogueOf is the catalogue of a server in a store.
func (a *app) catalogueOf(c config.Server, kept oauth.Store) *catalogue {
	return &catalogue{server: c, store: kept, beside: a.beside.Go,
		failed: func(err error) {
			a.opts.Log.Warn("keeping the catalogue of tools failed", "server", c.Name, "error", err)
		}}
}

// start brings a server to life, and asks for the login that it may need.
func (a *app) start(s httpapi.Served, at config.Storage) {
	s.Server.Start()
	switch {
	case s.Logins != nil:
		a.beside.Go(func() { a.firstLogin(a.stopping, s, at) })
	case s.Server.Config().Transport != config.Stdio:
		a.beside.Go(func() { a.hintLogin(a.stopping, s.Server) })
	}
}

// closeServers closes servers side by side and waits for all.
func closeServers(ctx context.Context, servers []httpapi.Served) {
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() {
			s.Server.Close(ctx)
			if s.Logins != nil {
				s.Logins.Close()
			}
		})
	}
	wg.Wait()
}

// changes tells when the configuration file has changed, with --hot-reload.
func (a *app) changes(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1) // changes that come during a reload are one
	if !a.opts.HotReload || a.opts.ConfigPath == "" {
		return changed
	}
	go func() {
		err := config.Watch(ctx, a.opts.ConfigPath, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
		if err != nil {
			a.opts.Log.Error("the configuration file cannot be watched; send SIGHUP to reload it", "error", err)
		}
	}()
	return changed
}

// reload reads the configuration again. Everything that can fail does so
// before anything is touched that serves.
func (a *app) reload() {
	if a.opts.ConfigPath == "" {
		a.opts.Log.Debug("there is no configuration file to reload")
		return
	}
	cfg, err := configuration(a.opts)
	if err != nil {
		a.metrics.Reloaded(false)
		a.opts.Log.Error("the new configuration has mistakes; the old one stays in use", "error", err)
		return
	}
	if kept := a.sharedStore(); kept == nil || kept.Reached {
		a.serving.Store(true)
	}
	before := len(a.servers)
	gone, err := a.swap(cfg)
	a.metrics.Reloaded(err == nil)
	if err != nil {
		a.logins.stored.back()
		a.opts.Log.Error("the new configuration cannot be used; the old one stays in use", "error", err)
		return
	}
	a.opts.Log.Info("the configuration was reloaded", "servers", len(a.servers), "before", before, "closed", len(gone))
	a.drain(gone, a.logins.stored.turn())
}

// drainTime bounds how long calls to a server that a reload took away may go on.
const drainTime = upstream.DefaultCallTimeout

// drain closes servers beside the serving; their calls in flight may finish. Then
// it closes the store that only they used, if there is one.
func (a *app) drain(gone []httpapi.Served, old *opened) {
	a.draining.Go(func() {
		ctx, cancel := context.WithTimeout(a.stopping, drainTime)
		defer cancel()
		closeServers(ctx, gone)
		old.close()
	})
}

// quiet passes what net/http has to say on at debug level: it is about
// connections that strangers broke.
func quiet(to *slog.Logger) *log.Logger {
	return log.New(lineWriter{to}, "", 0)
}

type lineWriter struct{ log *slog.Logger }

// Write implements io.Writer.
func (w lineWriter) Write(line []byte) (int, error) {
	w.log.Debug("http", "message", string(bytes.TrimSpace(line)))
	return len(line), nil
}
