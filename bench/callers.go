//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Callers are told apart by tokens like those of Open WebUI, signed with this.
const webUIKey = "the-key-of-the-benchmark-0123456789"

// The same server twice: each caller has a connection of their own to the one,
// and all share a connection to the other.
const (
	ownServer    = "own"
	sharedServer = "shared"
)

// inFlight is how many calls of all callers are under way at a time.
const inFlight = 64

// crowd is what so many callers cost.
type crowd struct {
	n           int
	grown       float64 // MiB of memory when all of them rest, above that of none
	first       sample  // each caller's first call, with a grant that was stored before
	renewed     sample  // each caller's first call after the access tokens have run out
	own, shared []sample
	documents   sample // asked for again, and not changed
}

// authorizations are the headers of n callers.
func authorizations(n int) ([]string, error) {
	list := make([]string, n)
	for i := range list {
		now := time.Now()
		claims := jwt.MapClaims{"id": fmt.Sprintf("caller-%05d", i), "iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix()}
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(webUIKey))
		if err != nil {
			return nil, fmt.Errorf("signing a caller's token: %w", err)
		}
		list[i] = "Bearer " + token
	}
	return list, nil
}

// callerFigures measure ten callers, a hundred, and so on. Each has logged in
// before, and each number of them meets a new mcpo.
func (b *bench) callerFigures() error {
	g, err := b.peers.gate()
	if err != nil {
		return err
	}
	defer g.stop()
	closed := map[string]map[string]any{ownServer: {"multi_user": true}, sharedServer: {"multi_user": false}}
	config, err := b.peers.configure("callers", g, closed, map[string]any{"identity": map[string]any{"webui_secret_key": webUIKey}})
	if err != nil {
		return err
	}
	everybody, err := authorizations(b.callers)
	if err != nil {
		return err
	}
	known := 0 // have logged in
	for n := 10; n <= b.callers; n *= 10 {
		if err := b.logins(config, everybody[known:n], known == 0); err != nil {
			return err
		}
		known = n
		b.progress("%d callers have logged in", n)
		c, err := b.crowd(g, config, everybody[:n])
		if err != nil {
			return err
		}
		b.callerRows(c)
	}
	return nil
}

// logins has callers log in, some at a time, and the shared one too at first.
func (b *bench) logins(config string, who []string, first bool) error {
	p, err := b.peers.configured(ours, config)
	if err != nil {
		return err
	}
	defer p.stop()
	if err := p.ready("/open/echo", `{"message":"ready?"}`); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if first {
		if err := p.login(ctx, "/"+sharedServer+"/echo", ""); err != nil {
			return err
		}
	}
	const atOnce = 8
	errs := make([]error, atOnce)
	var wg sync.WaitGroup
	for i := range atOnce {
		wg.Go(func() {
			for n := i; n < len(who) && errs[i] == nil; n += atOnce {
				errs[i] = p.login(ctx, "/"+ownServer+"/echo", who[n])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// crowd starts mcpo anew and measures it with these callers.
func (b *bench) crowd(g gate, config string, who []string) (crowd, error) {
	c := crowd{n: len(who)}
	p, err := b.peers.configured(ours, config)
	if err != nil {
		return c, err
	}
	defer p.stop()
	if err := p.ready("/"+sharedServer+"/echo", `{"message":"ready?"}`); err != nil {
		return c, err
	}
	headers := make([]string, len(who))
	for i, authorization := range who {
		headers[i] = "Authorization: " + authorization + "\r\n"
	}
	if err := c.arrive(p, headers); err != nil {
		return c, fmt.Errorf("measuring the first calls of %d callers: %w, see %s", c.n, err, p.log)
	}
	if err := b.converse(p, &c, headers); err != nil {
		return c, fmt.Errorf("measuring calls of %d callers: %w, see %s", c.n, err, p.log)
	}
	if err := c.renew(g, p, headers); err != nil {
		return c, fmt.Errorf("measuring refreshes of %d callers: %w, see %s", c.n, err, p.log)
	}
	if err := b.readAgain(p, &c, who); err != nil {
		return c, fmt.Errorf("measuring documents of %d callers: %w, see %s", c.n, err, p.log)
	}
	return c, nil
}

// arrive lets all callers call for the first time, one after the other, and
// then looks at what they left.
func (c *crowd) arrive(p *process, headers []string) error {
	const rest = 2 * time.Second
	time.Sleep(rest)
	before, err := p.resident()
	if err != nil {
		return err
	}
	l := load{path: "/" + ownServer + "/echo", headers: headers, body: sizes()[0].body, connections: 1, once: true}
	if c.first, err = p.measure(l); err != nil {
		return err
	}
	time.Sleep(rest)
	after, err := p.resident()
	c.grown = after - before
	return err
}

// renew has the server refuse all access tokens, so that each caller's next call
// gets another one: of a thousand callers, 64 at a time.
func (c *crowd) renew(g gate, p *process, headers []string) error {
	if err := g.expire(time.Hour); err != nil {
		return err
	}
	var err error
	some := headers[:min(len(headers), 1000)]
	l := load{path: "/" + ownServer + "/echo", headers: some, body: sizes()[0].body, connections: min(inFlight, len(some)), once: true}
	c.renewed, err = p.measure(l)
	return err
}

// converse keeps calls of all callers in flight, each on a connection of its
// own, against as many calls on one connection.
func (b *bench) converse(p *process, c *crowd, headers []string) error {
	l := load{body: sizes()[0].body, connections: inFlight, duration: b.duration / 2}
	for round := range 2*b.rounds + 1 {
		l.path, l.headers = "/"+ownServer+"/echo", headers
		own, err := p.measure(l)
		if err != nil {
			return err
		}
		l.path, l.headers = "/"+sharedServer+"/echo", nil
		shared, err := p.measure(l)
		if err != nil {
			return err
		}
		if round > 0 { // the first one only warmed up
			c.own, c.shared = append(c.own, own), append(c.shared, shared)
		}
	}
	return nil
}

// readAgain asks for documents as who has them already does.
func (b *bench) readAgain(p *process, c *crowd, who []string) error {
	l := load{method: http.MethodGet, path: "/" + ownServer + "/openapi.json", status: http.StatusNotModified, connections: inFlight, duration: b.duration}
	for _, authorization := range who {
		tag, err := p.etag(l.path, authorization)
		if err != nil {
			return err
		}
		l.headers = append(l.headers, "Authorization: "+authorization+"\r\nIf-None-Match: "+tag+"\r\n")
	}
	var err error
	c.documents, err = p.measure(l)
	return err
}

// etag gets a document for what it is recognised by.
func (p *process) etag(path, authorization string) (string, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+p.addr+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", authorization)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	tag := resp.Header.Get("Etag")
	if resp.StatusCode != http.StatusOK || tag == "" {
		return "", fmt.Errorf("%s answered %s with the tag %q", path, resp.Status, tag)
	}
	return tag, nil
}
