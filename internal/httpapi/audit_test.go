package httpapi

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
