package upstream

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"

	"mcpo/internal/config"
	"mcpo/internal/wire"
)

// echoConn answers everything at once.
type echoConn struct {
	wire.Conn
	reply wire.Reply
}

// Call implements wire.Conn.
func (c echoConn) Call(context.Context, wire.Request) (wire.Reply, error) { return c.reply, nil }

// TestTracesCostNothingUnlessAskedFor: a call without a span takes no more memory
// than its frame.
func TestTracesCostNothingUnlessAskedFor(t *testing.T) {
	cfg := config.Server{Name: "s", Transport: config.StreamableHTTP, URL: "http://127.0.0.1:1/mcp"}
	c := newConnection(cfg, Options{}.withDefaults(), slog.New(slog.DiscardHandler), entrance{}, nil)
	defer c.close()
	session := &wire.Session{Conn: echoConn{reply: wire.Reply{Result: json.RawMessage(`{"content":[]}`)}}}
	tool, args, header := wire.ParseTools([]json.RawMessage{[]byte(`{"name":"echo"}`)})[0], json.RawMessage(`{"message":"x"}`), http.Header{"X-A": {"b"}}
	bare := testing.AllocsPerRun(100, func() { _, _ = session.CallTool(t.Context(), tool, args, header, wire.CallMeta{}) })
	asked := testing.AllocsPerRun(100, func() { _, _ = c.ask(t.Context(), session, tool, args, header, "") })
	if asked != bare {
		t.Errorf("%v allocations for a call, %v for the same with a span that nobody sees", bare, asked)
	}
}
