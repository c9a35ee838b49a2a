package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcpo/internal/app"
	"mcpo/internal/mcptest"
)

// TestHeads: heads of requests that are slow or huge are cut by the listener
// that mcpo really opens (threats 30).
func TestHeads(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	upstream := mcptest.StartHTTP(t, mcptest.Options{})
	go func() {
		done <- app.Run(ctx, app.Options{Host: "127.0.0.1", ServerType: "streamable-http", Command: []string{upstream},
			CORSAllowOrigins: []string{"*"}, MaxBody: 1 << 20, ShutdownTimeout: time.Minute, Log: slog.New(slog.DiscardHandler),
			Ready: func(addr string) { ready <- addr }})
	}()
	var addr string
	select {
	case addr = <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	slow := dial()
	if _, err := fmt.Fprint(slow, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	for name, header := range map[string]string{
		"one long header": "X: " + strings.Repeat("x", 80<<10),
		"many headers":    strings.TrimSuffix(strings.Repeat("X: y\r\n", 20<<10), "\r\n"),
	} {
		conn := dial()
		go fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", header) // may be cut
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s = %d", name, resp.StatusCode)
		}
	}
	long := dial()
	if _, err := fmt.Fprintf(long, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", strings.Repeat("a", 30<<10)); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(long), nil); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("a long path: %v, %v", resp, err)
	}
	if _, err := io.Copy(io.Discard, slow); err != nil { // ends when the listener gives up
		t.Errorf("a slow head: %v", err)
	}
}
