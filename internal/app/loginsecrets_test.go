package app

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcpo/internal/oauthtest"
)

// TestNoSecretLeavesTheApp: neither the log, at its most talkative, nor the
// terminal, nor any file holds what a login is worth (threats 12 and 17).
func TestNoSecretLeavesTheApp(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AuthMethod: "client_secret_basic"})
	h, p, log := newHousehold(t), newPerson(t), newPerson(t)
	h.write(guarded("lab", s.MCP, freePort(t), one), guarded("second", s.Second, freePort(t), one))
	browse, page := p.browser(oauthtest.BrowseOptions{})
	m := run(t, Options{ConfigPath: h.path, APIKey: "the-key-of-mcpo", Terminal: Terminal{Out: p, Browse: browse},
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	page()
	page()
	secrets := map[string]string{"the-key-of-mcpo": "mcpo's key"}
	note := func() {
		for _, endpoint := range []string{"token", "refresh", "revoke"} {
			for _, field := range []string{"code", "code_verifier", "refresh_token", "token"} {
				if v := s.LastForm(endpoint).Get(field); v != "" {
					secrets[v] = field
				}
			}
			if v := s.LastHeader(endpoint).Get("Authorization"); v != "" {
				secrets[strings.TrimPrefix(v, "Basic ")] = "the client's secret"
			}
		}
		for _, token := range s.Tokens() {
			secrets[token] = "a token"
		}
	}
	m.key = "the-key-of-mcpo"
	m.await(200, "POST", "/lab/whoami", "{}")
	m.await(200, "POST", "/second/whoami", "{}")
	note()
	s.Expire()
	m.await(200, "POST", "/lab/whoami", "{}")
	note()
	stored := filesOf(t, h.dir)
	s.RevokeAll()
	m.await(401, "POST", "/lab/whoami", "{}")
	m.await(200, "POST", "/connections/second/disconnect", "")
	note()
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	if len(secrets) < 10 || len(stored) < 1000 {
		t.Fatalf("%d secrets are known, %d bytes are stored", len(secrets), len(stored))
	}
	for secret, what := range secrets {
		for where, text := range map[string]string{"the log": log.reads(""), "the terminal": p.reads(""), "the folder": stored, "the folder at the end": filesOf(t, h.dir)} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", where, what)
			}
		}
	}
}

// filesOf is all that the files of a folder hold, with their names. What only
// its owner may read is open to nobody else.
func filesOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(filepath.Join(dir, "storage"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may use %s: %v", path, info.Mode())
		}
		if entry.IsDir() {
			return nil
		}
		text, err := os.ReadFile(path)
		all.WriteString(path + "\n" + string(text) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
