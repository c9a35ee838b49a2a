package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/oauthtest"
)

// logoutUser runs the command and gives what it writes.
func logoutUser(t *testing.T, o Options, name, user string) (string, error) {
	t.Helper()
	var b bytes.Buffer
	err := LogoutUser(t.Context(), o, name, user, &b)
	return b.String(), err
}

// tokensOf is the table of an account.
func tokensOf(t *testing.T, o Options, user string) string {
	t.Helper()
	var b bytes.Buffer
	if err := Tokens(t.Context(), o, user, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestLogoutUser: somebody's logins end in a running mcpo and at the
// authorization server, and nobody else's do.
func TestLogoutUser(t *testing.T) {
	const key = "the key of a test's Open WebUI"
	s, h := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t)
	write(t, h.path, fmt.Sprintf(`{"storage": {"path": %q}, "identity": {"webui_secret_key": %q}, "mcpServers": {%s, %s}}`,
		filepath.Join(h.dir, "storage"), key, guarded("a", s.MCP, freePort(t), ""), guarded("b", s.Second, freePort(t), "")))
	o := Options{ConfigPath: h.path, AuditLog: filepath.Join(h.dir, "audit.log")}
	m := run(t, o)
	ask := func(user, server string) (int, string) {
		req, err := http.NewRequest(http.MethodPost, m.url+"/"+server+"/whoami", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+signed(t, key, map[string]any{"id": user, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}))
		return m.send(req)
	}
	for _, user := range []string{"u-1", "u-2"} {
		for _, server := range []string{"a", "b"} {
			_, body := ask(user, server)
			_, link, _ := strings.Cut(body, `"authorization_url":"`)
			link, _, _ = strings.Cut(link, `"`)
			browseTo(t, link, oauthtest.BrowseOptions{User: user})
			if status, body := ask(user, server); status != http.StatusOK {
				t.Fatalf("%s at %s: %d %s", user, server, status, body)
			}
		}
	}
	o = commandOptions(o)
	if table := tokensOf(t, o, "u-1"); strings.Count(table, "user:u-1") != 2 || strings.Contains(table, "u-2") {
		t.Errorf("the table of u-1:\n%s", table)
	}
	said, err := logoutUser(t, o, "a", "u-1")
	if err != nil || said != "user:u-1: Logged out of a. Its tokens were revoked.\n" {
		t.Errorf("at a: %q, %v", said, err)
	}
	said, err = logoutUser(t, o, "", "user:u-1")
	if err != nil || said != "user:u-1: Logged out of b. Its tokens were revoked.\n" {
		t.Errorf("everywhere: %q, %v", said, err)
	}
	said, err = logoutUser(t, o, "", "u-1")
	if err != nil || said != "u-1 is not logged in anywhere.\n" {
		t.Errorf("again: %q, %v", said, err)
	}
	if table := tokensOf(t, o, ""); strings.Count(table, "user:u-2") != 2 || strings.Contains(table, "u-1") {
		t.Errorf("the table after it:\n%s", table)
	}
	for _, server := range []string{"a", "b"} {
		// The tokens were revoked, so that a running mcpo is refused with them.
		if status, body := ask("u-1", server); status != http.StatusUnauthorized {
			t.Errorf("u-1 at %s: %d %s", server, status, body)
		}
		if status, body := ask("u-2", server); status != http.StatusOK {
			t.Errorf("u-2 at %s: %d %s", server, status, body)
		}
	}
	got := strings.Join(entries(t, o.AuditLog), "\n")
	for _, want := range []string{"disconnect user:u-1 a revoked", "disconnect user:u-1 b revoked"} {
		if !strings.Contains(got, want) {
			t.Errorf("the audit log lacks %s:\n%s", want, got)
		}
	}
}

// commandOptions are the options of a command beside an mcpo with these.
func commandOptions(o Options) Options {
	o.Port, o.ServerType, o.ShutdownTimeout, o.Log = 8000, "stdio", hurry, slog.New(slog.DiscardHandler)
	return o
}

// TestLogoutUserOfWhatIsLeft: logins that cannot be revoked, or that the
// configuration has no use for, are removed all the same, and it is said.
func TestLogoutUserOfWhatIsLeft(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{NoRevocation: true})
	o := protectedBy(t, s.MCP, "")
	o.AuditLog = filepath.Join(filepath.Dir(o.ConfigPath), "audit.log")
	for server, who := range map[string]caller.ID{"gone": caller.User("1"), "plain": caller.FromStore("unverified:1"), "lab": caller.User("1")} {
		keep(t, o, server, who, map[string]any{"server": s.MCP, "issuer": s.Issuer})
	}
	keep(t, o, "lab", caller.Local(), map[string]any{"server": s.MCP, "issuer": s.Issuer})
	keep(t, o, "lab", caller.User("11"), map[string]any{"server": s.MCP, "issuer": s.Issuer})
	said, err := logoutUser(t, o, "", "1")
	for _, want := range []string{
		"user:1: Logged out of gone, which has no logins in the configuration.", "unverified:1: Logged out of plain, which has no logins",
		"user:1: Logged out of lab. Its tokens were removed here, and may still be valid there",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("LogoutUser lacks %q:\n%s", want, said)
		}
	}
	if err != nil || strings.Count(said, "\n") != 3 {
		t.Errorf("LogoutUser says %v and\n%s", err, said)
	}
	if table := tokens(t, o); strings.Contains(table, "user:1 ") || !strings.Contains(table, "local") || !strings.Contains(table, "user:11") {
		t.Errorf("after it:\n%s", table)
	}
	if got := entries(t, o.AuditLog); len(got) != 3 {
		t.Errorf("the audit log has %q", got)
	}
	// Callers that are no account are nobody's.
	if said, err := logoutUser(t, o, "", "local"); err != nil || said != "local is not logged in anywhere.\n" {
		t.Errorf("local: %q, %v", said, err)
	}
}

func TestLogoutUserThatFails(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{Instead: map[string]oauthtest.Answer{"revoke": {Status: http.StatusServiceUnavailable}}})
	o := protectedBy(t, s.MCP, "")
	keep(t, o, "lab", caller.User("1"), map[string]any{"server": s.MCP, "issuer": s.Issuer})
	said, err := logoutUser(t, o, "", "1")
	exits(t, err, 1, "not all tokens of 1 were revoked")
	if !strings.HasPrefix(said, "user:1: logged out of lab here, but revoking the tokens") {
		t.Errorf("it says %q", said)
	}
	if table := tokens(t, o); !strings.Contains(table, "Nobody is logged in.") {
		t.Errorf("after it:\n%s", table)
	}
	_, err = logoutUser(t, protectedBy(t, s.MCP, `"multi_user": false,`), "lab", "1")
	exits(t, err, 1, "one login that all share")
	o.AuditLog = os.TempDir()
	_, err = logoutUser(t, o, "", "1")
	exits(t, err, 1, "opening the audit log")
}
