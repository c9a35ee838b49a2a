package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/mcptest"
	"mcpo/internal/oauthtest"
)

// protected is mcpo with a lab behind it, which it calls "lab".
type protected struct {
	*proxy
	lab     *lab
	config  string
	browser string // a program that keeps the links it is told to open
}

// protect starts mcpo before the lab.
func protect(t *testing.T, l *lab) *protected {
	t.Helper()
	return protectWith(t, l, nil)
}

// protectWith does so with more in the oauth block.
func protectWith(t *testing.T, l *lab, more map[string]any) *protected {
	t.Helper()
	dir := t.TempDir()
	m := &protected{lab: l, config: filepath.Join(dir, "config.json"), browser: filepath.Join(dir, "browser")}
	oauth := map[string]any{"server_url": l.issuer, "callback_port": json.Number(freePort(t))}
	maps.Copy(oauth, more)
	config, err := json.Marshal(map[string]any{
		"mcpServers": map[string]serverConfig{"lab": {"type": "streamable-http", "url": l.mcp, "oauth": oauth}},
		"storage":    map[string]any{"path": filepath.Join(dir, "storage")},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "config.json", string(config))
	script := "#!/bin/sh\nprintf '%s\\n' \"$1\" >>\"$0.opened\"\n"
	if err := os.WriteFile(m.browser, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BROWSER", m.browser)
	m.start(t)
	return m
}

func (m *protected) start(t *testing.T) {
	t.Helper()
	m.proxy = startOurs(t, "--config", m.config)
}

// logout runs the command of that name.
func (m *protected) logout(t *testing.T) {
	t.Helper()
	if out, err := m.command(t, "logout").CombinedOutput(); err != nil {
		t.Fatalf("mcpo logout: %v\n%s", err, out)
	}
}

// command is mcpo login and the like, for the lab.
func (m *protected) command(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	return exec.Command(mcptest.Build(t, "mcpo/cmd/mcpo"), name, "--config", m.config, "lab")
}

// links are what the browser was told to open so far.
func (m *protected) links(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(m.browser + ".opened")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// opened waits for the browser to be told the n-th link, and gives that.
func (m *protected) opened(t *testing.T, n int) string {
	t.Helper()
	m.eventually(t, func() error {
		if links := m.links(t); len(links) < n {
			return fmt.Errorf("the browser was opened %d times", len(links))
		}
		return nil
	})
	return m.links(t)[n-1]
}

// browse follows a link to its end.
func browse(t *testing.T, link string, o oauthtest.BrowseOptions) oauthtest.Page {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	shown, err := oauthtest.Browse(ctx, link, o)
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

// signIn follows a link and approves of what is asked.
func (m *protected) signIn(t *testing.T, link string) {
	t.Helper()
	shown := browse(t, link, oauthtest.BrowseOptions{User: "alice"})
	if shown.Status != http.StatusOK || !strings.Contains(shown.Body, "Connected") {
		t.Fatalf("the page after the login has status %d and says: %s", shown.Status, shown.Body)
	}
}

// whoami calls the tool that needs a login.
func (m *protected) whoami() (answer, error) {
	return m.call("/lab"+m.lab.whoami.path, m.lab.whoami.body)
}

// works makes a call, and gives an error unless it is answered as the person.
func (m *protected) works() error {
	a, err := m.whoami()
	if err == nil && (a.Status != http.StatusOK || !strings.Contains(a.Body, "alice")) {
		err = fmt.Errorf("the call was answered with %d %s", a.Status, a.Body)
	}
	return err
}

// asked is the detail of an answer that wants a login first.
type asked struct {
	Error, Message, Server string
	URL                    string `json:"authorization_url"`
}

// ask makes a call that must be answered with a link.
func (m *protected) ask() (asked, error) {
	a, err := m.whoami()
	if err != nil {
		return asked{}, err
	}
	var body struct{ Detail asked }
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != http.StatusUnauthorized {
		return asked{}, fmt.Errorf("the call was answered with %d %s (%v)", a.Status, a.Body, err)
	}
	return body.Detail, nil
}

func (m *protected) asksForLogin() error {
	_, err := m.ask()
	return err
}

func (m *protected) mustAsk(t *testing.T) asked {
	t.Helper()
	detail, err := m.ask()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(detail.URL, "http://") || !strings.Contains(detail.Message, detail.URL) || detail.Server != "lab" {
		t.Errorf("a call without a login gets %+v, want a message with the link", detail)
	}
	return detail
}

// notSignedIn tells that nothing but a login is offered.
func (m *protected) notSignedIn(t *testing.T) {
	t.Helper()
	if detail := m.mustAsk(t); detail.Error != "authentication_required" && detail.Error != "token_expired" {
		t.Errorf("a call without a login gets the error %q", detail.Error)
	}
	if diff := cmp.Diff([]string{"get /login"}, m.operations(t)); diff != "" {
		t.Errorf("operations without a login (-want +got):\n%s", diff)
	}
	if s := m.status(t); s.Authenticated || s.Server != "lab" {
		t.Errorf("the status without a login is %+v", s)
	}
}

// operations lists what the document of the lab offers, as "post /add".
func (m *protected) operations(t *testing.T) (list []string) {
	t.Helper()
	var d struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := m.got("/lab/openapi.json", &d); err != nil {
		t.Fatal(err)
	}
	for path, methods := range d.Paths {
		for method := range methods {
			list = append(list, method+" "+path)
		}
	}
	slices.Sort(list)
	return list
}

type loginStatus struct {
	Server        string
	Authenticated bool
	ExpiresAt     any `json:"expires_at"`
	Scopes        []string
}

func (m *protected) status(t *testing.T) (s loginStatus) {
	t.Helper()
	if err := m.got("/oauth/lab/status", &s); err != nil {
		t.Fatal(err)
	}
	return s
}
