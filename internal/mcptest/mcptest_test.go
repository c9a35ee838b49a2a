package mcptest_test

import (
	"context"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcpo/internal/mcptest"
)

// connect opens a conversation as the SDK does.
func connect(t *testing.T, transport mcp.Transport) *mcp.ClientSession {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	s, err := c.Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAllTransports(t *testing.T) {
	for name, transport := range map[string]func(t *testing.T) mcp.Transport{
		"stdio": func(t *testing.T) mcp.Transport {
			return &mcp.CommandTransport{Command: exec.Command(mcptest.BuildStdio(t), "--page-size", "2")}
		},
		"http": func(t *testing.T) mcp.Transport {
			return &mcp.StreamableClientTransport{Endpoint: mcptest.StartHTTP(t, mcptest.Options{PageSize: 2})}
		},
		"sse": func(t *testing.T) mcp.Transport {
			return &mcp.SSEClientTransport{Endpoint: mcptest.StartSSE(t, mcptest.Options{PageSize: 2})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := connect(t, transport(t))
			var got []string
			for tool, err := range s.Tools(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, tool.Name)
			}
			want := []string{"add", "add_tool", "big", "echo", "fail", "meta", "slow", "structured", "types", "whoami"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("tools (-want +got):\n%s", diff)
			}
			if got := call(t, s, "echo", map[string]any{"message": "hello"}); got != "hello" {
				t.Errorf("echo answered %q", got)
			}
		})
	}
}

// call calls a tool and answers with its first text.
func call(t *testing.T, s *mcp.ClientSession, tool string, args any) string {
	t.Helper()
	r, err := s.CallTool(context.Background(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatal(err)
	}
	return r.Content[0].(*mcp.TextContent).Text
}

func TestListChanges(t *testing.T) {
	changed := make(chan struct{}, 8)
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- struct{}{} }})
	s, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: mcptest.StartHTTP(t, mcptest.Options{})},
		&mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	call(t, s, "add_tool", map[string]any{"name": "fresh"})
	<-changed
	if got := call(t, s, "fresh", nil); got != "fresh" {
		t.Errorf("the added tool answered %q", got)
	}
}
