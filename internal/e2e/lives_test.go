//go:build linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcpo/internal/mcptest"
)

// probe is a call that a living server answers with 200.
type probe struct{ path, body string }

// TestCrashIsolation kills each of three children in turn.
func TestCrashIsolation(t *testing.T) {
	servers, probes := map[string]serverConfig{}, map[string]probe{}
	for _, name := range []string{"a", "b", "c"} {
		servers[name] = serverConfig{"command": mcptest.BuildStdio(t), "args": []string{"--name", name}}
		probes[name] = probe{"/" + name + "/echo", `{"message":"alive"}`}
	}
	killEach(t, servers, probes)
}

// TestCrashIsolationOfRealServers does so with servers in Node and Python.
func TestCrashIsolationOfRealServers(t *testing.T) {
	servers := map[string]serverConfig{"everything": everythingStdio(t), "memory": memory(t),
		"time": {"command": installed(t, "py/bin/mcp-server-time")}}
	killEach(t, servers, map[string]probe{
		"everything": {"/everything/echo", `{"message":"alive"}`},
		"memory":     {"/memory/read_graph", `{}`},
		"time":       {"/time/get_current_time", `{"timezone":"UTC"}`},
	})
}

// killEach kills the process of every server, one after the other, while the
// other servers are called without a pause: they must answer every call, and
// the killed one must come back.
func killEach(t *testing.T, servers map[string]serverConfig, probes map[string]probe) {
	p := startOurs(t, "--config", configFile(t, servers))
	p.ready(t)
	for victim, config := range servers {
		others := keepCalling(t, p, victim, probes)
		pid := childOf(t, p.cmd.Process.Pid, config)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		p.eventually(t, func() error {
			if alive(pid) {
				return fmt.Errorf("process %d still lives", pid)
			}
			a, err := p.call(probes[victim].path, probes[victim].body)
			if err == nil && a.Status != http.StatusOK {
				err = fmt.Errorf("%s answered %d %s", victim, a.Status, a.Body)
			}
			return err
		})
		t.Logf("%s answered again %v after it was killed, while the others answered %d calls", victim, time.Since(killed).Round(time.Millisecond), others())
	}
}

// keepCalling calls all servers but one until stop is called, which tells how
// often they answered.
func keepCalling(t *testing.T, p *proxy, except string, probes map[string]probe) (stop func() int64) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var calls atomic.Int64
	for name, probe := range probes {
		if name == except {
			continue
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				a, err := p.call(probe.path, probe.body)
				if err != nil || a.Status != http.StatusOK {
					t.Errorf("%s answered %d %s (%v) while %s was killed", name, a.Status, a.Body, err, except)
					return
				}
				calls.Add(1)
			}
		})
	}
	return func() int64 {
		cancel()
		wg.Wait()
		return calls.Load()
	}
}

// TestCrashDuringCall has a server die of a call: that call says so, and the
// next one works.
func TestCrashDuringCall(t *testing.T) {
	p := startOurs(t, "--config", configFile(t, map[string]serverConfig{
		"frail": {"command": mcptest.BuildStdio(t), "args": []string{"--crash-on", "fail"}}}))
	p.ready(t)
	a := p.mustCall(t, "/frail/fail", `{"message":"x"}`)
	if a.Status != http.StatusBadGateway || !strings.Contains(a.Body, `"message"`) {
		t.Errorf("the call that killed the server got %d %s, want 502 with a message", a.Status, a.Body)
	}
	p.eventually(t, func() error {
		a, err := p.call("/frail/echo", `{"message":"again"}`)
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("got %d %s", a.Status, a.Body)
		}
		return err
	})
}

// TestServersStartTogether starts four servers that need a second each. One
// after the other they would need four.
func TestServersStartTogether(t *testing.T) {
	servers := map[string]serverConfig{}
	for i := range 4 {
		servers[fmt.Sprint("slow", i)] = serverConfig{"command": mcptest.BuildStdio(t), "args": []string{"--delay", "1s"}}
	}
	config := configFile(t, servers)
	mcptest.Build(t, "mcpo/cmd/mcpo")
	began := time.Now()
	p := startOurs(t, "--config", config)
	p.ready(t)
	for name := range servers {
		if a := p.mustCall(t, "/"+name+"/echo", `{"message":"x"}`); a.Status != http.StatusOK {
			t.Errorf("%s answered %d %s", name, a.Status, a.Body)
		}
	}
	took := time.Since(began)
	t.Logf("all were usable after %v", took.Round(time.Millisecond))
	if took >= 4*time.Second {
		t.Errorf("four servers of one second took %v", took)
	}
}

// TestNobodyIsLeftBehind ends mcpo, politely, and looks for the children of its
// children.
func TestNobodyIsLeftBehind(t *testing.T) {
	p := startOurs(t, "--config", configFile(t, map[string]serverConfig{
		"parent": {"command": mcptest.BuildStdio(t), "args": []string{"--child"}}}))
	p.ready(t)
	told := regexp.MustCompile(`child (\d+)`)
	var grandchild int
	p.eventually(t, func() error {
		m := told.FindStringSubmatch(p.out.String())
		if m == nil {
			return fmt.Errorf("the log does not have what the server wrote to standard error")
		}
		grandchild, _ = strconv.Atoi(m[1])
		return nil
	})
	if !alive(grandchild) {
		t.Fatal("the grandchild does not live")
	}
	p.stop()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("mcpo exited with %d", code)
	}
	if alive(grandchild) {
		t.Errorf("the grandchild %d outlived mcpo", grandchild)
		_ = syscall.Kill(grandchild, syscall.SIGKILL)
	}
}

// TestKilledLeavesNobody: a mcpo that is killed takes the programs that it
// started with it, where the system has a way to (threats 28).
func TestKilledLeavesNobody(t *testing.T) {
	p := startOurs(t, "--config", configFile(t, map[string]serverConfig{
		"shell": {"command": "/bin/sh", "args": []string{"-c", `echo "server $$" >&2; exec "$0"`, mcptest.BuildStdio(t)}}}))
	p.ready(t)
	told := regexp.MustCompile(`server (\d+)`)
	var server int
	p.eventually(t, func() error {
		m := told.FindStringSubmatch(p.out.String())
		if m == nil {
			return fmt.Errorf("the log does not have what the server wrote to standard error")
		}
		server, _ = strconv.Atoi(m[1])
		return nil
	})
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.done
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); alive(server); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the server %d outlived mcpo", server)
		}
	}
}

// TestQuickstart does what the README says first.
func TestQuickstart(t *testing.T) {
	printed := make(chan string, 64)
	p := run(t, exec.Command(mcptest.Build(t, "mcpo/examples/quickstart")), func(line string) { printed <- line })
	call := regexp.MustCompile(`curl (http://\S+)(/\w+/\w+) .* -d '(.*)'`)
	var answers []string
	deadline := time.After(patience)
	for len(answers) < 2 {
		select {
		case line := <-printed:
			if m := call.FindStringSubmatch(line); m != nil {
				p.base = m[1]
				answers = append(answers, p.mustCall(t, m[2], m[3]).Body)
			}
		case <-p.done:
			t.Fatal("the quick start ended by itself")
		case <-deadline:
			t.Fatal("the quick start prints no calls")
		}
	}
	if answers[0] != "42" || answers[1] != `"hello"` {
		t.Errorf("the printed calls were answered with %q", answers)
	}
	resp, err := http.Get(p.base + "/child/docs")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the printed link was answered with %s", resp.Status)
	}
}

// childOf finds the process of a configured server by its command line.
func childOf(t *testing.T, parent int, config serverConfig) int {
	t.Helper()
	want := []string{fmt.Sprint(config["command"])}
	if args, ok := config["args"].([]string); ok {
		want = append(want, args...)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		fields := statFields(path)
		command, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err != nil || len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		// Scripts are run by an interpreter, which comes first.
		if strings.HasSuffix(string(command), strings.Join(want, "\x00")+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return pid
		}
	}
	t.Fatalf("mcpo has no child %q", want)
	return 0
}

// alive tells whether a process runs; one that only waits to be collected does
// not.
func alive(pid int) bool {
	fields := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	return len(fields) > 0 && fields[0] != "Z" && fields[0] != "X"
}

// statFields are the fields of proc(5) stat behind the program's name: state,
// parent and so on; nil if there is no such process.
func statFields(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}
