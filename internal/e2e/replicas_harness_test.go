package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mcpo/internal/mcptest"
	"mcpo/internal/oauthtest"
)

// three is how many replicas there are.
const three = 3

// replicasKey is the key that all replicas want to see.
const replicasKey = "the key that callers of the replicas show"

// replicas are several mcpo with one configuration and one storage, behind a
// balancer. Behind them is "lab", which wants logins, and "open", which does
// not.
type replicas struct {
	*balancer
	outside *oauthtest.Server
	shared  shared
	config  string
	http    *http.Client
	all     []*proxy
	args    []string // of each, beside those that all have
	replays int      // how often a spent refresh token may come again
}

// replicate starts three mcpo before a lab that behaves as o says.
func replicate(t *testing.T, s shared, o oauthtest.Options, args ...string) *replicas {
	t.Helper()
	r := prepare(t, s, o)
	r.args = args
	for i := range r.all {
		r.start(t, i)
	}
	t.Cleanup(func() {
		if n := r.outside.Replays(); n > r.replays {
			t.Errorf("refresh tokens that were spent came %d times again, want %d at most", n, r.replays)
		}
	})
	r.allServe(t)
	return r
}

// prepare is replicate, but for the start.
func prepare(t *testing.T, s shared, o oauthtest.Options) *replicas {
	t.Helper()
	r := &replicas{outside: oauthtest.Start(t, o), shared: s, all: make([]*proxy, three)}
	config, err := json.Marshal(map[string]any{
		"mcpServers": map[string]serverConfig{
			"lab":  {"type": "streamable-http", "url": r.outside.MCP, "oauth": map[string]any{"server_url": "auto"}},
			"open": {"type": "streamable-http", "url": mcptest.StartHTTP(t, mcptest.Options{})},
		},
		"storage":  s.config,
		"identity": map[string]any{"forward_jwt_secret": forwardKey},
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "config.json", string(config))
	r.config = filepath.Join(dir, "config.json")
	r.balancer = balance(t, three)
	transport := &http.Transport{MaxIdleConnsPerHost: 200}
	r.http = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return r
}

// start starts replica i.
func (r *replicas) start(t *testing.T, i int) {
	t.Helper()
	r.all[i] = startOurs(t, append([]string{"--config", r.config, "--public-url", r.url, "--api-key", replicasKey}, r.args...)...)
	r.put(t, i, r.all[i].base)
}

// kill ends replica i as a failing machine does.
func (r *replicas) kill(t *testing.T, i int) {
	t.Helper()
	if err := r.all[i].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.all[i].done
}

// allServe waits until the balancer sends requests to all.
func (r *replicas) allServe(t *testing.T) {
	t.Helper()
	await(t, func() error {
		for i := range r.all {
			if !r.serves(i) {
				return fmt.Errorf("replica %d is not ready", i)
			}
		}
		return nil
	})
}

// await repeats try until it gives no error.
func await(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("gave up waiting: %v", err)
		case <-tick.C:
		}
	}
}

// seen waits until an endpoint of the lab has had n requests.
func (r *replicas) seen(t *testing.T, endpoint string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.outside.Await(ctx, endpoint, n); err != nil {
		t.Fatalf("the endpoint %q has had %d requests, want %d", endpoint, r.outside.Requests(endpoint), n)
	}
}

// hadAtLab fails unless an endpoint of the lab has had n requests.
func (r *replicas) hadAtLab(t *testing.T, endpoint string, n int) {
	t.Helper()
	if had := r.outside.Requests(endpoint); had != n {
		t.Errorf("the endpoint %q has had %d requests, want %d", endpoint, had, n)
	}
}

// together runs n times do side by side and joins what went wrong.
func together(n int, do func(i int) error) error {
	problems := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { problems[i] = do(i) })
	}
	all.Wait()
	return errors.Join(problems...)
}
