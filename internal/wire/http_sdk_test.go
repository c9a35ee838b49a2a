package wire

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// sdkServer is a server made with the official SDK. Its tool slow closes
// running, and then returns when it is cancelled, closing cancelled.
type sdkServer struct {
	*mcp.Server
	running, cancelled chan struct{}
}

func newSDKServer() *sdkServer {
	s := &sdkServer{
		Server:  mcp.NewServer(&mcp.Implementation{Name: "sdk", Version: "1"}, nil),
		running: make(chan struct{}), cancelled: make(chan struct{}),
	}
	type input struct {
		Text string `json:"text"`
	}
	mcp.AddTool(s.Server, &mcp.Tool{Name: "echo"}, func(_ context.Context, _ *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: in.Text}}}, nil, nil
	})
	mcp.AddTool(s.Server, &mcp.Tool{Name: "note"}, func(ctx context.Context, r *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: "t", Progress: 0.5})
		return &mcp.CallToolResult{}, nil, err
	})
	mcp.AddTool(s.Server, &mcp.Tool{Name: "slow"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		close(s.running)
		<-ctx.Done()
		close(s.cancelled)
		return nil, nil, ctx.Err()
	})
	return s
}

func (s *sdkServer) addTool() {
	mcp.AddTool(s.Server, &mcp.Tool{Name: "new"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	})
}

func (s *sdkServer) get(*http.Request) *mcp.Server { return s.Server }

func TestAgainstTheSDK(t *testing.T) {
	tests := []struct {
		name      string
		options   mcp.StreamableHTTPOptions
		stateless bool // protocol 2026-07-28
		listens   bool // the server can say that its tools changed
		cancels   bool // the server can be told that a call is cancelled
		protocol  string
	}{
		{name: "sessions", listens: true, cancels: true, protocol: "2025-11-25"},
		{name: "sessions and JSON", options: mcp.StreamableHTTPOptions{JSONResponse: true}, listens: true, cancels: true, protocol: "2025-11-25"},
		{name: "sessions and resuming", options: mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}, listens: true, cancels: true, protocol: "2025-11-25"},
		{name: "sessions, discovered", stateless: true, listens: true, cancels: true, protocol: "2025-11-25"},
		{name: "no sessions", options: mcp.StreamableHTTPOptions{Stateless: true}, protocol: "2025-11-25"},
		{name: "no sessions and JSON", options: mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}, protocol: "2025-11-25"},
		{name: "2026-07-28", options: mcp.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true}, stateless: true, listens: true, cancels: true, protocol: "2026-07-28"},
		{name: "2026-07-28 and JSON", options: mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}, stateless: true, listens: true, protocol: "2026-07-28"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server, notes := newSDKServer(), newCollector()
			handler := mcp.NewStreamableHTTPHandler(server.get, &test.options)
			c := DialHTTP(optionsFor(t, handler, func(o *HTTPOptions) { o.Listen, o.Handler = true, notes.handler() }))
			defer closeConn(t, c)
			s, err := Handshake(t.Context(), c, Identity{Name: "test", Version: "1"}, test.stateless)
			if err != nil {
				t.Fatal(err)
			}
			if s.Info.Protocol != test.protocol {
				t.Errorf("protocol %s, want %s", s.Info.Protocol, test.protocol)
			}
			tools := useTools(t, s)
			if test.listens {
				hearChange(t, server, notes)
			}
			if test.cancels {
				cancelSlow(t, s, server, tools["slow"])
			}
			if _, err := s.CallTool(t.Context(), tools["echo"], raw(`{"text":"again"}`), nil, CallMeta{}); err != nil {
				t.Errorf("a call at the end: %v", err)
			}
		})
	}
}

func TestSSEAgainstTheSDK(t *testing.T) {
	server, notes := newSDKServer(), newCollector()
	c, err := DialSSE(t.Context(), optionsFor(t, mcp.NewSSEHandler(server.get, nil), func(o *HTTPOptions) { o.Handler = notes.handler() }))
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(t, c)
	s, err := Handshake(t.Context(), c, Identity{Name: "test", Version: "1"}, false)
	if err != nil {
		t.Fatal(err)
	}
	tools := useTools(t, s)
	hearChange(t, server, notes)
	cancelSlow(t, s, server, tools["slow"])
}

// useTools lists the tools and calls some.
func useTools(t *testing.T, s *Session) map[string]Tool {
	t.Helper()
	listed, err := s.ListTools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tools := map[string]Tool{}
	for _, tool := range listed {
		tools[tool.Name] = tool
	}
	if len(tools) != 3 {
		t.Fatalf("%d tools, want 3", len(tools))
	}
	text := strings.Repeat("é\\n", 10_000)
	reply, err := s.CallTool(t.Context(), tools["echo"], raw(`{"text":"`+text+`"}`), nil, CallMeta{})
	if err != nil || !strings.Contains(string(reply.Result), text) {
		t.Errorf("echo: %.100s, error %v", reply.Result, err)
	}
	if reply, err := s.CallTool(t.Context(), tools["note"], raw(`{"text":""}`), nil, CallMeta{}); err != nil || reply.Error != nil {
		t.Errorf("note: %v, error %v", reply.Error, err)
	}
	reply, err = s.Call(t.Context(), Request{Method: "no/such", Params: appendMeta([]byte("{}"), s.meta)})
	var status *StatusError
	if err == nil && reply.Error == nil || err != nil && !errors.As(err, &status) {
		t.Errorf("an unknown method: %s, error %v", reply.Result, err)
	}
	return tools
}

// hearChange adds a tool again and again until the server says so: nothing
// tells when it has begun to listen for us.
func hearChange(t *testing.T, server *sdkServer, notes *collector) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hurry)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		for _, note := range notes.all() {
			if strings.HasPrefix(note, "notifications/tools/list_changed ") {
				return
			}
		}
		server.addTool()
		select {
		case <-notes.notify:
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("tools/list_changed did not come, only %q", notes.all())
		}
	}
}

func cancelSlow(t *testing.T, s *Session, server *sdkServer, slow Tool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-server.running
		cancel()
	}()
	if _, err := s.CallTool(ctx, slow, raw(`{"text":""}`), nil, CallMeta{}); err != context.Canceled {
		t.Errorf("the cancelled call: error %v", err)
	}
	within(t, server.cancelled, "the cancellation at the server")
}
