//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// userKey signs what says who calls, as Open WebUI does.
const userKey = "the-key-of-the-soak-0123456789-abcdef"

// mcpo is the running program.
type mcpo struct {
	dir, base, log string
	metrics        string // the URL of its metrics, "" if it has none
	up             *upstreams
	storage        map[string]any
	cmd            *exec.Cmd
	done           chan struct{} // closed when it has ended, with err
	err            error
}

// startMcpo builds mcpo and a child for it, and starts it with the configuration
// of round 0.
func startMcpo(ctx context.Context, dir string, up *upstreams, o options) (*mcpo, error) {
	for _, pkg := range []string{"mcpo/cmd/mcpo", "mcpo/internal/mcptest/cmd/mcpserver"} {
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", dir+"/", pkg).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	p := &mcpo{dir: dir, log: filepath.Join(dir, "mcpo.log"), up: up, done: make(chan struct{}),
		storage: map[string]any{"path": filepath.Join(dir, "storage")}}
	if o.storage == "postgres" {
		p.storage = map[string]any{"type": "postgres", "dsn": o.dsn, "encryption_key": "the-encryption-key-of-the-soak"}
	}
	if err := p.configure(0); err != nil {
		return nil, err
	}
	if err := p.start(ctx); err != nil {
		return nil, err
	}
	if err := p.serves(ctx, 0); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

func (p *mcpo) start(ctx context.Context) error {
	program := filepath.Join(p.dir, "mcpo")
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	_, port, _ := strings.Cut(addr, ":")
	p.base = "http://localhost:" + port
	args := []string{"--host", "127.0.0.1", "--port", port, "--public-url", p.base, "--config", p.config()}
	help, err := exec.CommandContext(ctx, program, "--help").Output()
	if err != nil {
		return fmt.Errorf("asking mcpo for its flags: %w", err)
	}
	if bytes.Contains(help, []byte("--metrics-addr")) {
		if addr, err = freeAddr(); err != nil {
			return err
		}
		p.metrics = "http://" + addr + "/metrics"
		args = append(args, "--metrics-addr", addr)
	}
	log, err := os.Create(p.log)
	if err != nil {
		return fmt.Errorf("making the log: %w", err)
	}
	defer log.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting mcpo: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func (p *mcpo) pid() int       { return p.cmd.Process.Pid }
func (p *mcpo) config() string { return filepath.Join(p.dir, "config.json") }

// hasExtra tells whether the configuration of a round has the server extra.
func hasExtra(round int) bool { return round%2 == 1 }

// configure writes the configuration of a round. Each differs from the one
// before: extra comes or goes, and one of the three others is changed, so that
// it gets new connections, or another process.
func (p *mcpo) configure(round int) error {
	times := func(place int) int { return (round + 2 - place) / 3 } // how often its turn came
	child := filepath.Join(p.dir, "mcpserver")
	servers := map[string]any{
		notes: map[string]any{"type": "streamable-http", "url": p.up.login.MCP, "timeout": 30 + times(0),
			"oauth": map[string]any{"server_url": p.up.login.Issuer, "session_timeout_minutes": 1}},
		tool: map[string]any{"command": child, "args": []string{"-name", fmt.Sprint(tool, "-", times(1))}},
		open: map[string]any{"type": "streamable-http", "url": p.up.open, "headers": map[string]string{"X-Round": fmt.Sprint(times(2))}},
	}
	if hasExtra(round) {
		servers[extra] = map[string]any{"command": child, "args": []string{"-name", extra}}
	}
	text, err := json.Marshal(map[string]any{"storage": p.storage, "mcpServers": servers,
		"identity": map[string]any{"webui_secret_key": userKey}})
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	if err := os.WriteFile(p.config(), text, 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

// reload gives mcpo the configuration of a round and waits until it serves it.
func (p *mcpo) reload(ctx context.Context, round int) error {
	if err := p.configure(round); err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("asking for a reload: %w", err)
	}
	return p.serves(ctx, round)
}

// serves waits until /readyz shows the servers of a round, and those that need no
// login connected.
func (p *mcpo) serves(ctx context.Context, round int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := p.shows(ctx, hasExtra(round))
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("mcpo ended: %w", cmpErr(p.err))
		case <-ctx.Done():
			return fmt.Errorf("waiting for the configuration of round %d: %w", round, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// cmpErr gives an error for a process that ended well, too.
func cmpErr(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// readiness is what /readyz tells.
type readiness struct {
	Ready   bool
	Servers map[string]struct {
		State   string
		Callers int // who have a connection
	}
}

func (p *mcpo) readiness(ctx context.Context) (state readiness, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/readyz", nil)
	if err != nil {
		return state, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return state, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil {
		return state, fmt.Errorf("reading /readyz: %w", err)
	}
	return state, nil
}

func (p *mcpo) shows(ctx context.Context, withExtra bool) error {
	state, err := p.readiness(ctx)
	if err != nil {
		return err
	}
	_, has := state.Servers[extra]
	if !state.Ready || has != withExtra {
		return fmt.Errorf("/readyz shows %+v", state)
	}
	for name, server := range state.Servers {
		if name != notes && server.State != "connected" {
			return fmt.Errorf("%s is %s", name, server.State)
		}
	}
	return nil
}

// stop ends mcpo as an operator does. It has to end well, in time, and with
// everything that it started.
func (p *mcpo) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		return errors.New("it has not ended within 20 s of SIGTERM")
	}
	if p.err != nil {
		return fmt.Errorf("it ended with %w", p.err)
	}
	left, err := processesOf(p.dir)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("it left the processes %v behind", left)
	}
	return nil
}

// kill makes sure that nothing is left, whatever happened. Children have process
// groups of their own.
func (p *mcpo) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	left, _ := processesOf(p.dir)
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
