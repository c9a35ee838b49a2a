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

// TestProgressIsAskedForBesideTheArguments, and so is the call's span told. The
// arguments stay the bytes they are (threats 23), and nothing is added where there
// is nothing to say.
func TestProgressIsAskedForBesideTheArguments(t *testing.T) {
	const args = `{ "n":1e400,"N":12345678901234567890, "_meta":{"progressToken":"mine"} }`
	tool, ok := parseTool(json.RawMessage(`{"name":"t"}`))
	if !ok {
		t.Fatal("no tool")
	}
	meta := json.RawMessage(`{"v":"x"}`)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, c := range []struct {
		meta json.RawMessage
		call CallMeta
		want string
	}{
		{nil, CallMeta{}, `{"name":"t","arguments":` + args + `}`},
		{nil, CallMeta{Progress: "call-1"}, `{"name":"t","arguments":` + args + `,"_meta":{"progressToken":"call-1"}}`},
		{nil, CallMeta{Traceparent: parent}, `{"name":"t","arguments":` + args + `,"_meta":{"traceparent":"` + parent + `"}}`},
		{meta, CallMeta{}, `{"name":"t","arguments":` + args + `,"_meta":{"v":"x"}}`},
		{meta, CallMeta{"call-1", parent, `a=b"\`}, `{"name":"t","arguments":` + args +
			`,"_meta":{"v":"x","io.modelcontextprotocol/logLevel":"info","progressToken":"call-1","traceparent":"` + parent + `","tracestate":"a=b\"\\"}}`},
		{meta, CallMeta{Progress: "call-1"}, `{"name":"t","arguments":` + args + `,"_meta":{"v":"x","io.modelcontextprotocol/logLevel":"info","progressToken":"call-1"}}`},
	} {
		conn := &askedConn{}
		s := &Session{Conn: conn, meta: c.meta}
		if _, err := s.CallTool(t.Context(), tool, json.RawMessage(args), nil, c.call); err != nil {
			t.Fatal(err)
		}
		if got := string(conn.last.Params); got != c.want || !json.Valid(conn.last.Params) {
			t.Errorf("with %q and %+v the parameters are\n%s, want\n%s", c.meta, c.call, got, c.want)
		}
	}
	if string(meta) != `{"v":"x"}` {
		t.Errorf("the shared _meta became %s", meta)
	}
}

func TestToolFailed(t *testing.T) {
	for result, want := range map[string]bool{
		`{"content":[],"isError":true}`: true, ` { "isError" : true , "x":1}`: true, `{"isError":false}`: false, `{"content":[{"isError":true}]}`: false,
		`{}`: false, `[]`: false, ``: false, `{"isError":"true"}`: false,
	} {
		if got := (Reply{Result: json.RawMessage(result)}).ToolFailed(); got != want {
			t.Errorf("ToolFailed of %s = %v", result, got)
		}
	}
}
