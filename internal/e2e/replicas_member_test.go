package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mcpo/internal/caller"
	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// member is somebody for whom Open WebUI calls, and who has an account of the
// same name at the lab.
type member struct {
	of          *replicas
	name, proof string
}

// proofOf is the token with which Open WebUI calls for somebody.
func proofOf(t *testing.T, name string) string {
	t.Helper()
	now := time.Now()
	proof, err := jwt.NewWithClaims(jwt.SigningMethodHS256,
		jwt.MapClaims{"sub": name, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}).SignedString([]byte(forwardKey))
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// member signs calls for somebody, as Open WebUI does.
func (r *replicas) member(t *testing.T, name string) member {
	t.Helper()
	return member{r, name, proofOf(t, name)}
}

// heard is what a member hears.
type heard struct {
	status     int
	body       string
	retryAfter string
}

// ask sends a request to the replica at base, or to the balancer.
func (m member) ask(method, url, body string) (heard, error) {
	return m.askUntil(context.Background(), method, url, body)
}

// askUntil is ask for a member who leaves when ctx ends.
func (m member) askUntil(ctx context.Context, method, url, body string) (heard, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
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
func (m member) works(base string) error { return m.worksUntil(context.Background(), base) }

// worksUntil is works for a member who leaves when ctx ends.
func (m member) worksUntil(ctx context.Context, base string) error {
	a, err := m.askUntil(ctx, http.MethodPost, base+"/lab/whoami", "{}")
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
