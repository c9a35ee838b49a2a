//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one running proxy or server.
type process struct {
	cmd  *exec.Cmd
	addr string // that it listens on
	log  string // the file that its output goes to
	done chan struct{}
}

// freeAddr gives an address of 127.0.0.1 that nothing listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// start runs the command in a process group of its own, so that stop ends its
// children as well. Its output goes to a file in dir, as an operator's would.
func start(dir, addr string, env []string, command ...string) (*process, error) {
	log, err := os.CreateTemp(dir, "log-")
	if err != nil {
		return nil, fmt.Errorf("making a log file: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", command[0], err)
	}
	p := &process{cmd: cmd, addr: addr, log: log.Name(), done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop asks politely, waits, and then ends the whole group.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(3 * time.Second):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// cpu is the processor time of this process, without its children's.
func (p *process) cpu() (time.Duration, error) {
	// clock_getcpuclockid(3): the clock of a process is named by its id. It
	// counts nanoseconds, where /proc has ticks of 10 ms.
	clock := int32(^p.cmd.Process.Pid<<3 | 2)
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("reading the processor time: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// resident is the memory of this process, without its children's, in MiB.
func (p *process) resident() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	return float64(kib) / 1024, err
}

// post calls a tool once.
func (p *process) post(ctx context.Context, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", path, resp.Status)
	}
	return nil
}

// until repeats try, without a pause to speak of, until it gives no error.
func (p *process) until(try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended early, see %s", p.cmd.Path, p.log)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w, see %s", p.cmd.Path, err, p.log)
		case <-time.After(time.Millisecond):
		}
	}
}

// ready waits until the call succeeds.
func (p *process) ready(path, body string) error {
	return p.until(func(ctx context.Context) error { return p.post(ctx, path, body) })
}

// measure runs a load and adds the proxy's processor time.
func (p *process) measure(l load) (sample, error) {
	before, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	s, err := l.run(p.addr)
	if err != nil {
		return s, err
	}
	after, err := p.cpu()
	s.cpu = after - before
	return s, err
}

// listening waits until the process accepts connections.
func (p *process) listening() error {
	return p.until(func(context.Context) error {
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}
