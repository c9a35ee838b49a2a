// Package fast is an MCP server that answers as fast as it can, so that it is
// not what a benchmark of proxies measures. It looks at a message once, keeps
// nothing, and writes its answer by hand.
package fast

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

const tools = `{"tools":[
{"name":"echo","description":"Answers with the message.","inputSchema":{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}},
{"name":"big","description":"Answers with so many bytes.","inputSchema":{"type":"object","properties":{"bytes":{"type":"integer"}},"required":["bytes"]}}]}`

type request struct {
	ID     json.RawMessage
	Method string
	Params struct {
		ProtocolVersion string
		Name            string
		Arguments       struct {
			Message json.RawMessage
			Bytes   int
		}
	}
}

// Server has the tools echo and big. As an http.Handler it is the endpoint of
// streamable HTTP.
type Server struct{ tools []byte }

// New makes a server that lists its own tools, or, with a list, what that says:
// the result of a tools/list.
func New(list []byte) (Server, error) {
	if list == nil {
		list = []byte(tools)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, list); err != nil {
		return Server{}, fmt.Errorf("reading the list of tools: %w", err)
	}
	return Server{tools: compact.Bytes()}, nil
}

// answer gives nil for a message that has no answer.
func (s Server) answer(message []byte) []byte {
	var r request
	if err := json.Unmarshal(message, &r); err != nil || r.ID == nil {
		return nil
	}
	switch {
	case r.Method == "initialize":
		return reply(r.ID, fmt.Appendf(nil, `{"protocolVersion":%q,"capabilities":{"tools":{}},"serverInfo":{"name":"upstream","version":"1"}}`, r.Params.ProtocolVersion))
	case r.Method == "ping":
		return reply(r.ID, []byte(`{}`))
	case r.Method == "tools/list":
		return reply(r.ID, s.tools)
	case r.Method == "tools/call" && r.Params.Name == "big":
		return reply(r.ID, text([]byte(`"`+strings.Repeat("x", r.Params.Arguments.Bytes)+`"`)))
	case r.Method == "tools/call" && r.Params.Arguments.Message != nil:
		return reply(r.ID, text(r.Params.Arguments.Message))
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"method not found"}}`, r.ID)
}

func text(quoted []byte) []byte {
	b := make([]byte, 0, len(quoted)+64)
	b = append(b, `{"content":[{"type":"text","text":`...)
	return append(append(b, quoted...), `}]}`...)
}

func reply(id, result []byte) []byte {
	b := make([]byte, 0, len(result)+64)
	b = append(append(b, `{"jsonrpc":"2.0","id":`...), id...)
	return append(append(append(b, `,"result":`...), result...), '}')
}

// ServeLines answers the messages of in, one a line, until it ends.
func (s Server) ServeLines(in io.Reader, out io.Writer) error {
	var mu sync.Mutex
	for r := bufio.NewReaderSize(in, 64<<10); ; {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading messages: %w", err)
		}
		go func() {
			if b := s.answer(line); b != nil {
				mu.Lock()
				defer mu.Unlock()
				_, _ = out.Write(append(b, '\n'))
			}
		}()
	}
}

// ServeHTTP answers one message.
func (s Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b := s.answer(body)
	if b == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Mcp-Session-Id", "upstream")
	_, _ = w.Write(b)
}
