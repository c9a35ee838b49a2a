package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcpo/internal/oauthtest"
)

// visitor is somebody whom Open WebUI knows, and whose calls say so.
type visitor struct {
	*protected
	name, token string
}

// forPeople starts mcpo before the lab, with the key that tells people apart.
func forPeople(t *testing.T, l *lab) *protected {
	t.Helper()
	return protectWith(t, l, map[string]any{"webui_secret_key": webUIKey})
}

// visitor gives a person a session of Open WebUI, which signs such tokens.
func (m *protected) visitor(t *testing.T, name string) visitor {
	t.Helper()
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256,
		jwt.MapClaims{"id": name, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}).SignedString([]byte(webUIKey))
	if err != nil {
		t.Fatal(err)
	}
	return visitor{m, name, token}
}

func (v visitor) ask(method, path, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, v.base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+v.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, strings.TrimSpace(string(b))}, err
}

func (v visitor) whoami() (answer, error) {
	return v.ask(http.MethodPost, "/lab"+v.lab.whoami.path, v.lab.whoami.body)
}

// works makes a call, and gives an error unless it is answered with the account.
func (v visitor) works(account string) error {
	a, err := v.whoami()
	if err == nil && (a.Status != http.StatusOK || a.Body != `"`+account+`"`) {
		err = fmt.Errorf("the call of %s was answered with %d %s, want %s", v.name, a.Status, a.Body, account)
	}
	return err
}

// link makes a call that wants a login, and gives the link in its answer.
func (v visitor) link(t *testing.T) string {
	t.Helper()
	a, err := v.whoami()
	if err != nil {
		t.Fatal(err)
	}
	var body struct{ Detail asked }
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != http.StatusUnauthorized || !strings.HasPrefix(body.Detail.URL, "http://localhost:") {
		t.Fatalf("%s is answered %d %s, want a link", v.name, a.Status, a.Body)
	}
	return body.Detail.URL
}

// connected is the status at the lab.
func (v visitor) connected(t *testing.T) bool {
	t.Helper()
	a, err := v.ask(http.MethodGet, "/oauth/lab/status", "")
	var s struct {
		User          string
		Authenticated bool
	}
	if err := errors.Join(err, json.Unmarshal([]byte(a.Body), &s)); err != nil || a.Status != http.StatusOK || s.User != v.name {
		t.Errorf("the status of %s is %d %s (%v)", v.name, a.Status, a.Body, err)
	}
	return s.Authenticated
}

// TestTwoPeople has two people log in at servers that strangers wrote, each from
// the link in the own refusal. Whatever one of them does is nothing to the other.
func TestTwoPeople(t *testing.T) {
	if !full() {
		t.Skip("needs authorization servers from package registries; .ci/run installs them and runs this test (it sets MCPO_TEST_FULL=1)")
	}
	for _, k := range labKinds() {
		if k.asksSomebody() { // elsewhere all are the same person
			t.Run(k.name, func(t *testing.T) { twoPeople(t, k) })
		}
	}
}

func twoPeople(t *testing.T, k labKind) {
	l := k.start(t, "ACCESS_TTL=3")
	m := forPeople(t, l)
	// Their accounts have other names than they have at Open WebUI, crosswise.
	one, two := m.visitor(t, "bob"), m.visitor(t, "alice")
	first, second := one.link(t), two.link(t)
	if first == second {
		t.Fatalf("two people are given one link: %s", first)
	}
	logIn(t, second, "bob")
	m.eventually(t, func() error { return two.works("bob") })
	if one.connected(t) || !two.connected(t) {
		t.Error("a login counts for another person")
	}
	logIn(t, first, "alice")
	m.eventually(t, func() error { return one.works("alice") })
	for _, link := range []string{first, second} { // works once
		if shown := browse(t, link, oauthtest.BrowseOptions{User: "alice"}); shown.Status != http.StatusBadRequest {
			t.Errorf("a link that was used: %d %s", shown.Status, shown.Body)
		}
	}
	m.eventually(t, func() error { // their tokens run out meanwhile
		if err := errors.Join(one.works("alice"), two.works("bob")); err != nil {
			t.Fatal(err)
		}
		if n := l.count(refreshes); n < 4 {
			return fmt.Errorf("the tokens were refreshed %d times", n)
		}
		return nil
	})
	l.counts(t, registrations, 1)
	l.counts(t, logins, 2)
	if a, err := one.ask(http.MethodPost, "/connections/lab/disconnect", ""); err != nil || a.Status != http.StatusOK {
		t.Errorf("leaving: %d %s, %v", a.Status, a.Body, err)
	}
	l.counts(t, revocations, 1)
	one.link(t)
	if err := two.works("bob"); err != nil {
		t.Errorf("after the other left: %v", err)
	}
	m.stop()
	m.start(t)
	m.eventually(t, func() error { return two.works("bob") })
	if a, err := one.ask(http.MethodGet, "/lab/openapi.json", ""); err != nil || strings.Contains(a.Body, k.whoami.path) {
		t.Errorf("who has left sees %s, %v", a.Body, err)
	}
	if everybody := m.operations(t); !slices.Contains(everybody, "post "+k.whoami.path) || !slices.Contains(everybody, "get /login") {
		t.Errorf("after the restart everybody sees %q", everybody)
	}
	one.link(t)
}
