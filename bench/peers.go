//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The proxies that are compared.
const (
	ours   = "ours"
	python = "mcpo 0.0.20"
	floor  = "floor"
)

// peers knows how each proxy and each server is started.
type peers struct {
	dir    string // for programs, configurations and logs; removed at the end
	tools  string // what came from registries; kept
	python bool   // whether the Python mcpo takes part
}

// server is an MCP server behind a proxy: a command for stdio, or a URL.
type server struct {
	name    string
	command []string
	url     string
}

// prepare builds what is ours and installs what is not.
func prepare(dir string, withPython bool) (*peers, error) {
	p := &peers{dir: dir, tools: toolsFolder(), python: withPython}
	for _, pkg := range []string{"mcpo/cmd/mcpo", "mcpo/bench/floor", "mcpo/bench/upstream", "mcpo/bench/protected", "mcpo/internal/mcptest/cmd/mcpserver"} {
		if err := quiet("go", "build", "-o", dir+"/", pkg); err != nil {
			return nil, err
		}
	}
	if err := p.installNode("@modelcontextprotocol/server-everything", "@softeria/ms-365-mcp-server"); err != nil {
		return nil, err
	}
	if withPython {
		return p, p.installPython()
	}
	return p, nil
}

// toolsFolder is the folder that .ci/run installs into as well.
func toolsFolder() string {
	if dir := os.Getenv("MCPO_TOOLS"); dir != "" {
		return dir
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "mcpo-ci")
}

func quiet(command ...string) error {
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("running %s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}

func (p *peers) installNode(packages ...string) error {
	prefix := filepath.Join(p.tools, "npm")
	var missing []string
	for _, name := range packages {
		if _, err := os.Stat(filepath.Join(prefix, "node_modules", name)); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := os.MkdirAll(prefix, 0o755); err != nil {
		return fmt.Errorf("making the folder for npm: %w", err)
	}
	return quiet(append([]string{"npm", "install", "--no-audit", "--no-fund", "--prefix", prefix}, missing...)...)
}

// installPython makes the virtual environment of the Python mcpo. It starts
// only beside these older libraries, which its package does not ask for.
func (p *peers) installPython() error {
	venv := filepath.Join(p.tools, "mcpo0020")
	if _, err := os.Stat(filepath.Join(venv, "bin", "mcpo")); err == nil {
		return nil
	}
	if err := quiet("python3", "-m", "venv", venv); err != nil {
		return err
	}
	return quiet(filepath.Join(venv, "bin", "pip"), "install", "-q", "mcpo==0.0.20", "mcp<2", "fastapi<0.145")
}

func (p *peers) node(name string) string {
	return filepath.Join(p.tools, "npm/node_modules/.bin", name)
}
func (p *peers) built(name string) string { return filepath.Join(p.dir, name) }

// proxy starts a proxy before one server and does not wait for it.
func (p *peers) proxy(name string, s server) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	target := s.command
	if s.url != "" {
		target = []string{s.url}
	}
	if name == floor {
		kind := "stdio"
		if s.url != "" {
			kind = "http"
		}
		return start(p.dir, addr, nil, append([]string{p.built("floor"), addr, kind}, target...)...)
	}
	command := p.mcpo(name, addr)
	if s.url != "" {
		command = append(command, "--server-type", "streamable-http")
	}
	return start(p.dir, addr, nil, append(append(command, "--"), target...)...)
}

// configured starts one of the two mcpos with a configuration file.
func (p *peers) configured(name, config string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	return start(p.dir, addr, nil, append(p.mcpo(name, addr), "--config", config)...)
}

func (p *peers) mcpo(name, addr string) []string {
	program := p.built("mcpo")
	if name == python {
		program = filepath.Join(p.tools, "mcpo0020/bin/mcpo")
	}
	_, port, _ := strings.Cut(addr, ":")
	return []string{program, "--host", "127.0.0.1", "--port", port}
}

// all is the proxies that take part.
func (p *peers) all() []string {
	if p.python {
		return []string{python, ours, floor}
	}
	return []string{ours, floor}
}

// servers are the MCP servers that loads are run against. Those over HTTP are
// started here and run until the returned function is called.
func (p *peers) servers() (list []server, stop func(), err error) {
	var running []*process
	stop = func() {
		for _, r := range running {
			r.stop()
		}
	}
	list = []server{
		{name: "Go, stdio", command: []string{p.built("upstream")}},
		{name: "everything, stdio", command: []string{p.node("mcp-server-everything"), "stdio"}},
	}
	for _, name := range []string{"Go, HTTP", "everything, HTTP"} {
		addr, err := freeAddr()
		if err != nil {
			return nil, stop, err
		}
		_, port, _ := strings.Cut(addr, ":")
		command := []string{p.built("upstream"), "-listen", addr}
		if name == "everything, HTTP" {
			command = []string{p.node("mcp-server-everything"), "streamableHttp"}
		}
		r, err := start(p.dir, addr, []string{"PORT=" + port}, command...)
		if err != nil {
			return nil, stop, err
		}
		running = append(running, r)
		if err := r.listening(); err != nil {
			return nil, stop, err
		}
		list = append(list, server{name: name, url: "http://localhost:" + port + "/mcp"})
	}
	return list, stop, nil
}
