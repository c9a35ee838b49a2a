package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sseServer is an HTTP+SSE server whose parts a test may replace.
type sseServer struct {
	endpoint string // of the endpoint event; "" means /messages
	// post handles a message; say writes to the stream. nil means echo: each
	// request is answered with its own params.
	post  func(w http.ResponseWriter, r *http.Request, m received, say func(string))
	end   chan struct{} // closed to end the stream
	lines chan string   // to be written to the stream, of which there is one
}

func (s *sseServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case "GET":
		endpoint := s.endpoint
		if endpoint == "" {
			endpoint = "/messages?session=1"
		}
		answerEvents(w, received{}, ": hello\n\nevent: endpoint\ndata: "+endpoint+"\n\n")
		for {
			select {
			case text := <-s.lines:
				answerEvents(w, received{}, "event: message\ndata: "+text+"\n\n")
			case <-s.end:
				return
			case <-r.Context().Done():
				return
			}
		}
	case "POST":
		m := readRequest(r)
		say := func(text string) { s.lines <- text }
		if s.post == nil {
			w.WriteHeader(http.StatusAccepted)
			if m.ID != nil {
				say(fmt.Sprintf(`{"id":%s,"result":%s}`, m.ID, m.Params))
			}
			return
		}
		s.post(w, r, m, say)
	}
}

func dialSSETest(t *testing.T, s *sseServer, change ...func(*HTTPOptions)) *sse {
	t.Helper()
	c, err := DialSSE(t.Context(), sseOptions(t, s, change...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(t, c) })
	return c.(*sse)
}

func sseOptions(t *testing.T, s *sseServer, change ...func(*HTTPOptions)) HTTPOptions {
	t.Helper()
	s.lines = make(chan string, 100)
	if s.end == nil {
		s.end = make(chan struct{})
	}
	return optionsFor(t, s, change...)
}

func TestSSECall(t *testing.T) {
	var path string
	var header http.Header
	c := dialSSETest(t, &sseServer{post: func(w http.ResponseWriter, r *http.Request, m received, say func(string)) {
		path, header = r.URL.RequestURI(), r.Header
		say(`[{"id":77,"result":{}},{"id":` + string(m.ID) + `,"result":` + string(m.Params) + `}]`)
		w.WriteHeader(http.StatusAccepted) // after the reply, which is no mistake
	}}, func(o *HTTPOptions) { o.Header = http.Header{"X-Key": {"k"}} })
	reply, err := c.Call(t.Context(), Request{Method: "m", Params: raw(`{"n":9007199254740993}`), Header: http.Header{"X-Caller": {"c"}, "Content-Type": {"x"}}})
	if err != nil || string(reply.Result) != `{"n":9007199254740993}` {
		t.Fatalf("reply %s, error %v", reply.Result, err)
	}
	if path != "/messages?session=1" || header.Get("X-Key") != "k" || header.Get("X-Caller") != "c" || header.Get("Content-Type") != "application/json" {
		t.Errorf("POST to %s with %v", path, header)
	}
}

func TestSSEOutlivesTheContextOfItsDial(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, err := DialSSE(ctx, sseOptions(t, &sseServer{}))
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(t, c)
	cancel()
	if _, err := c.Call(t.Context(), Request{Method: "m", Params: raw("{}")}); err != nil {
		t.Error(err)
	}
}

func TestSSERefusedEndpoints(t *testing.T) {
	for _, endpoint := range []string{"http://127.0.0.1:1/messages", "https://127.0.0.1/", "//evil.example/x", "http://u:p@127.0.0.1/", "file:///etc/passwd", "javascript:alert(1)", "http://[::1"} {
		t.Run(endpoint, func(t *testing.T) {
			c, err := DialSSE(t.Context(), sseOptions(t, &sseServer{endpoint: endpoint}))
			if err == nil {
				closeConn(t, c)
				t.Fatal("the endpoint was accepted")
			}
			if !strings.Contains(err.Error(), "endpoint") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSSEDialFails(t *testing.T) {
	tests := []struct {
		name        string
		answer      http.HandlerFunc
		status      int
		notExecuted bool
	}{
		{"401", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }, 401, true},
		{"404", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }, 404, false},
		{"no event stream", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, 0, false},
		{"no endpoint", func(w http.ResponseWriter, r *http.Request) { answerEvents(w, received{}, "data: x\n\n") }, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := DialSSE(t.Context(), optionsFor(t, test.answer))
			var status *StatusError
			if err == nil || errors.As(err, &status) != (test.status != 0) || NotExecuted(err) != test.notExecuted {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSSEDialIsBoundedByItsContext(t *testing.T) {
	reason := errors.New("enough")
	for name, begin := range map[string]string{"before the header": "", "before the endpoint": ": hello\n\n"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := DialSSE(ctx, optionsFor(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if begin != "" {
					answerEvents(w, received{}, begin)
				}
				cancel(reason)
				<-r.Context().Done()
			})))
			if !errors.Is(err, reason) {
				t.Errorf("error %v, want the context's cause", err)
			}
		})
	}
}

func TestSSELostStream(t *testing.T) {
	s := &sseServer{end: make(chan struct{})}
	s.post = func(w http.ResponseWriter, r *http.Request, m received, say func(string)) {
		w.WriteHeader(http.StatusAccepted)
		close(s.end)
	}
	c := dialSSETest(t, s)
	if _, err := c.Call(t.Context(), Request{Method: "m"}); err == nil || NotExecuted(err) {
		t.Errorf("the call in flight: error %v, want one that is not NotExecuted", err)
	}
	within(t, c.Done(), "the end of the conversation")
	if _, err := c.Call(t.Context(), Request{Method: "m"}); !NotExecuted(err) || !errors.Is(err, c.Err()) {
		t.Errorf("a later call: error %v, want one that is NotExecuted", err)
	}
	if err := c.Notify(t.Context(), "n", nil); !NotExecuted(err) {
		t.Errorf("a later notification: error %v", err)
	}
}

func TestSSERefusalsCostOneCall(t *testing.T) {
	for _, code := range []int{400, 401, 403, 404, 413, 500} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			c := dialSSETest(t, &sseServer{post: func(w http.ResponseWriter, r *http.Request, m received, say func(string)) {
				if m.Method == "fail" {
					http.Error(w, "no", code)
					return
				}
				say(`{"id":` + string(m.ID) + `,"result":{}}`)
			}})
			_, err := c.Call(t.Context(), Request{Method: "fail"})
			var status *StatusError
			if !errors.As(err, &status) || status.Code != code || NotExecuted(err) != (code == 401 || code == 403) {
				t.Errorf("error %v", err)
			}
			if _, err := c.Call(t.Context(), Request{Method: "next"}); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

func TestSSECancelledCallTellsTheServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan string, 1)
	c := dialSSETest(t, &sseServer{post: func(w http.ResponseWriter, r *http.Request, m received, say func(string)) {
		w.WriteHeader(http.StatusAccepted)
		switch m.Method {
		case "slow":
			cancel()
		case methodCancelled:
			told <- string(m.Params)
		default:
			say(`{"id":1,"result":{"late":true}}`)
			say(`{"id":` + string(m.ID) + `,"result":{}}`)
		}
	}})
	if _, err := c.Call(ctx, Request{Method: "slow"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	var params struct{ RequestID int64 }
	if err := json.Unmarshal([]byte(within(t, told, "the cancellation")), &params); err != nil || params.RequestID != 1 {
		t.Errorf("told %+v, %v", params, err)
	}
	if reply, err := c.Call(t.Context(), Request{Method: "next"}); err != nil || string(reply.Result) != "{}" {
		t.Errorf("the next call: %s, %v", reply.Result, err)
	}
}

func TestSSETooLargeReplyCostsOneCall(t *testing.T) {
	o := sseOptions(t, &sseServer{post: func(w http.ResponseWriter, r *http.Request, m received, say func(string)) {
		result := "{}"
		if m.Method == "big" {
			result = `"` + strings.Repeat("x", 100_000) + `"`
		}
		say(`{"id":` + string(m.ID) + `,"result":` + result + `}`)
	}})
	conn, err := dialSSE(t.Context(), o, 50_000)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(t, conn)
	if _, err := conn.Call(t.Context(), Request{Method: "big"}); !errors.Is(err, ErrReplyTooLarge) {
		t.Errorf("error %v, want ErrReplyTooLarge", err)
	}
	if _, err := conn.Call(t.Context(), Request{Method: "next"}); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestSSENotificationsAndRequestsOfTheServer(t *testing.T) {
	notes := newCollector()
	answers := make(chan received, 1)
	c := dialSSETest(t, &sseServer{post: func(w http.ResponseWriter, r *http.Request, m received, say func(string)) {
		w.WriteHeader(http.StatusAccepted)
		if m.Method == "" {
			answers <- m
			return
		}
		say(`{"method":"n/1","params":{}}`)
		say(`nonsense`)
		say(`{"id":"p","method":"ping"}`)
	}}, func(o *HTTPOptions) { o.Handler = notes.handler() })
	if err := c.Notify(t.Context(), "begin", nil); err != nil {
		t.Fatal(err)
	}
	if m := within(t, answers, "the answer to ping"); string(m.ID) != `"p"` || string(m.Result) != "{}" {
		t.Errorf("answer %+v", m)
	}
	if diff := cmp.Diff([]string{"n/1 {}"}, notes.all()); diff != "" {
		t.Errorf("notifications (-want +got):\n%s", diff)
	}
}

func TestSSECloseCutsCallsOff(t *testing.T) {
	arrived := make(chan struct{})
	c := dialSSETest(t, &sseServer{post: func(w http.ResponseWriter, r *http.Request, m received, say func(string)) {
		w.WriteHeader(http.StatusAccepted)
		close(arrived)
	}})
	go func() {
		<-arrived
		c.Close(context.Background())
	}()
	if _, err := c.Call(t.Context(), Request{Method: "m"}); !errors.Is(err, ErrClosed) || NotExecuted(err) {
		t.Errorf("error %v, want ErrClosed", err)
	}
	within(t, c.Done(), "the end of the conversation")
	if c.Err() != ErrClosed {
		t.Errorf("the reason is %v", c.Err())
	}
}
