package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Protocol versions of the Model Context Protocol.
const (
	ProtocolStateless = "2026-07-28" // the first without a handshake (SEP-2575)
	protocolLatest    = "2025-11-25" // the last with one; offered in initialize
)

const (
	methodInitialize = "initialize"
	methodDiscover   = "server/discover"

	codeMethodNotFound     = -32601
	codeUnsupportedVersion = -32022 // 2026-07-28, "Protocol version negotiation"

	// discoverTimeout bounds the wait for a server that ignores
	// server/discover, before the older handshake is tried.
	discoverTimeout = 3 * time.Second
	// maxPages and maxTools bound a tools/list that does not end.
	maxPages     = 1000
	maxTools     = 20000
	maxToolBytes = 64 << 20 // of all pages together
)

// supported are the versions that a server may choose.
var supported = [...]string{ProtocolStateless, protocolLatest, "2025-06-18", "2025-03-26", "2024-11-05"}

// Identity is what mcpo says of itself to servers (MCP Implementation).
type Identity struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Info is what a server says of itself.
type Info struct {
	Name, Title, Version string
	Instructions         string
	// Protocol is the agreed protocol version, for example "2025-11-25".
	Protocol string
}

// Session is a conversation after its handshake: the server is known, and
// tools can be listed and called.
type Session struct {
	Conn
	Info Info
	meta json.RawMessage // the _meta object of each request; nil before 2026-07-28
}

// Handshake agrees on a protocol version. With stateless set it first asks
// server/discover, as 2026-07-28 has it, and falls back to initialize when the
// server does not know that, answers unintelligibly, or not at all in time.
// Without, initialize comes first, for servers (on stdio) that a request they
// do not know would confuse; a server that no longer knows initialize is then
// asked server/discover.
func Handshake(ctx context.Context, conn Conn, self Identity, stateless bool) (*Session, error) {
	if stateless {
		s, err := discover(ctx, conn, self)
		if err == nil || !mayBeOlder(ctx, err) {
			return s, err
		}
		return initialize(ctx, conn, self)
	}
	s, err := initialize(ctx, conn, self)
	var rpc *RPCError
	if errors.As(err, &rpc) && (rpc.Code == codeMethodNotFound || rpc.Code == codeUnsupportedVersion) {
		if newer, err := discover(ctx, conn, self); err == nil {
			return newer, nil
		}
	}
	return s, err
}

// mayBeOlder tells whether an error of server/discover can come from a server
// of an older protocol. A login that is needed, a server that cannot be
// reached, and our own end are what they are in every version. Where the time for
// it was up, perhaps before it was sent, initialize has more.
func mayBeOlder(ctx context.Context, err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Code != http.StatusUnauthorized && status.Code != http.StatusForbidden
	}
	return ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || !NotExecuted(err))
}

// discover asks a server of 2026-07-28 or later what it supports.
func discover(ctx context.Context, conn Conn, self Identity) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	meta := requestMeta(self)
	conn.SetProtocol(ProtocolStateless)
	reply, err := conn.Call(ctx, Request{Method: methodDiscover, Params: appendMeta([]byte("{}"), meta)})
	if err == nil && reply.Error != nil {
		err = reply.Error
	}
	if err == nil && !speaksStateless(reply) {
		err = &RPCError{Code: codeUnsupportedVersion, Message: "the server does not say that it supports " + ProtocolStateless}
	}
	if err != nil {
		conn.SetProtocol("")
		return nil, fmt.Errorf("asking server/discover: %w", err)
	}
	var result, resultMeta map[string]json.RawMessage
	_ = json.Unmarshal(reply.Result, &result)        // speaksStateless read it before
	_ = json.Unmarshal(result["_meta"], &resultMeta) // optional
	return &Session{Conn: conn, meta: meta,
		Info: info(resultMeta["io.modelcontextprotocol/serverInfo"], result["instructions"], ProtocolStateless)}, nil
}

// speaksStateless reports whether the answer to server/discover names our
// version. Some older servers answer every request with an empty result.
func speaksStateless(reply Reply) bool {
	var result map[string]json.RawMessage
	var versions []string
	return reply.Error == nil && json.Unmarshal(reply.Result, &result) == nil &&
		json.Unmarshal(result["supportedVersions"], &versions) == nil && slices.Contains(versions, ProtocolStateless)
}

// initialize does the handshake of the versions up to 2025-11-25.
func initialize(ctx context.Context, conn Conn, self Identity) (*Session, error) {
	params, err := json.Marshal(map[string]any{
		"protocolVersion": protocolLatest, "capabilities": struct{}{}, "clientInfo": self,
	})
	if err != nil {
		return nil, err
	}
	reply, err := conn.Call(ctx, Request{Method: methodInitialize, Params: params})
	if err == nil && reply.Error != nil {
		err = reply.Error
	}
	if err != nil {
		return nil, fmt.Errorf("initializing: %w", err)
	}
	var result map[string]json.RawMessage
	var version string
	if json.Unmarshal(reply.Result, &result) != nil || json.Unmarshal(result["protocolVersion"], &version) != nil {
		return nil, errors.New("initializing: the server's answer is not understood")
	}
	if !slices.Contains(supported[:], version) {
		return nil, fmt.Errorf("initializing: the server chose protocol version %q, which mcpo does not speak", version)
	}
	conn.SetProtocol(version)
	if err := conn.Notify(ctx, "notifications/initialized", nil); err != nil {
		return nil, fmt.Errorf("initializing: %w", err)
	}
	return &Session{Conn: conn, Info: info(result["serverInfo"], result["instructions"], version)}, nil
}

func info(implementation, instructions json.RawMessage, protocol string) Info {
	i := Info{Protocol: protocol, Instructions: text(instructions)}
	var m map[string]json.RawMessage
	if json.Unmarshal(implementation, &m) == nil {
		i.Name, i.Title, i.Version = text(m["name"]), text(m["title"]), text(m["version"])
	}
	return i
}

// text reads a JSON string; anything else is "".
func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

// requestMeta is the _meta object that each request of 2026-07-28 carries.
func requestMeta(self Identity) json.RawMessage {
	name, _ := json.Marshal(self) // two strings always marshal
	return json.RawMessage(`{"io.modelcontextprotocol/protocolVersion":"` + ProtocolStateless +
		`","io.modelcontextprotocol/clientInfo":` + string(name) +
		`,"io.modelcontextprotocol/clientCapabilities":{}}`)
}

// CallMeta is what a call says of itself beside the tool's arguments. Its zero
// value says nothing.
type CallMeta struct {
	// Progress is a token of letters, digits and - under which the server is asked
	// to tell how far it has come, or "" not to ask.
	Progress string
	// Traceparent and Tracestate are the span that the call is made in (W3C Trace
	// Context §3.2, §3.3; SEP-414), "" for none.
	Traceparent, Tracestate string
}

// over is meta with what the call says. From 2026-07-28 on, what a server logs of
// a request has to be asked for too.
func (c CallMeta) over(meta json.RawMessage) json.RawMessage {
	if c == (CallMeta{}) {
		return meta
	}
	own := append(make(json.RawMessage, 0, len(meta)+256), '{')
	if meta != nil {
		own = append(append(own[:0], meta[:len(meta)-1]...), ',')
	}
	if c.Progress != "" && meta != nil {
		own = append(own, `"io.modelcontextprotocol/logLevel":"info",`...)
	}
	for _, m := range [...]struct{ name, value string }{{"progressToken", c.Progress}, {"traceparent", c.Traceparent}, {"tracestate", c.Tracestate}} {
		if m.value != "" {
			quoted, _ := json.Marshal(m.value) // a string always marshals
			own = append(append(own, `"`+m.name+`":`...), quoted...)
			own = append(own, ',')
		}
	}
	own[len(own)-1] = '}'
	return own
}

// appendMeta adds _meta as the last member of the JSON object params.
func appendMeta(params []byte, meta json.RawMessage) []byte {
	if meta == nil {
		return params
	}
	params = params[:len(params)-1]
	if params[len(params)-1] != '{' {
		params = append(params, ',')
	}
	params = append(params, `"_meta":`...)
	return append(append(params, meta...), '}')
}

// ListTools reads all pages of tools/list. An element that is no tool is left
// out: it costs none of the others.
func (s *Session) ListTools(ctx context.Context) ([]Tool, error) {
	var tools []Tool
	seen := map[string]bool{}
	cursor, size := json.RawMessage(nil), 0
	for range maxPages {
		params := []byte("{}")
		if cursor != nil {
			params = append(append([]byte(`{"cursor":`), cursor...), '}')
		}
		reply, err := s.Call(ctx, Request{Method: "tools/list", Params: appendMeta(params, s.meta)})
		if err == nil && reply.Error != nil {
			if reply.Error.Code == codeMethodNotFound {
				return nil, nil // a server without tools
			}
			err = reply.Error
		}
		if err != nil {
			return nil, fmt.Errorf("listing tools: %w", err)
		}
		if size += len(reply.Result); size > maxToolBytes {
			return nil, fmt.Errorf("listing tools: the list is larger than %d MiB", maxToolBytes>>20)
		}
		var page map[string]json.RawMessage
		var elements []json.RawMessage
		if json.Unmarshal(reply.Result, &page) != nil || json.Unmarshal(page["tools"], &elements) != nil {
			return nil, errors.New("listing tools: the server's answer is not understood")
		}
		for _, e := range elements {
			if t, ok := parseTool(e); ok {
				tools = append(tools, t)
			}
		}
		cursor = page["nextCursor"]
		if text(cursor) == "" || len(tools) > maxTools {
			return tools, nil
		}
		if seen[string(cursor)] {
			return nil, errors.New("listing tools: the server's pages go round in a circle")
		}
		seen[string(cursor)] = true
	}
	return nil, fmt.Errorf("listing tools: more than %d pages", maxPages)
}

// CallTool calls a tool with arguments that are a JSON object, sent as they
// are. The reply may be an error of the server's; see [Conn.Call] for errors.
func (s *Session) CallTool(ctx context.Context, t Tool, args json.RawMessage, forwarded http.Header, call CallMeta) (Reply, error) {
	meta := call.over(s.meta)
	params := make([]byte, 0, 32+len(t.quoted)+len(args)+len(meta))
	params = append(params, `{"name":`...)
	params = append(params, t.quoted...)
	params = append(params, `,"arguments":`...)
	params = append(params, args...)
	params = appendMeta(append(params, '}'), meta)
	req := Request{Method: "tools/call", Params: params, Name: t.Name, Header: forwarded}
	if s.meta != nil {
		req.ParamHeaders = t.paramHeaders(args)
	}
	return s.Call(ctx, req)
}
