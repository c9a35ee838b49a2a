package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// serve starts a server and makes a Conn to it. Both are gone, goroutines
// included, when the test ends.
func serve(t *testing.T, handler http.HandlerFunc, change ...func(*HTTPOptions)) *streamable {
	t.Helper()
	c := DialHTTP(optionsFor(t, handler, change...)).(*streamable)
	t.Cleanup(func() { closeConn(t, c) })
	return c
}

func optionsFor(t *testing.T, handler http.Handler, change ...func(*HTTPOptions)) HTTPOptions {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o := HTTPOptions{URL: server.URL + "/mcp"}
	for _, f := range change {
		f(&o)
	}
	return o
}

func closeConn(t *testing.T, c Conn) {
	t.Helper()
	if err := c.Close(context.Background()); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// received is what a request to a test server says.
type received struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Error  *RPCError       `json:"error"`
	Result json.RawMessage `json:"result"`
}

func readRequest(r *http.Request) (m received) {
	_ = json.NewDecoder(r.Body).Decode(&m)
	return m
}

// answerJSON answers a request with the JSON text, in which %s is its id.
func answerJSON(w http.ResponseWriter, m received, text string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	io.WriteString(w, strings.ReplaceAll(text, "%s", string(m.ID)))
}

// answerEvents answers with an event stream, in which %s is the request's id.
func answerEvents(w http.ResponseWriter, m received, text string) {
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, strings.ReplaceAll(text, "%s", string(m.ID)))
	w.(http.Flusher).Flush()
}

func TestCallReadsTheServersOwnBytes(t *testing.T) {
	const result = `{"z": 9007199254740993, "a":[1.0,"\u00e9"], "Result":{"id":1}}`
	replies := map[string]func(http.ResponseWriter, received){
		"JSON": func(w http.ResponseWriter, m received) {
			answerJSON(w, m, `{"jsonrpc":"2.0","id":%s,"result":`+result+`}`)
		},
		"JSON with a byte order mark": func(w http.ResponseWriter, m received) {
			answerJSON(w, m, "\uFEFF"+`{"jsonrpc":"2.0","id":%s,"result":`+result+`}`)
		},
		"a batch": func(w http.ResponseWriter, m received) {
			answerJSON(w, m, `[{"method":"notifications/x"},{"id":99,"result":{}},{"id":%s,"result":`+result+`}]`)
		},
		"no content type": func(w http.ResponseWriter, m received) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, `{"id":`+string(m.ID)+`,"result":`+result+`}`)
		},
		"events": func(w http.ResponseWriter, m received) {
			answerEvents(w, m, ": hello\n\nid: 1\ndata:\n\nevent: message\ndata: {\"id\":%s,\"result\":"+result+"}\n\n")
		},
		"events, wrong ids first": func(w http.ResponseWriter, m received) {
			answerEvents(w, m, "data: {\"id\":77,\"result\":{}}\n\ndata: {\"id\":\"x\",\"result\":{}}\n\ndata: nonsense\n\ndata: {\"id\":%s,\"result\":"+result+"}\n\n")
		},
		"events of another name first": func(w http.ResponseWriter, m received) {
			answerEvents(w, m, "event: other\ndata: {\"id\":%s,\"result\":{}}\n\ndata: {\"id\":%s,\"result\":"+result+"}\n\n")
		},
	}
	for name, reply := range replies {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) { reply(w, readRequest(r)) })
			got, err := c.Call(t.Context(), Request{Method: "tools/call", Params: raw("{\n\"x\": 1e2}")})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Reply{Result: raw(result)}, got); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCallSendsParamsByteForByte(t *testing.T) {
	var body []byte
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		answerJSON(w, received{ID: raw("1")}, `{"id":%s,"result":{}}`)
	})
	if _, err := c.Call(t.Context(), Request{Method: "tools/call", Params: raw("{\n\"n\": 9007199254740993}")}); err != nil {
		t.Fatal(err)
	}
	want := "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\n\"n\": 9007199254740993}}"
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// TestRefusalsCostOneCall lets one call fail in each way and then makes
// another on the same conversation.
func TestRefusalsCostOneCall(t *testing.T) {
	status := func(code int, header, body string) func(http.ResponseWriter, received) {
		return func(w http.ResponseWriter, m received) {
			name, value, _ := strings.Cut(header, ": ")
			w.Header().Set(name, value)
			w.WriteHeader(code)
			io.WriteString(w, strings.ReplaceAll(body, "%s", string(m.ID)))
		}
	}
	const plain, asJSON, asEvents = "Content-Type: text/plain", "Content-Type: application/json", "Content-Type: text/event-stream"
	tests := []struct {
		name        string
		answer      func(http.ResponseWriter, received)
		status      int // of the StatusError
		rpc         int64
		notExecuted bool
		text        string // in the error
	}{
		{name: "400", answer: status(400, plain, "bad"), status: 400},
		{name: "401", answer: status(401, "Www-Authenticate: Bearer x", "who?"), status: 401, notExecuted: true},
		{name: "401 as JSON-RPC", answer: status(401, asJSON, `{"id":%s,"error":{"code":-1,"message":"m"}}`), status: 401, notExecuted: true},
		{name: "403", answer: status(403, plain, "no"), status: 403, notExecuted: true},
		{name: "404", answer: status(404, plain, "none"), status: 404},
		{name: "405 as JSON-RPC", answer: status(405, asJSON, `{"id":null,"error":{"code":-32000,"message":"m"}}`), status: 405},
		{name: "413", answer: status(413, plain, "big"), status: 413},
		{name: "500", answer: status(500, plain, "oops"), status: 500},
		{name: "503", answer: status(503, "Retry-After: 5", ""), status: 503},
		{name: "303", answer: status(303, "Location: /elsewhere", ""), status: 303},
		{name: "400 as JSON-RPC", answer: status(400, asJSON, `{"id":%s,"error":{"code":-32022,"message":"m"}}`), rpc: -32022},
		{name: "404 as JSON-RPC", answer: status(404, asJSON, `{"id":%s,"error":{"code":-32601,"message":"m"}}`), rpc: -32601},
		{name: "400 with id null", answer: status(400, asJSON, `{"id":null,"error":{"code":-32600,"message":"m"}}`), rpc: -32600},
		{name: "400 with a word for id", answer: status(400, asJSON, `{"id":"server-error","error":{"code":-32600,"message":"m"}}`), rpc: -32600},
		{name: "400 with another id", answer: status(400, asJSON, `{"id":99,"error":{"code":-32600,"message":"m"}}`), status: 400},
		{name: "202", answer: status(202, plain, ""), text: "did not answer"},
		{name: "HTML", answer: status(200, "Content-Type: text/html", "<html>"), status: 200, text: "text/html"},
		{name: "no JSON", answer: status(200, asJSON, "{"), text: "invalid JSON"},
		{name: "empty", answer: status(200, asJSON, ""), text: "JSON"},
		{name: "another id", answer: status(200, asJSON, `{"id":99,"result":{}}`), text: "no response"},
		{name: "a stream that ends", answer: status(200, asEvents, ": nothing\n\n"), text: "closed the stream before answering"},
		{name: "a stream that ends in an event", answer: status(200, asEvents, `data: {"id":%s,"res`), text: "closed the stream before answering"},
		{name: "a broken connection", answer: func(http.ResponseWriter, received) { panic(http.ErrAbortHandler) }, text: "EOF"},
		{name: "a redirect to another origin", answer: status(307, "Location: http://127.0.0.1:1/mcp", ""), text: "another origin, http://127.0.0.1:1"},
		{name: "a redirect to another scheme", answer: status(308, "Location: https://x/mcp", ""), text: "another origin, https://x"},
		{name: "a redirect with a name", answer: status(308, "Location: http://u@127.0.0.1/", ""), text: "another origin"},
		{name: "a redirect to nowhere", answer: status(307, plain, ""), text: "no valid location"},
		{name: "redirects without end", answer: status(307, "Location: /fail", ""), text: "redirects more than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if m := readRequest(r); m.Method == "fail" {
					test.answer(w, m)
				} else {
					answerJSON(w, m, `{"id":%s,"result":{}}`)
				}
			})
			reply, err := c.Call(t.Context(), Request{Method: "fail"})
			if test.rpc != 0 {
				if err != nil || reply.Error == nil || reply.Error.Code != test.rpc {
					t.Errorf("reply %v, error %v; want JSON-RPC error %d", reply.Error, err, test.rpc)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("reply %s, error %v; want an error with %q", reply.Result, err, test.text)
			}
			var got *StatusError
			if errors.As(err, &got) != (test.status != 0) || got != nil && got.Code != test.status {
				t.Errorf("error %v; want status %d", err, test.status)
			}
			if NotExecuted(err) != test.notExecuted {
				t.Errorf("NotExecuted(%v) is %v", err, !test.notExecuted)
			}
			if _, err := c.Call(t.Context(), Request{Method: "next"}); err != nil {
				t.Errorf("the next call: %v", err)
			}
			if c.Err() != nil {
				t.Errorf("the conversation ended: %v", c.Err())
			}
		})
	}
}

func TestStatusErrorKeepsTheBeginningOfTheBody(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(503)
		io.WriteString(w, strings.Repeat("\xffé", 100_000))
	})
	_, err := c.Call(t.Context(), Request{Method: "m"})
	var status *StatusError
	if !errors.As(err, &status) {
		t.Fatalf("error %v", err)
	}
	if len(status.Body) != 1<<10 || status.Header.Get("Retry-After") != "7" {
		t.Errorf("%d bytes of body, header %v", len(status.Body), status.Header)
	}
}

func TestUnreachableServerDidNotExecute(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	for _, url := range []string{"http://" + listener.Addr().String(), "ftp://x/secret", "://secret", ""} {
		c := DialHTTP(HTTPOptions{URL: url})
		_, err := c.Call(t.Context(), Request{Method: "m"})
		if !NotExecuted(err) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want one that is NotExecuted and does not repeat the URL", url, err)
		}
		closeConn(t, c)
		if _, err := DialSSE(t.Context(), HTTPOptions{URL: url}); !NotExecuted(err) {
			t.Errorf("%s: error %v is not NotExecuted", url, err)
		}
	}
}

func TestRedirectWithinTheOriginSendsTheBodyAgain(t *testing.T) {
	for _, code := range []int{301, 302, 307, 308} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/mcp" {
					http.Redirect(w, r, "/mcp/", code)
					return
				}
				answerJSON(w, readRequest(r), `{"id":%s,"result":{}}`)
			})
			if _, err := c.Call(t.Context(), Request{Method: "m"}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSessionIsSentAndItsLossIsSeen(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	lost := false
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		m := readRequest(r)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, strings.Join([]string{r.Method, m.Method, r.Header.Get("Mcp-Session-Id"), r.Header.Get("Mcp-Protocol-Version")}, " "))
		if lost && r.Method == "POST" {
			http.Error(w, "unknown", 404)
			return
		}
		w.Header().Set("Mcp-Session-Id", "s-"+m.Method)
		if m.ID != nil {
			answerJSON(w, m, `{"id":%s,"result":{}}`)
		}
	})
	call := func(method string) error {
		_, err := c.Call(t.Context(), Request{Method: method})
		return err
	}
	if err := errors.Join(call("initialize"), call("a")); err != nil {
		t.Fatal(err)
	}
	c.SetProtocol("2025-11-25")
	if err := errors.Join(c.Notify(t.Context(), "notifications/initialized", nil), call("b"), call("initialize")); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	lost = true
	mu.Unlock()
	if err := call("c"); !errors.Is(err, ErrSessionLost) || !NotExecuted(err) {
		t.Errorf("error %v, want ErrSessionLost that is NotExecuted", err)
	}
	<-c.Done()
	if err := call("d"); !errors.Is(err, ErrSessionLost) || !NotExecuted(err) || c.Err() != ErrSessionLost {
		t.Errorf("error %v, then %v", err, c.Err())
	}
	closeConn(t, c)
	want := []string{
		"POST initialize  ", "POST a s-initialize ", "POST notifications/initialized s-initialize 2025-11-25",
		"POST b s-initialize 2025-11-25", "POST initialize  ", "POST c s-initialize 2025-11-25",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestBadRequestMayMeanALostSession has a server answer 400 to a call, and to
// the ping that follows it something that tells whether the session is lost.
func TestBadRequestMayMeanALostSession(t *testing.T) {
	const (
		plain   = "Bad Request: No valid session ID provided"
		nullID  = `{"jsonrpc":"2.0","error":{"code":-32000,"message":"no session"},"id":null}`
		ownID   = `{"jsonrpc":"2.0","error":{"code":-32602,"message":"bad"},"id":%s}`
		success = `{"jsonrpc":"2.0","result":{},"id":%s}`
	)
	for _, test := range []struct {
		name, call, ping string
		pingStatus       int
		lost, pinged     bool
	}{
		{"text for both", plain, plain, 400, true, true},
		{"JSON-RPC for both", nullID, nullID, 400, true, true},
		{"404 for ping", plain, plain, 404, true, true},
		{"ping works", plain, success, 200, false, true},
		{"ping fails with its id", nullID, ownID, 400, false, true},
		{"ping fails otherwise", plain, plain, 500, false, true},
		{"the call failed with its id", ownID, plain, 400, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var pinged atomic.Bool
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch m := readRequest(r); m.Method {
				case "fail":
					w.WriteHeader(400)
					answerJSON(w, m, test.call)
				case "ping":
					pinged.Store(true)
					w.WriteHeader(test.pingStatus)
					answerJSON(w, m, test.ping)
				default:
					w.Header().Set("Mcp-Session-Id", "s")
					answerJSON(w, m, success)
				}
			})
			if _, err := c.Call(t.Context(), Request{Method: methodInitialize}); err != nil {
				t.Fatal(err)
			}
			_, err := c.Call(t.Context(), Request{Method: "fail"})
			if lost := errors.Is(err, ErrSessionLost) && NotExecuted(err); lost != test.lost {
				t.Errorf("error %v; session lost: %v, want %v", err, lost, test.lost)
			}
			if (c.Err() != nil) != test.lost || pinged.Load() != test.pinged {
				t.Errorf("ended by %v, pinged: %v", c.Err(), pinged.Load())
			}
		})
	}
}

func TestCloseEndsTheSession(t *testing.T) {
	deleted := make(chan string, 1)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "DELETE" {
			deleted <- r.Header.Get("Mcp-Session-Id")
			w.WriteHeader(405)
			return
		}
		w.Header().Set("Mcp-Session-Id", "s")
		answerJSON(w, readRequest(r), `{"id":%s,"result":{}}`)
	})
	if _, err := c.Call(t.Context(), Request{Method: "initialize"}); err != nil {
		t.Fatal(err)
	}
	closeConn(t, c)
	if got := <-deleted; got != "s" {
		t.Errorf("session %q was deleted", got)
	}
	_, err := c.Call(t.Context(), Request{Method: "m"})
	if !errors.Is(err, ErrClosed) || !NotExecuted(err) || c.Err() != ErrClosed {
		t.Errorf("error %v, then %v", err, c.Err())
	}
}

func TestCloseIsBoundedByItsContext(t *testing.T) {
	release := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "DELETE" {
			<-release
			return
		}
		w.Header().Set("Mcp-Session-Id", "s")
		answerJSON(w, readRequest(r), `{"id":%s,"result":{}}`)
	})
	if _, err := c.Call(t.Context(), Request{Method: "initialize"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Close(ctx)
	close(release)
}

func TestHeaders(t *testing.T) {
	var got http.Header
	var host string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got, host = r.Header.Clone(), r.Host
		answerJSON(w, readRequest(r), `{"id":%s,"result":{}}`)
	}, func(o *HTTPOptions) {
		o.Header = http.Header{
			"X-Key": {"configured"}, "x-lower": {"1"}, "Accept": {"text/html"}, "Mcp-Session-Id": {"forged"},
			"Host": {"virtual.example"}, "Authorization": {"Bearer configured"},
		}
	})
	c.SetProtocol("2026-07-28")
	_, err := c.Call(t.Context(), Request{
		Method: "tools/call", Name: "grüße", Params: raw(`{}`),
		ParamHeaders: http.Header{"Mcp-Param-Region": {"eu"}},
		Header: http.Header{
			"X-Key": {"forwarded"}, "Content-Type": {"x"}, "Content-Length": {"0"}, "Accept": {"x"}, "Accept-Encoding": {"gzip"},
			"Host": {"x"}, "mcp-session-id": {"x"}, "Mcp-Name": {"x"}, "Mcp-Param-Region": {"x"}, "Last-Event-ID": {"x"},
			"Connection": {"close"}, "Transfer-Encoding": {"chunked"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"X-Key": {"forwarded"}, "X-Lower": {"1"}, "Authorization": {"Bearer configured"}, "User-Agent": {"mcpo"},
		"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}, "Content-Length": {"58"},
		"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"=?base64?Z3LDvMOfZQ==?="},
		"Mcp-Param-Region": {"eu"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if host != "virtual.example" {
		t.Errorf("Host is %q", host)
	}
}

func TestUserInformationInTheURLBecomesBasicAuthorization(t *testing.T) {
	var user, password string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		answerJSON(w, readRequest(r), `{"id":%s,"result":{}}`)
	}, func(o *HTTPOptions) { o.URL = strings.Replace(o.URL, "http://", "http://u:p@", 1) })
	if _, err := c.Call(t.Context(), Request{Method: "m"}); err != nil {
		t.Fatal(err)
	}
	if user != "u" || password != "p" {
		t.Errorf("user %q, password %q", user, password)
	}
}

func TestEncodeHeaderValue(t *testing.T) {
	for value, want := range map[string]string{
		"":              "",
		"get_weather":   "get_weather",
		"a b":           "a b",
		"é":             "=?base64?w6k=?=",
		" x":            "=?base64?IHg=?=",
		"x\t":           "=?base64?eAk=?=",
		"a\nb":          "=?base64?YQpi?=",
		"=?base64?eA?=": "=?base64?PT9iYXNlNjQ/ZUE/PQ==?=",
	} {
		if got := encodeHeaderValue(value); got != want {
			t.Errorf("encodeHeaderValue(%q) = %q, want %q", value, got, want)
		}
	}
}

func TestCancelledCallTellsTheServer(t *testing.T) {
	reason := errors.New("the caller went home")
	for name, begin := range map[string]func(http.ResponseWriter){
		"before the header": func(http.ResponseWriter) {},
		"within JSON": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"id":`)
			w.(http.Flusher).Flush()
		},
		"within a stream": func(w http.ResponseWriter) { answerEvents(w, received{}, "id: 5\ndata:\n\n") },
	} {
		t.Run(name, func(t *testing.T) {
			arrived, told := make(chan struct{}), make(chan received, 1)
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch m := readRequest(r); m.Method {
				case "slow":
					begin(w)
					close(arrived)
					<-r.Context().Done()
				case methodCancelled:
					told <- m
					w.WriteHeader(http.StatusAccepted)
				default:
					answerJSON(w, m, `{"id":%s,"result":{}}`)
				}
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-arrived
				cancel(reason)
			}()
			if _, err := c.Call(ctx, Request{Method: "slow"}); err != reason {
				t.Errorf("error %v, want the context's cause", err)
			}
			m := <-told
			var params struct{ RequestID int64 }
			if err := json.Unmarshal(m.Params, &params); err != nil || params.RequestID != 1 {
				t.Errorf("told %s", m.Params)
			}
			if _, err := c.Call(t.Context(), Request{Method: "next"}); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

func TestNoCancellationOfInitializeOrWithoutSessions(t *testing.T) {
	var mu sync.Mutex
	var methods []string
	arrived := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		m := readRequest(r)
		mu.Lock()
		methods = append(methods, m.Method)
		mu.Unlock()
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	for _, step := range []struct{ method, protocol string }{{"initialize", ""}, {"tools/call", "2026-07-28"}} {
		c.SetProtocol(step.protocol)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		if _, err := c.Call(ctx, Request{Method: step.method}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", step.method, err)
		}
	}
	closeConn(t, c)
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"initialize", "tools/call"}, methods); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestCloseCutsCallsOff(t *testing.T) {
	arrived := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		readRequest(r)
		close(arrived)
		<-r.Context().Done()
	})
	go func() {
		<-arrived
		c.Close(context.Background())
	}()
	_, err := c.Call(t.Context(), Request{Method: "m"})
	if !errors.Is(err, ErrClosed) || NotExecuted(err) {
		t.Errorf("error %v, want ErrClosed that is not NotExecuted", err)
	}
}

func TestTooLargeReplyCostsOneCall(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	for name, answer := range map[string]func(http.ResponseWriter, received){
		"JSON of known length": func(w http.ResponseWriter, m received) {
			w.Header().Set("Content-Length", fmt.Sprint(len(big)+100))
			answerJSON(w, m, `{"id":%s,"result":"`+big+`"}`)
		},
		"JSON": func(w http.ResponseWriter, m received) {
			w.(http.Flusher).Flush()
			answerJSON(w, m, `{"id":%s,"result":"`+big+`"}`)
		},
		"events": func(w http.ResponseWriter, m received) {
			answerEvents(w, m, "id: 1\ndata: {\"id\":%s,\"result\":\""+big+"\"}\n\n")
		},
		"events without end": func(w http.ResponseWriter, m received) {
			answerEvents(w, m, "id: 1\ndata: {\"id\":%s,\"result\":\"")
			for {
				if _, err := io.WriteString(w, big); err != nil {
					return
				}
				if _, err := io.WriteString(w, "\n\n"); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if m := readRequest(r); m.Method == "big" {
					answer(w, m)
				} else {
					answerJSON(w, m, `{"id":%s,"result":{}}`)
				}
			})
			c.max = 50_000
			if _, err := c.Call(t.Context(), Request{Method: "big"}); !errors.Is(err, ErrReplyTooLarge) || NotExecuted(err) {
				t.Errorf("error %v, want ErrReplyTooLarge", err)
			}
			if _, err := c.Call(t.Context(), Request{Method: "next"}); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

func TestLargeReply(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 1<<20)
	for name, answer := range map[string]func(http.ResponseWriter, received, string){
		"JSON":   answerJSON,
		"events": func(w http.ResponseWriter, m received, text string) { answerEvents(w, m, "data: "+text+"\n\n") },
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				answer(w, readRequest(r), `{"id":%s,"result":"`+string(want)+`"}`)
			})
			reply, err := c.Call(t.Context(), Request{Method: "m"})
			if err != nil || !bytes.Equal(bytes.Trim(reply.Result, `"`), want) {
				t.Errorf("error %v, %d bytes", err, len(reply.Result))
			}
		})
	}
}

func TestCallsDoNotWaitForEachOther(t *testing.T) {
	const n = 50
	var all sync.WaitGroup
	all.Add(n)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		m := readRequest(r)
		all.Done()
		all.Wait() // each answer needs all requests
		answerJSON(w, m, `{"id":%s,"result":`+string(m.Params)+`}`)
	})
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() {
			want := fmt.Sprintf(`{"n":%d}`, i)
			reply, err := c.Call(t.Context(), Request{Method: "m", Params: raw(want)})
			if err != nil || string(reply.Result) != want {
				t.Errorf("reply %s, error %v; want %s", reply.Result, err, want)
			}
		})
	}
	calls.Wait()
}

// within fails the test where something does not happen at all. It is no
// measure of speed.
func within[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(hurry):
		t.Fatalf("waiting for %s in vain", what)
	}
	return v
}
