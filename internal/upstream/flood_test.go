package upstream

import (
	"net/http"
	"sync/atomic"
	"testing"

	"mcpo/internal/config"
)

// TestFloodOfChanges: however often a server says that its tools changed, they
// are read again soon, and at most once in a while (threats 26).
func TestFloodOfChanges(t *testing.T) {
	const flood = 5000
	var lists atomic.Int32
	cfg := fakeHTTP(t, func(w http.ResponseWriter, method string) bool {
		if method == "tools/list" {
			lists.Add(1)
		}
		return false
	})
	s := start(t, config.Server{Name: cfg.Name, Transport: cfg.Transport, URL: cfg.URL}, Options{})
	if _, err := s.Ready(testContext(t), who); err != nil {
		t.Fatal(err)
	}
	before := lists.Load()
	for range flood {
		s.first.hear("notifications/tools/list_changed", nil)
	}
	await(t, "the tools", func() bool { return lists.Load() > before })
	if n := lists.Load() - before; n > 2 {
		t.Errorf("the tools were read %d times for %d changes", n, flood)
	}
}
