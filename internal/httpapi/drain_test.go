package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"mcpo/internal/config"
)

// TestDrain: whatever is answered from then on ends its connection, the calls that
// began before too.
func TestDrain(t *testing.T) {
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	a := serve(t, setup{servers: []config.Server{scripted(t, "s", oneTool, func(w http.ResponseWriter, c rawCall) {
		arrived <- struct{}{}
		<-release
		c.answer(w, "result", `{"content":[]}`)
	})}})
	pool := &http.Transport{}
	defer pool.CloseIdleConnections()
	ask := func(method, path, body string) *http.Response {
		req, err := http.NewRequestWithContext(soon(t), method, a.url+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return &http.Response{}
		}
		resp, err := pool.RoundTrip(req)
		if err != nil {
			t.Error(err)
			return &http.Response{}
		}
		resp.Body.Close()
		return resp
	}
	if r := ask("GET", "/readyz", ""); r.StatusCode != 200 || r.Close {
		t.Errorf("readyz is answered with %d, Connection: close %t", r.StatusCode, r.Close)
	}
	begun := make(chan *http.Response, 1)
	go func() { begun <- ask("POST", "/s/t", `{}`) }()
	<-arrived
	a.handler.Drain()
	close(release)
	if r := <-begun; r.StatusCode != 200 || !r.Close {
		t.Errorf("the call that began before is answered with %d, Connection: close %t", r.StatusCode, r.Close)
	}
	a.do("GET", "/readyz", "").want(t, "readyz", 503, `"ready":false,"draining":true`)
	for path, method := range map[string]string{"/healthz": "GET", "/s/openapi.json": "GET", "/s/docs": "GET", "/": "GET", "/s/t": "POST", "/none": "GET", "/s/none": "POST", "/openapi.json": "OPTIONS"} {
		if r := ask(method, path, ""); !r.Close {
			t.Errorf("%s %s is answered with %d, and its connection stays", method, path, r.StatusCode)
		}
	}
}
