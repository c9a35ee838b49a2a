package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"mcpo/internal/config"
	"mcpo/internal/httpapi"
	"mcpo/internal/metrics"
	"mcpo/internal/oauth"
	"mcpo/internal/upstream"
)

// Limits of the listener for metrics: a scrape is small, and a profile brings
// its own time along.
const (
	scrapeRead  = 10 * time.Second
	scrapeWrite = 30 * time.Second
	scrapeEnd   = 2 * time.Second // for what is served when mcpo ends
)

// measuring is where metrics are served: at an address of their own, and never
// beside the tools. Its zero value serves none.
type measuring struct {
	metrics *metrics.Metrics // nil when off
	server  *http.Server
	ended   chan error
}

// measure begins to serve metrics, if the options say where.
func measure(o Options) (*measuring, error) {
	if o.MetricsAddr == "" {
		return &measuring{}, nil
	}
	m, err := metrics.New(o.Build)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", o.MetricsAddr)
	if err != nil {
		return nil, fmt.Errorf("listening for metrics on %s: %w (--metrics-addr sets the address)", o.MetricsAddr, err)
	}
	loopback := isLoopback(listener.Addr())
	server := &http.Server{Handler: httpapi.GuardHost(loopback, o.PublicURL, m.Handler(o.Profiles, o.Log)), ErrorLog: quiet(o.Log),
		ReadHeaderTimeout: headTime, ReadTimeout: scrapeRead, WriteTimeout: scrapeWrite, IdleTimeout: idleTime, MaxHeaderBytes: headSize}
	serving := &measuring{metrics: m, server: server, ended: make(chan error, 1)}
	go func() { serving.ended <- server.Serve(listener) }()
	o.Log.Info("metrics are served", "url", "http://"+listener.Addr().String()+"/metrics", "profiles", o.Profiles)
	if !loopback {
		o.Log.Warn("everybody who reaches this address may read the metrics; " +
			"keep strangers away from it with a firewall, or serve them on this machine only with --metrics-addr 127.0.0.1:PORT")
	}
	return serving, nil
}

// close ends the serving, when all else has ended.
func (m *measuring) close() {
	if m.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeEnd)
	defer cancel()
	if m.server.Shutdown(ctx) != nil {
		m.server.Close()
	}
	<-m.ended
}

// count has the servers counted that serve from now on.
func (a *app) count(servers []httpapi.Served) {
	if a.metrics == nil {
		return
	}
	all := make([]metrics.Server, len(servers))
	for i, s := range servers {
		c := s.Server.Config()
		all[i] = metrics.Server{Name: c.Name, Transport: string(c.Transport), State: func() metrics.State { return stateFor(s.Server) },
			Private: c.OAuth != nil && c.OAuth.MultiUser && c.OAuth.Catalog == "private"}
	}
	if err := a.metrics.Serve(all); err != nil {
		a.opts.Log.Warn("not all servers are counted in the metrics", "error", err)
	}
}

// stateFor is how a server is, as metrics tell it.
func stateFor(s *upstream.Server) metrics.State {
	c, states := s.Config(), s.States()
	now := metrics.State{Connections: make(map[string]int, len(states)), Callers: s.Callers(), Reconnects: s.Reconnects()}
	for state, n := range states {
		now.Connections[string(state)] = n
	}
	if c.Transport == config.Stdio {
		now.Processes = states[upstream.StateConnected]
	}
	list := s.Catalogue()
	if c.OAuth == nil {
		list = s.Tools(shared)
	}
	if list != nil {
		now.Tools = len(list.Tools)
	}
	return now
}

// measureLogin counts what became of a login.
func (a *app) measureLogin(h oauth.Happening) {
	switch {
	case h.Event == oauth.LoggedIn:
		a.metrics.Login(h.Server, outcomeOf(h))
	case h.Event == oauth.RefreshRefused:
		a.metrics.Refresh(h.Server, metrics.RefreshRefused)
	case h.Event == oauth.Refreshed && h.Err == nil:
		a.metrics.Refresh(h.Server, metrics.RefreshOK)
	case h.Event == oauth.Refreshed:
		a.metrics.Refresh(h.Server, metrics.RefreshFailed)
	}
}
