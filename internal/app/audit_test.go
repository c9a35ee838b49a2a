package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"
)

// entries are the lines of an audit log, in short.
func entries(t *testing.T, path string) (all []string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(raw)) {
		var e struct{ Event, Caller, Server, Outcome string }
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, strings.Join([]string{e.Event, e.Caller, e.Server, e.Outcome}, " "))
	}
	return all
}

// TestAuditLog follows a login through its life, and the file through being
// moved away. None of the tokens are in it (threats 12).
func TestAuditLog(t *testing.T) {
	s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
	h.write(guarded("lab", s.MCP, freePort(t), one))
	path := filepath.Join(h.dir, "audit.log")
	browse, page := p.browser(oauthtest.BrowseOptions{})
	m := run(t, Options{ConfigPath: h.path, AuditLog: path, Terminal: Terminal{Out: p, Browse: browse}})
	page()
	m.await(200, "POST", "/lab/whoami", "{}")
	before := entries(t, path)
	if before[0] != "login shared lab ok" || before[len(before)-1] != "call shared lab 200" {
		t.Errorf("after a login and a call: %q", before)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	m.reload <- struct{}{}
	m.reload <- struct{}{} // taken when the first is done
	if status, body := m.get("POST", "/connections/lab/disconnect", ""); status != http.StatusOK {
		t.Fatalf("disconnecting: %d %s", status, body)
	}
	if got := entries(t, path); len(got) != 1 || got[0] != "disconnect shared lab revoked" {
		t.Errorf("after disconnecting: %q", got)
	}
	if now := entries(t, path+".1"); len(now) != len(before) {
		t.Errorf("the old file has %q", now)
	}
	for _, name := range []string{path, path + ".1"} {
		raw, _ := os.ReadFile(name)
		for _, token := range s.Tokens() {
			if strings.Contains(string(raw), token) {
				t.Errorf("%s holds a token", name)
			}
		}
	}
}

func TestAuditLogOfARefusedRefresh(t *testing.T) {
	s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
	h.write(guarded("lab", s.MCP, freePort(t), one))
	path := filepath.Join(h.dir, "audit.log")
	browse, page := p.browser(oauthtest.BrowseOptions{})
	m := run(t, Options{ConfigPath: h.path, AuditLog: path, Terminal: Terminal{Out: p, Browse: browse}})
	page()
	m.await(200, "POST", "/lab/whoami", "{}")
	s.RevokeAll()
	m.await(401, "POST", "/lab/whoami", "{}")
	if got := strings.Join(entries(t, path), "\n"); !strings.Contains(got, "\nrefresh_refused shared lab refused\n") {
		t.Errorf("the audit log has\n%s", got)
	}
}

// TestAuditLogThatCannotBe is an error at the start.
func TestAuditLogThatCannotBe(t *testing.T) {
	h := newHousehold(t)
	h.write(open(t, "clock"))
	err := Run(t.Context(), Options{Host: "127.0.0.1", ConfigPath: h.path, AuditLog: h.dir, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "opening the audit log: ") {
		t.Errorf("Run = %v", err)
	}
}

func TestOutcomes(t *testing.T) {
	for want, h := range map[string]oauth.Happening{
		"ok":            {Event: oauth.LoggedIn},
		"denied":        {Event: oauth.LoggedIn, Err: fmt.Errorf("x: %w", &oauth.DeniedError{Code: "access_denied"})},
		"failed":        {Event: oauth.LoggedIn, Err: &oauth.DeniedError{Code: "evil\n", Description: "evil"}},
		"other_browser": {Event: oauth.LoggedIn, Err: oauth.ErrOtherBrowser},
		"other_issuer":  {Event: oauth.LoggedIn, Err: oauth.ErrIssuer},
		"refused":       {Event: oauth.RefreshRefused, Err: errors.New("evil")},
		"revoked":       {Event: oauth.LoggedOut},
		"not_revoked":   {Event: oauth.LoggedOut, Err: &oauth.NotRevokedError{}},
	} {
		if got := outcomeOf(h); got != want {
			t.Errorf("%+v is %q, want %q", h, got, want)
		}
	}
}
