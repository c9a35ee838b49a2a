package mcptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Options is what can be varied of a test server; the zero value is usual.
type Options struct {
	// Name is the server's name in its introduction, "mcptest" when empty.
	Name string
	// PageSize is the number of tools on one page of tools/list, 0 for the
	// SDK's default of 1000.
	PageSize int
	// ProtocolVersions narrows what the server agrees to; nil is all.
	ProtocolVersions []string
	// JSONResponse makes streamable HTTP answer with one JSON object instead
	// of an event stream.
	JSONResponse bool
	// Stateless makes streamable HTTP work without MCP sessions.
	Stateless bool
}

// NewServer makes a server with the tools echo, add, slow, big, fail, types,
// structured, whoami, meta and add_tool. Each describes itself.
func NewServer(o Options) *mcp.Server {
	if o.Name == "" {
		o.Name = "mcptest"
	}
	s := mcp.NewServer(&mcp.Implementation{Name: o.Name, Version: "1.0.0"},
		&mcp.ServerOptions{PageSize: o.PageSize, SupportedProtocolVersions: o.ProtocolVersions})
	add(s, "echo", "Answers with the message.",
		`{"message":{"type":"string","description":"what to answer with"}}`, "message", echo)
	add(s, "add", "Answers with the sum of two numbers.",
		`{"a":{"type":"number"},"b":{"type":"number"}}`, "a,b", sum)
	add(s, "slow", "Answers after some milliseconds and tells of its progress until then.",
		`{"ms":{"type":"integer","minimum":0}}`, "ms", slow)
	add(s, "big", "Answers with a text of so many bytes.",
		`{"bytes":{"type":"integer","minimum":0,"maximum":134217728}}`, "bytes", big)
	add(s, "fail", "Fails, as tools do, with the message.",
		`{"message":{"type":"string"}}`, "message", fail)
	add(s, "types", "Answers with one content item of every type.", `{}`, "", types)
	s.AddTool(&mcp.Tool{Name: "structured", Description: "Answers with structured content that a float cannot hold.",
		InputSchema: schema(`{}`, ""), OutputSchema: schema(`{"id":{"type":"integer"},"ratio":{"type":"number"}}`, "id,ratio")}, structured)
	add(s, "whoami", "Answers with the headers of the HTTP request that carried the call.", `{}`, "", whoami)
	add(s, "meta", "Answers with the _meta of the call.", `{}`, "", meta)
	add(s, "add_tool", "Adds a tool of that name, which answers with its own name.",
		`{"name":{"type":"string","minLength":1}}`, "name", adder(s))
	return s
}

func add(s *mcp.Server, name, description, properties, required string, h mcp.ToolHandler) {
	s.AddTool(&mcp.Tool{Name: name, Description: description, InputSchema: schema(properties, required)}, h)
}

// schema writes an object schema; required lists property names, with commas.
func schema(properties, required string) json.RawMessage {
	if required == "" {
		return json.RawMessage(`{"type":"object","properties":` + properties + `}`)
	}
	names := `["` + strings.ReplaceAll(required, ",", `","`) + `"]`
	return json.RawMessage(`{"type":"object","properties":` + properties + `,"required":` + names + `}`)
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}

func echo(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in struct{ Message string }
	if err := json.Unmarshal(r.Params.Arguments, &in); err != nil {
		return nil, err
	}
	return text(in.Message), nil
}

func sum(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in struct{ A, B float64 }
	if err := json.Unmarshal(r.Params.Arguments, &in); err != nil {
		return nil, err
	}
	return text(fmt.Sprint(in.A + in.B)), nil
}

// slow honours cancellation: a call that was cancelled never answers.
func slow(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in struct{ Ms int }
	if err := json.Unmarshal(r.Params.Arguments, &in); err != nil {
		return nil, err
	}
	const steps = 10
	step := time.Duration(in.Ms) * time.Millisecond / steps
	for i := range steps {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(step):
		}
		if token := r.Params.GetProgressToken(); token != nil {
			p := &mcp.ProgressNotificationParams{ProgressToken: token, Progress: float64(i + 1), Total: steps}
			if err := r.Session.NotifyProgress(ctx, p); err != nil {
				return nil, err
			}
		}
	}
	return text(fmt.Sprintf("waited %d ms", in.Ms)), nil
}

func big(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in struct{ Bytes int }
	if err := json.Unmarshal(r.Params.Arguments, &in); err != nil {
		return nil, err
	}
	if in.Bytes < 0 || in.Bytes > 128<<20 {
		return nil, errors.New("bytes is not within 0 and 134217728")
	}
	return text(strings.Repeat("x", in.Bytes)), nil
}

func fail(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	res, err := echo(ctx, r)
	if err == nil {
		res.IsError = true
	}
	return res, err
}

func types(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{
		&mcp.TextContent{Text: "plain"},
		&mcp.ImageContent{MIMEType: "image/png", Data: []byte("\x89PNG")},
		&mcp.AudioContent{MIMEType: "audio/wav", Data: []byte("RIFF")},
		&mcp.ResourceLink{URI: "file:///report.txt", Name: "report", MIMEType: "text/plain"},
		&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "file:///note.txt", MIMEType: "text/plain", Text: "a note"}},
		&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "file:///blob.bin", MIMEType: "application/octet-stream", Blob: []byte{0, 1, 2}}},
	}}, nil
}

// structured answers with an integer beyond 2^53 and with 1.0, in an order
// that is not alphabetical.
func structured(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{
		Content:           []mcp.Content{},
		StructuredContent: json.RawMessage(`{"ratio":1.0,"id":9007199254740993}`),
	}, nil
}

func whoami(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if r.Extra == nil || r.Extra.Header == nil {
		return text("{}"), nil
	}
	b, err := json.Marshal(r.Extra.Header)
	if err != nil {
		return nil, err
	}
	return text(string(b)), nil
}

func meta(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	b, err := json.Marshal(r.Params.Meta)
	if err != nil {
		return nil, err
	}
	return text(string(b)), nil
}

// adder makes the tool that grows s, so that its tool list changes.
func adder(s *mcp.Server) mcp.ToolHandler {
	return func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		var in struct{ Name string }
		if err := json.Unmarshal(r.Params.Arguments, &in); err != nil {
			return nil, err
		}
		add(s, in.Name, "Was added by add_tool.", `{}`, "", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return text(in.Name), nil
		})
		return text("added " + in.Name), nil
	}
}
