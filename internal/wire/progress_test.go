package wire

import (
	"context"
	"encoding/json"
	"testing"
)

// askedConn keeps the last request that it was asked.
type askedConn struct {
	Conn
	last Request
}

// Call implements Conn.
func (c *askedConn) Call(_ context.Context, req Request) (Reply, error) {
	c.last = req
	return Reply{}, nil
}

// TestProgressIsAskedForBesideTheArguments, which stay the bytes they are
// (threats 23); and nothing is added where nobody asks.
func TestProgressIsAskedForBesideTheArguments(t *testing.T) {
	const args = `{ "n":1e400,"N":12345678901234567890, "_meta":{"progressToken":"mine"} }`
	tool, ok := parseTool(json.RawMessage(`{"name":"t"}`))
	if !ok {
		t.Fatal("no tool")
	}
	meta := json.RawMessage(`{"v":"x"}`)
	for _, c := range []struct {
		meta     json.RawMessage
		progress string
		want     string
	}{
		{nil, "", `{"name":"t","arguments":` + args + `}`},
		{nil, "call-1", `{"name":"t","arguments":` + args + `,"_meta":{"progressToken":"call-1"}}`},
		{meta, "", `{"name":"t","arguments":` + args + `,"_meta":{"v":"x"}}`},
		{meta, "call-1", `{"name":"t","arguments":` + args + `,"_meta":{"v":"x","io.modelcontextprotocol/logLevel":"info","progressToken":"call-1"}}`},
	} {
		conn := &askedConn{}
		s := &Session{Conn: conn, meta: c.meta}
		if _, err := s.CallTool(t.Context(), tool, json.RawMessage(args), nil, c.progress); err != nil {
			t.Fatal(err)
		}
		if got := string(conn.last.Params); got != c.want || !json.Valid(conn.last.Params) {
			t.Errorf("with %q and %q the parameters are\n%s, want\n%s", c.meta, c.progress, got, c.want)
		}
	}
	if string(meta) != `{"v":"x"}` {
		t.Errorf("the shared _meta became %s", meta)
	}
}
