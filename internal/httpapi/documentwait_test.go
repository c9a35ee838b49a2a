package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"mcpo/internal/config"
	"mcpo/internal/mcptest"
)

// TestDocumentWaitsForTheFirstTools: of a server that is just starting, such as one
// that a reload has changed, nobody is shown a document without tools.
func TestDocumentWaitsForTheFirstTools(t *testing.T) {
	gate := make(chan struct{})
	tools := mcptest.Handler(mcptest.NewServer(mcptest.Options{}), mcptest.Options{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
			tools.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() {
		slow.CloseClientConnections()
		slow.Close()
	})
	a := serve(t, setup{unready: true, servers: []config.Server{{Name: "time", Transport: config.StreamableHTTP, URL: slow.URL}}})
	shown := make(chan reply, 1)
	go func() { shown <- a.do("GET", "/time/openapi.json", "") }()
	select {
	case r := <-shown:
		t.Errorf("before there are tools, the document is %s", r.body)
	case <-time.After(50 * time.Millisecond): // long enough for one that does not wait
	}
	close(gate)
	if !t.Failed() {
		r := <-shown
		r.want(t, "document", http.StatusOK, `"/echo"`)
	}
}
