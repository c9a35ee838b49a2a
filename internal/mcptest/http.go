package mcptest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Handler serves s over streamable HTTP on every path.
func Handler(s *mcp.Server, o Options) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s },
		&mcp.StreamableHTTPOptions{JSONResponse: o.JSONResponse, Stateless: o.Stateless})
}

// StartHTTP serves a new server over streamable HTTP on 127.0.0.1 until the
// test ends, and answers with its address, path included.
func StartHTTP(t testing.TB, o Options) (url string) {
	t.Helper()
	return serve(t, Handler(NewServer(o), o)) + "/mcp"
}

// StartSSE is StartHTTP for the SSE transport of protocol version 2024-11-05.
func StartSSE(t testing.TB, o Options) (url string) {
	t.Helper()
	s := NewServer(o)
	return serve(t, mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return s }, nil)) + "/sse"
}

// serve cuts off open event streams at the end: a test that fails must not
// wait for its own streams to finish.
func serve(t testing.TB, h http.Handler) (url string) {
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}
