//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// The servers before which a load runs in one and the same mcpo: a login is all
// that is different.
const (
	withoutLogin = "Go, HTTP, without a login"
	withLogin    = "Go, HTTP, with a login"
)

// oauthFigures measure what a login costs: nothing that can be seen in a call,
// and one request when its token has run out.
func (b *bench) oauthFigures() error {
	g, err := b.peers.gate()
	if err != nil {
		return err
	}
	defer g.stop()
	config, err := b.peers.configure("login", g, map[string]map[string]any{"closed": {"multi_user": false}}, nil)
	if err != nil {
		return err
	}
	p, err := b.peers.configured(ours, config)
	if err != nil {
		return err
	}
	defer p.stop()
	if err := p.ready("/open/echo", `{"message":"ready?"}`); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.login(ctx, "/closed/echo", ""); err != nil {
		return err
	}
	if err := p.ready("/closed/echo", `{"message":"ready?"}`); err != nil {
		return err
	}
	if err := b.loginFigures(p); err != nil {
		return err
	}
	return b.expiryFigures(g, p)
}

// loginFigures runs the same load before both servers, A B B A. The samples are
// short and many: what is looked for is smaller than the machine's moods.
func (b *bench) loginFigures(p *process) error {
	const connections = 16
	small := sizes()[0]
	l := load{body: small.body, connections: connections, duration: b.duration / 4}
	paths := map[string]string{withoutLogin: "/open/echo", withLogin: "/closed/echo"}
	got := map[string][]sample{}
	names := []string{withoutLogin, withLogin}
	for round := range 8*b.rounds + 1 {
		slices.Reverse(names)
		for _, name := range names {
			l.path = paths[name]
			s, err := p.measure(l)
			if err != nil {
				return fmt.Errorf("measuring %s: %w, see %s", name, err, p.log)
			}
			if round > 0 { // the first one only warmed up
				got[name] = append(got[name], s)
			}
		}
	}
	for _, name := range []string{withoutLogin, withLogin} {
		c := combination{server: server{name: name}, size: small, connections: connections}
		b.report.Lines = append(b.report.Lines, lineOf(c, ours, got[name], nil))
	}
	b.loginRows(got[withLogin], got[withoutLogin])
	return nil
}

// expiry is what calls that came at once had to pay for a token that ran out.
type expiry struct {
	refreshes int
	took      time.Duration // until all were answered
}

// expiryFigures send 100 calls at the moment when the access token is over:
// once because the server refuses it, once because its time is up.
func (b *bench) expiryFigures(g gate, p *process) error {
	l := load{path: "/closed/echo", body: []byte(`{"message":"now"}`)}
	for _, f := range []struct {
		name string
		ends func() error
	}{
		{"the server refuses the token", func() error { return g.expire(time.Hour) }},
		{"the token's time is up", func() error { return runOut(g, p) }},
	} {
		var all []expiry
		for range b.rounds {
			if err := f.ends(); err != nil {
				return err
			}
			e, err := g.burst(p, l)
			if err != nil {
				return fmt.Errorf("measuring what is after %s: %w, see %s", f.name, err, p.log)
			}
			all = append(all, e)
		}
		b.expiryRow(f.name, all)
	}
	return nil
}

// runOut gives mcpo a token that lives for a second and waits for its end.
// Those after it live longer, so that no call meets a second end.
func runOut(g gate, p *process) error {
	if err := g.expire(time.Second); err != nil {
		return err
	}
	if err := p.ready("/closed/echo", `{"message":"ready?"}`); err != nil {
		return err
	}
	time.Sleep(1100 * time.Millisecond)
	return g.expire(time.Hour)
}

func (g gate) burst(p *process, l load) (expiry, error) {
	before, err := g.state()
	if err != nil {
		return expiry{}, err
	}
	took, err := l.burst(p.addr, 100)
	if err != nil {
		return expiry{}, err
	}
	after, err := g.state()
	return expiry{after.Refreshes - before.Refreshes, took}, err
}
