package httpapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"mcpo/internal/audit"
	"mcpo/internal/config"
)

// TestCallsAreWrittenDown: who called what and what came of it, before the
// caller has the answer, and nothing of what was said (threats 12, 31).
func TestCallsAreWrittenDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	written, err := audit.Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(written.Close)
	a := serve(t, setup{Options: Options{Key: testKey, Audit: written}, servers: []config.Server{real(t, "time")}})
	key := "Authorization: Bearer " + testKey
	for _, c := range []struct {
		path, body, key, want string
		status                int
	}{
		{"/time/echo", `{"message":"hush-hush"}`, key, `{"event":"call","caller":"shared","server":"time","tool":"echo","outcome":"200","request_id":"r-1"}`, 200},
		{"/time/echo", `{"massage":"hush-hush"}`, key, `{"event":"call","caller":"shared","server":"time","tool":"echo","outcome":"422","request_id":"r-1"}`, 422},
		{"/time/a%0A%22b", `{}`, key, `{"event":"call","caller":"shared","server":"time","tool":"a\n\"b","outcome":"404","request_id":"r-1"}`, 404},
		{"/time/echo", `{"message":"hush-hush"}`, "Authorization: Bearer hush-hush", `{"event":"call","server":"time","tool":"echo","outcome":"403","request_id":"r-1"}`, 403},
	} {
		a.do("POST", c.path, c.body, c.key, "X-Request-Id: r-1").want(t, c.path, c.status, "")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
		var got, want map[string]any
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
			t.Fatalf("%s: %v", lines[len(lines)-1], err)
		}
		if got["time"] == "" || got["duration_ms"] == 0.0 {
			t.Errorf("%v has no time", got)
		}
		delete(got, "time")
		delete(got, "duration_ms")
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.path, diff)
		}
		if strings.Contains(string(raw), "hush") || strings.Contains(string(raw), testKey) {
			t.Errorf("too much was written: %s", raw)
		}
	}
}

// TestStrangersFillNoLog: of what strangers try, so much is written down, and
// how much more there was. What callers do who are known is written down all.
func TestStrangersFillNoLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	written, err := audit.Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(written.Close)
	d := openDoor(t, doorSetup{Options: Options{Key: testKey, Audit: written}, oauth: shared})
	h, handler := New(Options{Key: testKey, Audit: written, MaxBody: 1 << 20, PublicURL: d.url, Log: slog.New(slog.NewTextHandler(d.log, nil))})
	h.Publish(NewGeneration([]Served{{Server: d.server, Logins: d.logins}}, false, nil))
	h.strangeCalls.limit, h.strangeLogins.limit = rate.NewLimiter(0, 3), rate.NewLimiter(0, 3)
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	a := &api{t: t, url: listener.URL, log: d.log}
	count := func() (calls, known, logins int) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(raw), `"outcome":"403"`), strings.Count(string(raw), `"caller":"shared"`), strings.Count(d.log.String(), "a login was not finished")
	}
	for range 10 {
		a.do("POST", "/notes/whoami", "{}", "Authorization: Bearer wrong").want(t, "a wrong key", http.StatusForbidden, "")
		a.do("POST", "/notes/whoami", "{}", "Authorization: Bearer "+testKey).refusal(t)
		a.do("GET", "/oauth/notes/callback?state=x", "").want(t, "a made up state", http.StatusBadRequest, "This login is unknown")
	}
	if calls, known, logins := count(); calls != 3 || known != 10 || logins != 3 {
		t.Errorf("%d calls of strangers, %d of the known and %d logins were written down", calls, known, logins)
	}
	h.strangeCalls.limit, h.strangeLogins.limit = newPace().limit, newPace().limit
	a.do("POST", "/notes/whoami", "{}", "Authorization: Bearer wrong")
	a.do("GET", "/oauth/notes/callback?state=x", "")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), `"outcome":"7 more were refused"`) || !strings.Contains(d.log.String(), "calls=7") || !strings.Contains(d.log.String(), "logins=7") {
		t.Errorf("nothing tells of the rest:\n%s\n%s", raw, d.log)
	}
}
