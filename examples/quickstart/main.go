// Command quickstart shows mcpo at work with nothing but Go: it starts one MCP
// server as a child process and one that is reached over HTTP, puts mcpo before
// both, and prints how to call them. Ctrl-C ends all of it.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcpo/internal/app"
	"mcpo/internal/mcptest"
)

// stdioServer is the argument that makes this program the MCP server that it
// starts as its own child.
const stdioServer = "serve-on-standard-streams"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := quickstart
	if len(os.Args) == 2 && os.Args[1] == stdioServer {
		run = serveStdio
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func serveStdio(ctx context.Context) error {
	err := mcptest.NewServer(mcptest.Options{Name: "over-stdio"}).Run(ctx, &mcp.StdioTransport{})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func quickstart(ctx context.Context) error {
	port := flag.Int("port", 0, "listen on this port of 127.0.0.1; 0 takes a free one")
	flag.Parse()

	url, err := serveHTTP(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mcpo-quickstart-")
	if err != nil {
		return fmt.Errorf("making a folder for the configuration: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "config.json")
	if err := writeConfig(path, url); err != nil {
		return err
	}
	return app.Run(ctx, options(ctx, path, *port))
}

// serveHTTP serves MCP over streamable HTTP until ctx ends.
func serveHTTP(ctx context.Context) (url string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listening for the HTTP server: %w", err)
	}
	o := mcptest.Options{Name: "over-http"}
	s := &http.Server{Handler: mcptest.Handler(mcptest.NewServer(o), o), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	go func() { _ = s.Serve(ln) }()
	return "http://" + ln.Addr().String() + "/mcp", nil
}

// writeConfig writes what a person would write by hand.
func writeConfig(path, url string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	config, err := json.MarshalIndent(map[string]any{"mcpServers": map[string]any{
		"child": map[string]any{"command": self, "args": []string{stdioServer}},
		"web":   map[string]any{"type": "streamable-http", "url": url},
	}}, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return os.WriteFile(path, config, 0o600)
}

func options(ctx context.Context, config string, port int) app.Options {
	return app.Options{
		Host:             "127.0.0.1",
		Port:             port,
		ConfigPath:       config,
		CORSAllowOrigins: []string{"*"},
		CallTimeout:      time.Minute,
		ShutdownTimeout:  5 * time.Second,
		MaxBody:          4 << 20,
		Log:              slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Build:            "quickstart",
		Ready:            func(addr string) { go announce(ctx, "http://"+addr) },
	}
}

// announce waits until both servers are connected, so that the lines it prints
// work at once.
func announce(ctx context.Context, base string) {
	for !ready(ctx, base) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	fmt.Printf(`mcpo is listening, with one MCP server behind it over stdio and one over HTTP.

Call a tool:

  curl %[1]s/child/add -H 'Content-Type: application/json' -d '{"a": 40, "b": 2}'
  curl %[1]s/web/echo -H 'Content-Type: application/json' -d '{"message": "hello"}'

Look around in a browser:

  %[1]s/child/docs

Ctrl-C ends everything.
`, base)
}

func ready(ctx context.Context, base string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
