package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/mcptest"
)

// TestHandshakeVersions: every protocol version that a server may insist on is
// agreed to, over streamable HTTP, whichever is asked for first.
func TestHandshakeVersions(t *testing.T) {
	for _, version := range supported {
		for _, stateless := range []bool{true, false} {
			if version == ProtocolStateless && !stateless {
				continue // over HTTP such a server refuses the older handshake with a bare 400
			}
			t.Run(fmt.Sprintf("%s asked stateless first %t", version, stateless), func(t *testing.T) {
				url := mcptest.StartHTTP(t, mcptest.Options{
					ProtocolVersions: []string{version}, Stateless: version == ProtocolStateless,
				})
				conn := DialHTTP(HTTPOptions{URL: url})
				t.Cleanup(func() { conn.Close(testContext(t)) })
				s, err := Handshake(testContext(t), conn, Identity{"wire-test", "1"}, stateless)
				if err != nil {
					t.Fatal(err)
				}
				if s.Info.Protocol != version || s.Info.Name != "mcptest" {
					t.Errorf("info = %+v", s.Info)
				}
				tools, err := s.ListTools(testContext(t))
				if err != nil || len(tools) == 0 {
					t.Fatalf("%d tools, %v", len(tools), err)
				}
				reply, err := s.CallTool(testContext(t), tools[0], json.RawMessage(`{}`), nil, CallMeta{})
				if err != nil || reply.Error != nil && reply.Error.Code != -32602 {
					t.Errorf("reply = %s, %v, %v", reply.Result, reply.Error, err)
				}
			})
		}
	}
}

// TestListToolsBounded: pages that go round in a circle, elements that are no
// tools, and members that differ in case end as they should (threats 23, 26).
func TestListToolsBounded(t *testing.T) {
	pages := func(page string) *Session {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var m struct{ ID json.RawMessage }
			_ = json.NewDecoder(r.Body).Decode(&m)
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, page)
		}))
		t.Cleanup(server.Close)
		conn := DialHTTP(HTTPOptions{URL: server.URL})
		t.Cleanup(func() { conn.Close(testContext(t)) })
		return &Session{Conn: conn}
	}
	if _, err := pages(`{"tools":[],"nextCursor":"again"}`).ListTools(testContext(t)); err == nil {
		t.Error("a circle of pages was read to its end")
	}
	huge := `{"tools":[{"name":"` + strings.Repeat("x", maxToolBytes) + `"}]}`
	if _, err := pages(huge).ListTools(testContext(t)); err == nil {
		t.Error("a list of any size was read")
	}
	tools, err := pages(`{"tools":[1,null,{"Name":"x"},{"name":5},{"name":"ok"}]}`).ListTools(testContext(t))
	if err != nil || len(tools) != 1 || tools[0].Name != "ok" {
		t.Errorf("tools = %+v, %v", tools, err)
	}
}

// TestParamHeaders: annotated primitive arguments become headers, at any depth.
func TestParamHeaders(t *testing.T) {
	tool, ok := parseTool(json.RawMessage(`{"name":"t","inputSchema":{"type":"object","properties":{
		"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"},
		"o":{"type":"object","properties":{"deep":{"type":"boolean","x-mcp-header":"Deep"}}},
		"bad":{"type":"string","x-mcp-header":"a b\r\n"},"list":{"type":"array","x-mcp-header":"List"}}}}`))
	if !ok {
		t.Fatal("the tool was not read")
	}
	got := tool.paramHeaders(json.RawMessage(`{"region":"eu","n":9007199254740993,"o":{"deep":true},"bad":"x","list":[]}`))
	want := http.Header{"Mcp-Param-Region": {"eu"}, "Mcp-Param-N": {"9007199254740993"}, "Mcp-Param-Deep": {"true"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if h := tool.paramHeaders(json.RawMessage(`{"region":null}`)); len(h) != 0 {
		t.Errorf("null made headers: %v", h)
	}
}

// TestHandshakeEndsWithItsContext: a server that never answers is given up.
func TestHandshakeEndsWithItsContext(t *testing.T) {
	conn := dialStdio(t, Handler{}, "--ignore-initialize")
	ctx, cancel := context.WithCancelCause(testContext(t))
	enough := errors.New("enough")
	cancel(enough)
	if _, err := Handshake(ctx, conn, Identity{"t", "1"}, false); !errors.Is(err, enough) {
		t.Errorf("error = %v", err)
	}
}

// heldBack sends the first request only when its time is over, as where a token has
// to be renewed first.
type heldBack struct{ released atomic.Bool }

type unsentError struct{ error }

// NotExecuted says that nothing was sent.
func (unsentError) NotExecuted() bool { return true }

// RoundTrip implements http.RoundTripper.
func (h *heldBack) RoundTrip(req *http.Request) (*http.Response, error) {
	if h.released.CompareAndSwap(false, true) {
		<-req.Context().Done()
		return nil, unsentError{req.Context().Err()}
	}
	return http.DefaultTransport.RoundTrip(req)
}

// TestHandshakeAfterAWait: the time for the first question may be up before it was
// asked. That is no reason to give up.
func TestHandshakeAfterAWait(t *testing.T) {
	conn := DialHTTP(HTTPOptions{URL: mcptest.StartHTTP(t, mcptest.Options{}), RoundTripper: &heldBack{}})
	t.Cleanup(func() { conn.Close(testContext(t)) })
	if s, err := Handshake(testContext(t), conn, Identity{"wire-test", "1"}, true); err != nil || s.Info.Name != "mcptest" {
		t.Errorf("the handshake ends with %v", err)
	}
}
