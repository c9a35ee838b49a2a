//go:build linux

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLoad asks a server that answers in every framing of HTTP/1.1.
func TestLoad(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"a":1}` || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %q (%v) with %v", body, err, r.Header)
		}
		switch asked.Add(1) % 3 {
		case 0:
			_, _ = io.WriteString(w, "short")
		case 1:
			_, _ = io.WriteString(w, strings.Repeat("long ", 100_000))
		case 2:
			_, _ = io.WriteString(w, "in two")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "chunks")
		}
	}))
	defer s.Close()
	l := load{path: "/x", body: []byte(`{"a":1}`), connections: 3, duration: 20 * time.Millisecond}
	got, err := l.run(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if int64(got.calls) != asked.Load() || got.calls < 3 || got.p50 <= 0 || got.p99 < got.p50 {
		t.Errorf("counted %+v of %d calls", got, asked.Load())
	}
}

// TestLoadRefusesErrors holds that no error is measured as a fast answer.
func TestLoadRefusesErrors(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	l := load{path: "/x", connections: 1, duration: time.Millisecond}
	if _, err := l.run(s.Listener.Addr().String()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("the error is %v", err)
	}
}

// TestLoadTakesCallersInTurn holds that each header is sent once, over however
// many connections, and that an answer without a body is read as one.
func TestLoadTakesCallersInTurn(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.Method+r.Header.Get("Authorization")]++
		w.WriteHeader(http.StatusNotModified)
	}))
	defer s.Close()
	l := load{method: http.MethodGet, path: "/x", status: http.StatusNotModified, connections: 3, once: true}
	want := map[string]int{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		l.headers = append(l.headers, "Authorization: "+name+"\r\n")
		want["GET"+name] = 1
	}
	if _, err := l.run(s.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestBurst holds that all requests are on their way before one is answered.
func TestBurst(t *testing.T) {
	var waiting atomic.Int64
	all := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if waiting.Add(1) == 20 {
			close(all)
		}
		<-all
	}))
	defer s.Close()
	if _, err := (load{path: "/x"}).burst(s.Listener.Addr().String(), 20); err != nil || waiting.Load() != 20 {
		t.Errorf("%d requests were sent; %v", waiting.Load(), err)
	}
}

func TestRecursive(t *testing.T) {
	for schema, want := range map[string]bool{
		`{"type":"object","properties":{"a":{"type":"string"}}}`:                                                                                       false,
		`{"properties":{"a":{"$ref":"#/$defs/x"},"b":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"string"}}}`:                                           false,
		`{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"items":{"$ref":"#/$defs/x"}}}}`:                                                       true,
		`{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"anyOf":[{"$ref":"#/$defs/y"}]},"y":{"properties":{"z":{"$ref":"#/$defs/x"}}}}}`:       true,
		`{"properties":{"a":{"$ref":"#/properties/b"},"b":{"$ref":"#/properties/c"},"c":{"properties":{"d":{"$ref":"#/properties/b"}}}},"$defs":null}`: true,
	} {
		if got := recursive([]byte(`{"inputSchema":` + schema + `}`)); got != want {
			t.Errorf("%s: got %v", schema, got)
		}
	}
}
