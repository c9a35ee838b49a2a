//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// row is one figure with its bar, as the README shows it.
type row struct {
	Figure  string `json:"figure"`
	Python  string `json:"mcpo_0_0_20"`
	Ours    string `json:"ours"`
	Floor   string `json:"floor"`
	Result  string `json:"result"` // the ratio or difference that the bar is about
	Bar     string `json:"bar"`    // empty where there is none
	Reached bool   `json:"reached"`
}

// line is one load on one proxy.
type line struct {
	Server      string  `json:"server"`
	Size        string  `json:"size"`
	Connections int     `json:"connections"`
	Proxy       string  `json:"proxy"`
	PerSecond   float64 `json:"calls_per_second"`
	P50         string  `json:"p50"`
	P99         string  `json:"p99"`
	CPUPerCall  string  `json:"cpu_per_call"`
	Failed      string  `json:"failed,omitempty"` // why there is nothing to tell
}

// crowdLine is what it costs that so many callers have a connection each.
type crowdLine struct {
	Callers   int     `json:"callers"`
	Memory    string  `json:"memory_per_idle_caller"`
	FirstP50  string  `json:"first_call_p50"` // with a grant that was stored before
	FirstP99  string  `json:"first_call_p99"`
	Own       float64 `json:"calls_per_second"`
	OwnCPU    string  `json:"cpu_per_call"`
	Shared    float64 `json:"calls_per_second_one_connection"`
	SharedCPU string  `json:"cpu_per_call_one_connection"`
	Documents float64 `json:"documents_per_second"` // not changed
	FirstCPU  string  `json:"first_call_cpu"`
	// Calls that renew their token, one of each caller.
	RenewedCPU string  `json:"renewing_call_cpu"`
	Renewed    float64 `json:"renewing_calls_per_second"`
}

// report is everything that one run of the benchmark found.
type report struct {
	Machine  string      `json:"machine"`
	Versions []string    `json:"versions"`
	Rows     []row       `json:"figures"`
	Lines    []line      `json:"loads"`
	Crowds   []crowdLine `json:"callers"`
}

// markdown writes the tables that there is something for.
func (r *report) markdown(w io.Writer) {
	fmt.Fprintf(w, "%s; %s.\n\n", r.Machine, strings.Join(r.Versions, ", "))
	fmt.Fprintln(w, "| figure | mcpo 0.0.20 | ours | the floor | result | bar | |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|---|")
	for _, f := range r.Rows {
		verdict := "reached"
		switch {
		case f.Bar == "":
			verdict = ""
		case !f.Reached:
			verdict = "**missed**"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", f.Figure, dash(f.Python), dash(f.Ours), dash(f.Floor), f.Result, dash(f.Bar), verdict)
	}
	r.loads(w)
	r.crowds(w)
}

func (r *report) loads(w io.Writer) {
	if len(r.Lines) == 0 {
		return
	}
	fmt.Fprintln(w, "\n| server | message | connections | proxy | calls/s | p50 | p99 | CPU of the proxy per call |")
	fmt.Fprintln(w, "|---|---|--:|---|--:|--:|--:|--:|")
	for _, l := range r.Lines {
		if l.Failed != "" {
			fmt.Fprintf(w, "| %s | %s | %d | %s | failed: %s | | | |\n", l.Server, l.Size, l.Connections, l.Proxy, l.Failed)
			continue
		}
		fmt.Fprintf(w, "| %s | %s | %d | %s | %.0f | %s | %s | %s |\n", l.Server, l.Size, l.Connections, l.Proxy, l.PerSecond, l.P50, l.P99, l.CPUPerCall)
	}
}

func (r *report) crowds(w io.Writer) {
	if len(r.Crowds) == 0 {
		return
	}
	fmt.Fprintln(w, "\n| callers | memory per idle caller | first call p50 | p99 | CPU | calls/s, a connection each | one connection | CPU per call, a connection each | one connection | CPU of a call that renews its token | those/s | unchanged documents/s |")
	fmt.Fprintln(w, "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, l := range r.Crowds {
		fmt.Fprintf(w, "| %d | %s | %s | %s | %s | %.0f | %.0f | %s | %s | %s | %.0f | %.0f |\n", l.Callers, l.Memory, l.FirstP50, l.FirstP99, l.FirstCPU,
			l.Own, l.Shared, l.OwnCPU, l.SharedCPU, l.RenewedCPU, l.Renewed, l.Documents)
	}
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// micros shows a duration at the precision at which it was measured.
func micros(d time.Duration) string {
	if d >= 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}

// machine describes where the benchmark ran.
func machine() string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "model name\t: "); ok {
			model, _, _ = strings.Cut(rest, "\n")
		}
	}
	return fmt.Sprintf("%d cores of %s, %s/%s", runtime.NumCPU(), strings.TrimSpace(model), runtime.GOOS, runtime.GOARCH)
}

// versions asks what takes part.
func (p *peers) versions() []string {
	list := []string{runtime.Version()}
	ask := func(name string, command ...string) {
		if out, err := exec.Command(command[0], command[1:]...).Output(); err == nil {
			list = append(list, strings.TrimSpace(name+" "+strings.TrimPrefix(strings.TrimSpace(string(out)), "Python ")))
		}
	}
	ask("node", "node", "--version")
	if p.python {
		ask("Python", p.tools+"/mcpo0020/bin/python", "--version")
	}
	for _, name := range []string{"@modelcontextprotocol/server-everything", "@softeria/ms-365-mcp-server"} {
		ask(name, "node", "-p", "require('"+p.tools+"/npm/node_modules/"+name+"/package.json').version")
	}
	return list
}
