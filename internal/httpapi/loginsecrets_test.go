package httpapi

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// told keeps all that mcpo tells callers and browsers.
type told struct {
	safeBuffer
}

func (k *told) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&overheard{w, k}, r)
		_ = w.Header().Write(k)
	})
}

// overheard is a ResponseWriter that keeps what is written.
type overheard struct {
	http.ResponseWriter
	to *told
}

// Write implements http.ResponseWriter.
func (o *overheard) Write(b []byte) (int, error) {
	_, _ = o.to.Write(b)
	return o.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the rest.
func (o *overheard) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// secrets collects what nobody is to be told.
type secrets map[string]string

// note keeps what the authorization server was sent last.
func (s secrets) note(outside *oauthtest.Server) {
	for _, endpoint := range []string{"token", "refresh", "revoke"} {
		for _, field := range []string{"code", "code_verifier", "client_secret", "refresh_token", "token"} {
			if v := outside.LastForm(endpoint).Get(field); v != "" {
				s[v] = field
			}
		}
	}
	for _, token := range outside.Tokens() {
		s[token] = "a token"
	}
}

// in fails the test if any of them is in a text, as it is or encoded.
func (s secrets) in(t *testing.T, where, text string) {
	t.Helper()
	for secret, what := range s {
		if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
			t.Errorf("%s holds %s", where, what)
		}
	}
}

// TestSecretsStay: through good and bad times, no token, code, verifier or
// client secret is told to a caller or a browser, logged, or stored readably
// (threats 12 and 17).
func TestSecretsStay(t *testing.T) {
	heard, dir := &told{}, t.TempDir()
	files, err := store.Open(store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, doorSetup{watch: heard.watch, store: files, web: true, outside: oauthtest.Options{AuthMethod: "client_secret_post"}})
	known, fleeting := secrets{}, secrets{}
	step := func() { t.Helper(); known.note(d.outside) }
	enter := func(o oauthtest.BrowseOptions) oauthtest.Page {
		link := d.link("notes")
		fleeting[ticketOf(t, link)] = "a ticket"
		page := d.browse(link, o)
		fleeting[d.outside.LastForm("authorize").Get("state")] = "a state"
		step()
		return page
	}
	look := func() {
		for _, path := range []string{"/oauth/notes/status", "/connections", "/notes/openapi.json", "/notes/login", "/readyz", "/", "/openapi.json"} {
			d.do("GET", path, "")
		}
		d.do("GET", "/connections", "", "Accept: text/html")
		d.do("POST", "/notes/whoami", "{}")
		step()
	}
	enter(oauthtest.BrowseOptions{Deny: true})
	d.outside.Set(func(o *oauthtest.Options) { o.InvalidClient = true })
	wantPage(t, enter(oauthtest.BrowseOptions{}), http.StatusBadGateway, "invalid_client")
	d.outside.Set(func(o *oauthtest.Options) { o.InvalidClient = false })
	wantPage(t, enter(oauthtest.BrowseOptions{}), http.StatusOK, "Connected.")
	look()
	d.outside.Expire()
	look() // a refresh
	d.outside.Set(func(o *oauthtest.Options) {
		o.Instead["refresh"] = oauthtest.Answer{Status: 500, Body: `{"error":"server_error"}`}
	})
	d.outside.Expire()
	look()
	d.outside.Set(func(o *oauthtest.Options) { delete(o.Instead, "refresh") })
	d.await(http.StatusOK, "/notes/whoami")
	d.outside.RevokeAll() // invalid_grant
	look()
	wantPage(t, enter(oauthtest.BrowseOptions{}), http.StatusOK, "Connected.")
	look()
	d.do("POST", "/notes/admin", "{}").refusal(t)
	stored := sealed(t, dir)
	if len(stored) == 0 {
		t.Fatal("nothing is stored")
	}
	d.outside.Set(func(o *oauthtest.Options) { o.Instead["revoke"] = oauthtest.Answer{Status: 503} })
	d.do("POST", "/connections/notes/disconnect", "").want(t, "leaving", http.StatusOK, `"revoked":false`)
	look()
	if len(known) < 12 {
		t.Errorf("only %d secrets are known: %v", len(known), known)
	}
	for name, text := range map[string]string{"what was told": heard.String(), "the log": d.log.String(), "the folder": stored, "the folder at the end": sealed(t, dir)} {
		known.in(t, name, text)
	}
	fleeting.in(t, "the log", d.log.String())
	fleeting.in(t, "the folder", stored)
}

// sealed is all that lies in a folder, with the names of its files.
func sealed(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
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

// fullStore has no room for tickets.
type fullStore struct{ oauth.Store }

// Put implements oauth.Store.
func (s fullStore) Put(ctx context.Context, r store.Record) error {
	if r.Key.Kind == store.Tickets {
		return errors.New("writing /home/operator/.mcpo/tickets/x: no space left on device")
	}
	return s.Store.Put(ctx, r)
}

// TestStoreFails: why the store fails is for the log alone.
func TestStoreFails(t *testing.T) {
	d := openDoor(t, doorSetup{store: fullStore{store.NewMemory()}})
	for _, page := range []string{"POST /notes/whoami", "GET /notes/login"} {
		method, path, _ := strings.Cut(page, " ")
		r := d.do(method, path, "{}")
		r.want(t, page, http.StatusInternalServerError, "The operator's log says why.")
		if strings.Contains(r.body, "operator/") {
			t.Errorf("%s: %s", page, r.body)
		}
	}
	if !strings.Contains(d.log.String(), "no space left on device") {
		t.Error("the log does not say why")
	}
}
