package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcpo/internal/caller"
	"mcpo/internal/mcptest"
	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// three is how many replicas there are.
const three = 3

// Secrets that all replicas have.
const (
	replicasKey     = "the key that callers of the replicas show"
	replicasSealing = "the key that the replicas seal their records with"
)

// shared is a place that replicas keep logins in.
type shared struct {
	config map[string]any                 // the storage block
	open   func(t *testing.T) oauth.Store // the same place, for the test to look into
	tells  bool                           // it tells replicas what others change
}

// onEachStorage tells a story about replicas for every kind of storage.
func onEachStorage(t *testing.T, tell func(*testing.T, shared)) {
	t.Run("file", func(t *testing.T) { tell(t, inFiles(t)) })
}

func inFiles(t *testing.T) shared {
	dir := filepath.Join(t.TempDir(), "storage")
	return shared{
		config: map[string]any{"path": dir, "encryption_key": replicasSealing},
		open: func(t *testing.T) oauth.Store {
			files, err := store.Open(store.Options{Dir: dir, Keys: []string{replicasSealing}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			return files
		},
	}
}

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
}

// replicate starts three mcpo before a lab that behaves as o says.
func replicate(t *testing.T, s shared, o oauthtest.Options) *replicas {
	t.Helper()
	r := prepare(t, s, o)
	for i := range r.all {
		r.start(t, i)
	}
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
	t.Cleanup(func() {
		if n := r.outside.Replays(); n != 0 {
			t.Errorf("refresh tokens that were spent came %d times again", n)
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 200}
	r.http = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return r
}

// start starts replica i.
func (r *replicas) start(t *testing.T, i int) {
	t.Helper()
	r.all[i] = startOurs(t, "--config", r.config, "--public-url", r.url, "--api-key", replicasKey)
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

// member is somebody for whom Open WebUI calls, and who has an account of the
// same name at the lab.
type member struct {
	of          *replicas
	name, proof string
}

// member signs calls for somebody, as Open WebUI does.
func (r *replicas) member(t *testing.T, name string) member {
	t.Helper()
	now := time.Now()
	proof, err := jwt.NewWithClaims(jwt.SigningMethodHS256,
		jwt.MapClaims{"sub": name, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}).SignedString([]byte(forwardKey))
	if err != nil {
		t.Fatal(err)
	}
	return member{r, name, proof}
}

// heard is what a member hears.
type heard struct {
	status     int
	body       string
	retryAfter string
}

// ask sends a request to the replica at base, or to the balancer.
func (m member) ask(method, url, body string) (heard, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return heard{}, err
	}
	req.Header.Set("Authorization", "Bearer "+replicasKey)
	req.Header.Set("X-OpenWebUI-User-Jwt", m.proof)
	req.Header.Set("Content-Type", "application/json")
	resp, err := m.of.http.Do(req)
	if err != nil {
		return heard{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return heard{resp.StatusCode, string(bytes.TrimSpace(b)), resp.Header.Get("Retry-After")}, err
}

// works makes a call, and gives an error unless it is answered with the
// member's name.
func (m member) works(base string) error {
	a, err := m.ask(http.MethodPost, base+"/lab/whoami", "{}")
	if err == nil && (a.status != http.StatusOK || a.body != `"`+m.name+`"`) {
		err = fmt.Errorf("the call of %s was answered with %d %s", m.name, a.status, a.body)
	}
	return err
}

// mustWork makes calls at all replicas.
func (m member) mustWork(t *testing.T) {
	t.Helper()
	for i, p := range m.of.all {
		if err := m.works(p.base); err != nil {
			t.Fatalf("at replica %d: %v", i, err)
		}
	}
}

// link makes a call, and gives the link that it is answered with. The error says
// what was answered instead.
func (m member) link(base string) (asked, error) {
	a, err := m.ask(http.MethodPost, base+"/lab/whoami", "{}")
	if err != nil {
		return asked{}, err
	}
	var body struct{ Detail asked }
	err = json.Unmarshal([]byte(a.body), &body)
	if err != nil || a.status != http.StatusUnauthorized || !strings.HasPrefix(body.Detail.URL, m.of.url+"/") {
		return asked{}, fmt.Errorf("%s is answered %d %s, want a link (%v)", m.name, a.status, a.body, err)
	}
	return body.Detail, nil
}

func (m member) mustLink(t *testing.T, base string) string {
	t.Helper()
	detail, err := m.link(base)
	if err != nil {
		t.Fatal(err)
	}
	return detail.URL
}

// logIn logs the member in, through the balancer.
func (m member) logIn(t *testing.T) {
	t.Helper()
	m.follow(t, m.mustLink(t, m.of.url))
}

func (m member) follow(t *testing.T, link string) {
	t.Helper()
	if shown := browse(t, link, oauthtest.BrowseOptions{User: m.name}); shown.Status != http.StatusOK || !strings.Contains(shown.Body, "Connected") {
		t.Fatalf("the page after the login of %s has status %d and says: %s", m.name, shown.Status, shown.Body)
	}
}

// grantOf is what is stored of a member's login.
type grantOf struct {
	AccessToken string `json:"access_token"`
	Spending    string
}

// grant reads the member's login from where it is kept.
func (m member) grant(t *testing.T, kept oauth.Store) (g grantOf) {
	t.Helper()
	record, err := kept.Get(t.Context(), m.key())
	if err := errors.Join(err, json.Unmarshal(record.Value, &g)); err != nil {
		t.Fatal(err)
	}
	return g
}

func (m member) key() store.Key {
	return store.Key{Kind: store.Grants, Server: "lab", Caller: caller.User(m.name)}
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
