//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mcpo/internal/openapi"
)

// listTools starts an MCP server on its standard streams and gives its tools
// as it wrote them.
func listTools(env []string, command ...string) ([]json.RawMessage, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, fmt.Errorf("starting %s: %w", command[0], err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	fmt.Fprintln(in, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`)
	fmt.Fprintln(in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	fmt.Fprintln(in, `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var m struct {
			ID     json.RawMessage
			Result struct{ Tools []json.RawMessage }
		}
		if json.Unmarshal(lines.Bytes(), &m) == nil && string(m.ID) == "2" {
			return m.Result.Tools, nil
		}
	}
	return nil, fmt.Errorf("%s ended without a list of its tools", command[0])
}

// recursive tells whether a schema refers to itself somewhere; the Python mcpo
// loses a server that has one such tool.
func recursive(tool json.RawMessage) bool {
	var t struct{ InputSchema any }
	if json.Unmarshal(tool, &t) != nil {
		return false
	}
	return loops(t.InputSchema, t.InputSchema, nil)
}

// loops walks a schema and what it refers to; path holds the references that
// lead here.
func loops(root, node any, path []string) bool {
	switch n := node.(type) {
	case []any:
		for _, e := range n {
			if loops(root, e, path) {
				return true
			}
		}
	case map[string]any:
		if ref, ok := n["$ref"].(string); ok {
			for _, p := range path {
				if p == ref {
					return true
				}
			}
			return loops(root, resolve(root, ref), append(path[:len(path):len(path)], ref))
		}
		for k, e := range n {
			if k != "$defs" && k != "definitions" && loops(root, e, path) {
				return true
			}
		}
	}
	return false
}

// resolve follows a JSON pointer of keys into root, nil when it leads nowhere.
func resolve(root any, ref string) any {
	for _, k := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := root.(map[string]any)
		if !ok {
			return nil
		}
		root = m[k]
	}
	return root
}

// documentFigure builds the document of a server with hundreds of tools: here
// from the tools alone, and from outside as a caller sees it.
func (b *bench) documentFigure() error {
	all, err := listTools([]string{"MS365_MCP_CLIENT_ID=00000000-0000-0000-0000-000000000000"},
		b.peers.node("ms-365-mcp-server"), "--org-mode")
	if err != nil {
		return err
	}
	var plain []json.RawMessage
	for _, t := range all {
		if !recursive(t) {
			plain = append(plain, t)
		}
	}
	built, err := b.buildDocument(all)
	if err != nil {
		return err
	}
	b.add(row{Figure: fmt.Sprintf("document of %d tools (ms-365), %d of them recursive, built in", len(all), len(all)-len(plain)),
		Ours: millis(built), Result: millis(built), Bar: "≤ 100 ms", Reached: built <= 100*time.Millisecond})
	return b.servedFigure(all, plain)
}

func (b *bench) buildDocument(all []json.RawMessage) (time.Duration, error) {
	var took []time.Duration
	for range b.rounds {
		began := time.Now()
		tools := make([]openapi.Tool, len(all))
		for i, raw := range all {
			var err error
			if tools[i], err = openapi.ParseTool(raw); err != nil {
				return 0, fmt.Errorf("reading a tool: %w", err)
			}
		}
		openapi.Build(openapi.Info{Title: "bench", Version: "1"}, tools)
		took = append(took, time.Since(began))
	}
	return median(took, func(d time.Duration) time.Duration { return d }), nil
}

// servedFigure takes the time from the start of the process until a document
// with every tool is served. The Python mcpo is spared the recursive tools, for
// with them it never serves one.
func (b *bench) servedFigure(all, plain []json.RawMessage) error {
	names := []string{ours}
	if b.peers.python {
		names = []string{python, ours}
	}
	m, err := repeated(b, names, func(name string) (time.Duration, error) {
		tools := all
		if name == python {
			tools = plain
		}
		return b.served(name, tools)
	})
	if err != nil {
		return fmt.Errorf("measuring the document of %w", err)
	}
	reached := !b.peers.python || m[ours] < m[python]
	b.add(row{Figure: fmt.Sprintf("process start to that document served (mcpo: without the recursive %d, else the server is lost)", len(all)-len(plain)),
		Python: shown(m, python, millis), Ours: millis(m[ours]), Result: millis(m[ours]), Bar: "sooner", Reached: reached})
	return nil
}

func (b *bench) served(name string, tools []json.RawMessage) (time.Duration, error) {
	list, err := json.Marshal(map[string]any{"tools": tools})
	if err != nil {
		return 0, fmt.Errorf("writing the tools: %w", err)
	}
	file := filepath.Join(b.peers.dir, "tools.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		return 0, fmt.Errorf("writing the tools: %w", err)
	}
	began := time.Now()
	p, err := b.peers.proxy(name, server{command: []string{b.peers.built("upstream"), "-tools", file}})
	if err != nil {
		return 0, err
	}
	defer p.stop()
	err = p.until(func(ctx context.Context) error { return p.document(ctx, len(tools)) })
	return time.Since(began), err
}

// document gets the OpenAPI document and counts its paths.
func (p *process) document(ctx context.Context, want int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/openapi.json", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var d struct{ Paths map[string]json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
		return err
	}
	if len(d.Paths) != want {
		return fmt.Errorf("the document has %d of %d tools", len(d.Paths), want)
	}
	return nil
}
