package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mcpo/internal/config"
)

// dripTime is the time of a call to a server that drips. In it another call has
// to be answered, however slow the machine is.
const dripTime = 5 * time.Second

// TestDrip: an answer that comes drop by drop, without an end, ends with the
// call's time. Until then others go on: those to the same server, unless there is
// one stream for all answers, and those to other servers (threats 26).
func TestDrip(t *testing.T) {
	other := start(t, stdioConfig(t), Options{})
	var ends []func()
	for name, c := range map[string]struct {
		make  func(t *testing.T, told chan<- struct{}) config.Server
		alone bool // what drips is the one stream for all answers
	}{
		"a body":                  {make: dripHTTP("application/json", "", " ")},
		"half a body":             {make: dripHTTP("application/json", `{"jsonrpc":"2.0","id":%s,"result":{"content":[],"x":"`, "x")},
		"comments in a stream":    {make: dripHTTP("text/event-stream", "", ": still there\n\n")},
		"half an event":           {make: dripHTTP("text/event-stream", `data: {"jsonrpc":"2.0","id":%s,"result":{"x":"`, "x")},
		"events":                  {make: dripHTTP("text/event-stream", "", "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n")},
		"half an event, over SSE": {make: dripSSE(`data: {"jsonrpc":"2.0","id":1,"result":{"x":"`, "x"), alone: true},
		"events, over SSE":        {make: dripSSE("", "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n")},
		"half a line":             {make: dripStdio("x"), alone: true},
		"lines":                   {make: dripStdio(`{"jsonrpc":"2.0","method":"notifications/x"}\n`)},
	} {
		told := make(chan struct{}, 2)
		cfg := c.make(t, told)
		if cfg.Name == "" {
			t.Logf("%s: there is no sh here", name)
			continue
		}
		cfg.Timeout = dripTime
		s := start(t, cfg, Options{})
		if _, err := s.Ready(testContext(t), who); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := s.Call(testContext(t), who, "drip", json.RawMessage(`{}`), nil)
			done <- err
		}()
		hear(t, told, name+" does not drip")
		if echo(t, other, "other"); !c.alone {
			echo(t, s, "same")
		}
		ends = append(ends, func() {
			if err := <-done; !errors.Is(err, ErrTimeout) {
				t.Errorf("%s: error = %v", name, err)
			}
			if cfg.Transport == config.StreamableHTTP {
				hear(t, told, name+": mcpo listens on")
			}
		})
	}
	for _, end := range ends {
		end()
	}
}

func hear(t *testing.T, told <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-told:
	case <-testContext(t).Done():
		t.Fatal(otherwise)
	}
}

// asked is a JSON-RPC request of a test's.
type asked struct {
	ID     json.RawMessage
	Method string
	Params struct{ Name string }
}

// answer is what the dripping servers answer, "" to what they drip on.
func (a asked) answer() string {
	result := `{"content":[{"type":"text","text":"same"}]}`
	switch {
	case a.Method == "initialize":
		result = `{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"drip","version":"1"}}`
	case a.Method == "tools/list":
		result = `{"tools":[{"name":"drip","inputSchema":{"type":"object"}},{"name":"echo","inputSchema":{"type":"object"}}]}`
	case a.Params.Name == "drip":
		return ""
	case a.Method != "tools/call":
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`, a.ID)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, a.ID, result)
}

// drip writes drops until nobody listens; each end of it is told.
func drip(w http.ResponseWriter, r *http.Request, drop string, told chan<- struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		if _, err := io.WriteString(w, drop); err != nil {
			break
		}
		_ = http.NewResponseController(w).Flush() // the next write fails, if this one does
		if n == 10 {
			told <- struct{}{}
		}
		select {
		case <-r.Context().Done():
		case <-tick.C:
			continue
		}
		break
	}
	told <- struct{}{}
}

// serveDrip is a server over HTTP that ends with the test.
func serveDrip(t *testing.T, h http.HandlerFunc) string {
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func dripHTTP(contentType, first, drop string) func(*testing.T, chan<- struct{}) config.Server {
	return func(t *testing.T, told chan<- struct{}) config.Server {
		return config.Server{Name: "drip", Transport: config.StreamableHTTP, URL: serveDrip(t, func(w http.ResponseWriter, r *http.Request) {
			var a asked
			switch {
			case r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&a) != nil:
				w.WriteHeader(http.StatusMethodNotAllowed)
			case a.ID == nil:
				w.WriteHeader(http.StatusAccepted)
			case a.answer() == "":
				w.Header().Set("Content-Type", contentType)
				_, _ = io.WriteString(w, strings.Replace(first, "%s", string(a.ID), 1))
				drip(w, r, drop, told)
			default:
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, a.answer())
			}
		})}
	}
}

func dripSSE(first, drop string) func(*testing.T, chan<- struct{}) config.Server {
	return func(t *testing.T, told chan<- struct{}) config.Server {
		answers := make(chan string, 100)
		return config.Server{Name: "drip", Transport: config.SSE, URL: serveDrip(t, func(w http.ResponseWriter, r *http.Request) {
			var a asked
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusAccepted)
				if json.NewDecoder(r.Body).Decode(&a) == nil && a.ID != nil {
					answers <- a.answer()
				}
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			streamSSE(w, r, answers, first, drop, told)
		})}
	}
}

// streamSSE writes answers, and begins to drip beside them at an empty one.
func streamSSE(w http.ResponseWriter, r *http.Request, answers <-chan string, first, drop string, told chan<- struct{}) {
	fmt.Fprint(w, "event: endpoint\ndata: /messages\n\n")
	var drops <-chan time.Time
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case answer := <-answers:
			if answer == "" {
				fmt.Fprint(w, first)
				drops = tick.C
				continue
			}
			fmt.Fprintf(w, "data: %s\n\n", answer)
		case <-drops:
			fmt.Fprint(w, drop)
			if n++; n == 10 {
				told <- struct{}{}
			}
		}
	}
}

// dripStdio is a program that drips beside its other answers.
func dripStdio(drop string) func(*testing.T, chan<- struct{}) config.Server {
	const script = `
while read -r line; do
	id=${line#*'"id":'}
	id=${id%%[,\}]*}
	case $line in
	*'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"drip","version":"1"}}' ;;
	*'"tools/list"'*) result='{"tools":[{"name":"drip","inputSchema":{"type":"object"}},{"name":"echo","inputSchema":{"type":"object"}}]}' ;;
	*'"drip"'*)
		while printf "$DROP"; do : >"$TOLD"; sleep 0.01; done &
		continue ;;
	*'"tools/call"'*) result='{"content":[{"type":"text","text":"same"}]}' ;;
	*'"id":'*)
		printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}\n' "$id"
		continue ;;
	*) continue ;;
	esac
	printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done`
	return func(t *testing.T, told chan<- struct{}) config.Server {
		sh, err := exec.LookPath("sh")
		if err != nil {
			return config.Server{}
		}
		file := filepath.Join(t.TempDir(), "told")
		var watch sync.WaitGroup
		ctx := testContext(t)
		watch.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				if _, err := os.Stat(file); err == nil {
					told <- struct{}{}
					return
				}
				<-tick.C
			}
		})
		t.Cleanup(watch.Wait)
		return config.Server{Name: "drip", Transport: config.Stdio, Command: sh, Args: []string{"-c", script},
			Env: map[string]string{"DROP": drop, "TOLD": file}}
	}
}
