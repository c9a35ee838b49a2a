package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
)

// TestReadinessCountsCallers: of servers with logins, in numbers only.
func TestReadinessCountsCallers(t *testing.T) {
	d := openDoor(t, doorSetup{outside: oauthtest.Options{}})
	d.login("notes")
	r := d.do("GET", "/readyz", "")
	r.want(t, "readyz", http.StatusOK, `"callers":1`)
	if strings.Contains(r.body, "local") || strings.Contains(r.body, "alice") {
		t.Errorf("readyz names callers: %s", r.body)
	}
	a := serve(t, setup{servers: []config.Server{real(t, "time")}})
	if r := a.do("GET", "/readyz", ""); strings.Contains(r.body, "callers") {
		t.Errorf("a server that all share has %s", r.body)
	}
}
