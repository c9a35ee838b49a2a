package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// collector keeps the notifications that come.
type collector struct {
	mu     sync.Mutex
	got    []string
	notify chan struct{} // one element for each
}

func newCollector() *collector { return &collector{notify: make(chan struct{}, 100)} }

func (c *collector) handler() Handler {
	return Handler{Notification: func(method string, params json.RawMessage) {
		c.mu.Lock()
		c.got = append(c.got, method+" "+string(params))
		c.mu.Unlock()
		c.notify <- struct{}{}
	}}
}

func (c *collector) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got
}

func TestBrokenStreamIsResumed(t *testing.T) {
	notes := newCollector()
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			answerEvents(w, readRequest(r), "id: a\nretry: 1\ndata:\n\ndata: {\"method\":\"n/1\"}\n\n")
			return
		}
		asked = append(asked, r.Header.Get("Last-Event-ID")+" "+r.Header.Get("Accept"))
		switch len(asked) {
		case 1:
			w.WriteHeader(503)
		case 2:
			answerEvents(w, received{}, "id: b\ndata: {\"method\":\"n/2\",\"params\":{\"x\":1.0}}\n\nid: c\ndata: {\"id\"")
		default:
			answerEvents(w, received{}, "data: {\"id\":1,\"result\":{\"ok\":true}}\n\n")
		}
	}, func(o *HTTPOptions) { o.Handler = notes.handler() })
	reply, err := c.Call(t.Context(), Request{Method: "m"})
	if err != nil || string(reply.Result) != `{"ok":true}` {
		t.Fatalf("reply %s, error %v", reply.Result, err)
	}
	if diff := cmp.Diff([]string{"a text/event-stream", "a text/event-stream", "b text/event-stream"}, asked); diff != "" {
		t.Errorf("Last-Event-ID (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"n/1 ", `n/2 {"x":1.0}`}, notes.all()); diff != "" {
		t.Errorf("notifications (-want +got):\n%s", diff)
	}
}

func TestResumingIsBounded(t *testing.T) {
	tests := []struct {
		name     string
		protocol string
		get      func(http.ResponseWriter)
		want     int // requests to resume
	}{
		{"empty streams", "2025-11-25", func(w http.ResponseWriter) { answerEvents(w, received{}, ": x\n\n") }, resumeTries},
		{"errors of the server", "2025-11-25", func(w http.ResponseWriter) { w.WriteHeader(500) }, resumeTries},
		{"broken connections", "2025-11-25", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, resumeTries},
		{"refused", "2025-11-25", func(w http.ResponseWriter) { w.WriteHeader(405) }, 1},
		{"unknown session", "2025-11-25", func(w http.ResponseWriter) { w.WriteHeader(404) }, 1},
		{"a protocol without resuming", "2026-07-28", nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got atomic.Int32
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "close") // or net/http tries again, too
				switch r.Method {
				case "POST":
					w.Header().Set("Mcp-Session-Id", "s")
					m := readRequest(r)
					if m.Method == methodInitialize {
						answerJSON(w, m, `{"id":%s,"result":{}}`)
					} else {
						answerEvents(w, m, "id: a\nretry: 1\ndata:\n\n")
					}
				case "GET":
					got.Add(1)
					test.get(w)
				}
			})
			if _, err := c.Call(t.Context(), Request{Method: methodInitialize}); err != nil {
				t.Fatal(err)
			}
			c.SetProtocol(test.protocol)
			_, err := c.Call(t.Context(), Request{Method: "m"})
			if !errors.Is(err, errStreamEnded) || NotExecuted(err) {
				t.Errorf("error %v, want one that says the stream ended, and not NotExecuted", err)
			}
			if int(got.Load()) != test.want {
				t.Errorf("%d requests to resume, want %d", got.Load(), test.want)
			}
		})
	}
}

func TestServerRequestsAreAnswered(t *testing.T) {
	answers := make(chan received, 2)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		m := readRequest(r)
		if m.Method == "" {
			answers <- m
			w.WriteHeader(http.StatusAccepted)
			return
		}
		answerEvents(w, m, "data: {\"id\":\"p\",\"method\":\"ping\"}\n\ndata: {\"id\":1,\"method\":\"sampling/createMessage\",\"params\":{}}\n\n")
		got := map[string]received{}
		for range 2 {
			a := within(t, answers, "an answer")
			got[string(a.ID)] = a
		}
		if a := got[`"p"`]; string(a.Result) != "{}" {
			t.Errorf("ping was answered with %s", a.Result)
		}
		if a := got[`1`]; a.Error == nil || a.Error.Code != -32601 {
			t.Errorf("sampling was answered with %v", a.Error)
		}
		answerEvents(w, m, "data: {\"id\":%s,\"result\":{}}\n\n")
	})
	if _, err := c.Call(t.Context(), Request{Method: "m"}); err != nil {
		t.Fatal(err)
	}
}

func TestFloodOfServerRequestsIsBounded(t *testing.T) {
	release := make(chan struct{})
	var mu sync.Mutex
	waiting := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		m := readRequest(r)
		if m.Method == "" {
			mu.Lock()
			waiting++
			mu.Unlock()
			<-release
			return
		}
		answerEvents(w, m, strings.Repeat("data: {\"id\":5,\"method\":\"ping\"}\n\n", 1000)+"data: {\"id\":%s,\"result\":{}}\n\n")
	})
	if _, err := c.Call(t.Context(), Request{Method: "m"}); err != nil {
		t.Fatal(err)
	}
	close(release)
	c.work.Wait()
	if waiting > choresMax {
		t.Errorf("%d answers at once, want at most %d", waiting, choresMax)
	}
}

func TestConnectionIsUsedAgainAfterAStream(t *testing.T) {
	var mu sync.Mutex
	connections := 0
	t.Cleanup(func() { goleak.VerifyNone(t) })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answerEvents(w, readRequest(r), "data: {\"id\":%s,\"result\":{}}\n\n")
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			connections++
			mu.Unlock()
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c := DialHTTP(HTTPOptions{URL: server.URL}).(*streamable)
	defer closeConn(t, c)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := c.Call(ctx, Request{Method: "m"})
		cancel() // as the end of the caller's own request does
		if err != nil {
			t.Fatal(err)
		}
		c.work.Wait()
	}
	mu.Lock()
	defer mu.Unlock()
	if connections != 1 {
		t.Errorf("%d connections, want 1", connections)
	}
}

func TestStreamThatStaysOpenDoesNotHoldItsReply(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answerEvents(w, readRequest(r), "data: {\"id\":%s,\"result\":{}}\n\n")
		<-r.Context().Done()
	})
	if _, err := c.Call(t.Context(), Request{Method: "m"}); err != nil {
		t.Fatal(err)
	}
}

func TestListening(t *testing.T) {
	notes := newCollector()
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		switch len(asked) {
		case 1:
			answerEvents(w, received{}, "retry: 1\nid: 1\ndata: {\"method\":\"n/1\"}\n\ndata: {\"id\":1,\"result\":{}}\n\n")
		case 2:
			w.WriteHeader(502)
		case 3:
			answerEvents(w, received{}, "id: 2\ndata: {\"method\":\"n/2\"}\n\n")
		default:
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	}, func(o *HTTPOptions) { o.Listen, o.Handler = true, notes.handler() })
	c.SetProtocol("2025-11-25")
	if err := c.Notify(t.Context(), methodInitialized, nil); err != nil {
		t.Fatal(err)
	}
	c.work.Wait() // 405 ends it
	if diff := cmp.Diff([]string{"", "1", "1", "2"}, asked); diff != "" {
		t.Errorf("Last-Event-ID (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"n/1 ", "n/2 "}, notes.all()); diff != "" {
		t.Errorf("notifications (-want +got):\n%s", diff)
	}
}

func TestListeningSeesTheSessionLost(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			w.WriteHeader(404)
			return
		}
		w.Header().Set("Mcp-Session-Id", "s")
		answerJSON(w, readRequest(r), `{"id":%s,"result":{}}`)
	}, func(o *HTTPOptions) { o.Listen = true })
	if _, err := c.Call(t.Context(), Request{Method: methodInitialize}); err != nil {
		t.Fatal(err)
	}
	if err := c.Notify(t.Context(), methodInitialized, nil); err != nil {
		t.Fatal(err)
	}
	within(t, c.Done(), "the end of the conversation")
	if c.Err() != ErrSessionLost {
		t.Errorf("error %v", c.Err())
	}
}

func TestCloseEndsListening(t *testing.T) {
	arrived := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			answerEvents(w, received{}, ": open\n\n")
			close(arrived)
			<-r.Context().Done()
		}
	}, func(o *HTTPOptions) { o.Listen = true })
	if err := c.Notify(t.Context(), methodInitialized, nil); err != nil {
		t.Fatal(err)
	}
	within(t, arrived, "the stream")
	closeConn(t, c) // and goleak looks for what is left
}

// TestFailureToResumeIsNoProofThatNothingRan: the request was posted, whatever
// becomes of what follows.
func TestFailureToResumeIsNoProofThatNothingRan(t *testing.T) {
	for name, get := range map[string]http.RoundTripper{
		"unreachable":  refusing{},
		"unauthorized": answering(http.StatusUnauthorized),
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				answerEvents(w, readRequest(r), "id: a\nretry: 1\ndata:\n\n")
			}, func(o *HTTPOptions) {
				post := NewTransport()
				t.Cleanup(post.CloseIdleConnections)
				o.RoundTripper = tripper(func(r *http.Request) (*http.Response, error) {
					if r.Method == "GET" {
						return get.RoundTrip(r)
					}
					return post.RoundTrip(r)
				})
			})
			if _, err := c.Call(t.Context(), Request{Method: "m"}); !errors.Is(err, errStreamEnded) || NotExecuted(err) {
				t.Errorf("error %v, want one that is not NotExecuted", err)
			}
		})
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering is a RoundTripper that answers with a status.
func answering(status int) http.RoundTripper {
	return tripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: http.NoBody}, nil
	})
}

// FuzzReply answers a call with arbitrary bytes as JSON and as events. Nothing
// may hang, panic or be taken for the reply of another request.
func FuzzReply(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":5,"result":{"content":[]}}`), false)
	f.Add([]byte(`[{"id":5,"error":{"code":1,"message":"m"}},{"method":"x"},{"id":1,"method":"ping"}]`), false)
	f.Add([]byte("id: 1\nevent: message\ndata: {\"id\":5,\ndata: \"result\":{}}\n\n"), true)
	f.Fuzz(func(t *testing.T, data []byte, stream bool) {
		c := DialHTTP(HTTPOptions{URL: "http://127.0.0.1:1", RoundTripper: refusing{}}).(*streamable)
		defer closeConn(t, c)
		var reply Reply
		var err error
		if stream {
			reply, _, err = c.readStream(newEventReader(strings.NewReader(string(data)), c.max), 5)
		} else {
			resp := &http.Response{Body: io.NopCloser(strings.NewReader(string(data))), ContentLength: -1}
			reply, err = c.readReply(resp, 5)
		}
		if err == nil && (reply.Result == nil) == (reply.Error == nil) {
			t.Errorf("%q: result %s, error %v", data, reply.Result, reply.Error)
		}
		if err == nil && reply.Result != nil && (!json.Valid(reply.Result) || !strings.Contains(string(data), "5")) {
			t.Errorf("%q: result %q", data, reply.Result)
		}
	})
}

// refusing is a RoundTripper that reaches nobody.
type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nobody is there")
}
