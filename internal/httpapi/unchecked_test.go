package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"mcpo/internal/config"
)

// TestUncheckedTool: a schema that does not compile checks nothing, and the
// operator hears of it once.
func TestUncheckedTool(t *testing.T) {
	tools := `[{"name":"t","inputSchema":{"type":"object","$ref":"https://elsewhere.example/schema"}}]`
	a := serve(t, setup{servers: []config.Server{scripted(t, "s", tools, func(w http.ResponseWriter, c rawCall) {
		c.answer(w, "result", `{"content":[]}`)
	})}})
	for range 3 {
		a.do("POST", "/s/t", `{"anything":1}`).want(t, "an unchecked call", 200, "[]")
	}
	if n := strings.Count(a.log.String(), "unchecked"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, a.log)
	}
}
