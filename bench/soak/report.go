//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// kind is something that is counted.
type kind string

// What is counted. Each of them but leftOut has to happen in a run, or else it
// shows nothing of it.
const (
	calls    kind = "requests"
	logins   kind = "logins"
	logouts  kind = "logouts"
	reloads  kind = "reloads"
	crashes  kind = "crashes of a child"
	outages  kind = "outages of the authorization server"
	restarts kind = "restarts of the MCP server with logins"
	refusals kind = "answers 500 of the open server"
	leavings kind = "callers who left in the middle of a call"
	leftOut  kind = "left out, for too many were under way"
)

// tally counts what happened. All its methods may be called at the same time.
type tally struct {
	mu       sync.Mutex
	counts   map[kind]int // guarded by mu
	injected map[kind]int // requests that failed, by the fault; guarded by mu
	bad      int          // that no fault explains; guarded by mu
}

func newTally() *tally { return &tally{counts: map[kind]int{}, injected: map[kind]int{}} }

func (t *tally) count(k kind) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[k]++
}

func (t *tally) of(k kind) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[k]
}

// inject counts a request that failed because of a fault.
func (t *tally) inject(because kind) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.injected[because]++
}

// failed is how many requests failed because of faults, and how many did not.
func (t *tally) failed() (asInjected, otherwise int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.injected {
		asInjected += n
	}
	return asInjected, t.bad
}

// wrong tells at once of something that no fault explains: the first hundred
// times in words.
func (t *tally) wrong(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bad++; t.bad <= 100 {
		fmt.Fprintf(os.Stderr, "%s  WRONG: %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
}

// judge counts an answer and reports whether it was what it has to be.
func (s *soak) judge(a answer, problem func(answer) error) bool {
	s.tally.count(calls)
	err := problem(a)
	if err == nil {
		s.faults.succeeded(a)
	} else if because, ok := s.faults.excuse(a); ok {
		s.tally.inject(because)
	} else {
		s.tally.wrong("%s, after %v: %v", a.server, a.ended.Sub(a.began).Round(time.Millisecond), err)
	}
	return err == nil
}

// mustFail counts the answer to a request that was made to fail; problem says that
// it did not, or not so.
func (s *soak) mustFail(a answer, because kind, problem error) {
	s.tally.count(calls)
	s.tally.count(because)
	if problem == nil {
		s.tally.inject(because)
		return
	}
	s.tally.wrong("%s: a request that was made to fail: %v", a.server, problem)
}

// line is how things are now.
func (s *soak) line(now sample) string {
	asInjected, otherwise := s.tally.failed()
	return fmt.Sprintf("%6.0f s  %d requests, failed: %d injected, %d not; %d logins, %d refreshes, %d reloads, %d crashes; "+
		"RSS %.0f MiB, heap %s, goroutines %s, threads %.0f, files %.0f, children %.0f",
		now.at.Sub(s.began).Seconds(), s.tally.of(calls), asInjected, otherwise, s.tally.of(logins),
		s.up.login.Requests("refresh"), s.tally.of(reloads), s.tally.of(crashes),
		now.resident, orNone(now.heap, " MiB"), orNone(now.goroutines, ""), now.threads, now.files, now.children)
}

func orNone(n float64, unit string) string {
	if n < 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.0f%s", n, unit)
}

// growth is what is compared between the first and the last quarter of a run, and
// how much more is nothing to worry about: a part, and so many besides.
//
// Connections are made anew after some of the reloads, and what there is goes up
// and down with them, as the heap does with the garbage. So for such figures the
// least of a quarter is taken: a leak is what never goes down again. Of the others
// it is the median.
type growth struct {
	name  string
	of    func(sample) float64
	in    func(seen []sample, of func(sample) float64) float64
	part  float64
	more  float64
	asked bool // of mcpo itself, if it has --metrics-addr
}

func growths() []growth {
	return []growth{
		{"memory (RSS), MiB", func(s sample) float64 { return s.resident }, middle, 0.2, 10, false},
		{"heap, at least, MiB", func(s sample) float64 { return s.heap }, least, 0.15, 5, true},
		{"goroutines but those of connections, at least", beyondConnections, least, 0.05, 50, true},
		// The Go runtime keeps threads that a burst of writes to the disk has made.
		{"threads", func(s sample) float64 { return s.threads }, middle, 1, 100, false},
		{"open files, at least", func(s sample) float64 { return s.files }, least, 0.05, 25, false},
		{"children that are not configured", func(s sample) float64 { return s.surplus }, middle, 0, 0, false},
	}
}

// beyondConnections is -1 where it is not known how many goroutines there are.
func beyondConnections(s sample) float64 {
	if s.goroutines < 0 {
		return -1
	}
	return max(s.goroutines-s.callers, 0)
}

// verdict prints what was counted and what grew, and gives an error if the run
// has failed.
func (s *soak) verdict(w io.Writer, seen []sample) error {
	var problems []error
	fmt.Fprintln(w, "\n| | | requests that failed for it |\n|---|--:|--:|")
	for _, k := range []kind{calls, logins, logouts, reloads, crashes, outages, restarts, refusals, leavings} {
		fmt.Fprintf(w, "| %s | %d | %d |\n", k, s.tally.of(k), s.tally.injected[k])
		if s.tally.of(k) == 0 {
			problems = append(problems, fmt.Errorf("there were no %s, so the run shows nothing of them; let it run longer", k))
		}
	}
	refreshes, dropped := s.up.login.Requests("refresh"), s.tally.of(leftOut)
	_, otherwise := s.tally.failed()
	fmt.Fprintf(w, "| refreshes | %d | 0 |\n| %s | %d | |\n| **failed, and not injected** | | **%d** |\n", refreshes, leftOut, dropped, otherwise)
	fmt.Fprintf(w, "\nThe machine let this program wait for %v at most.\n", s.late.Round(time.Millisecond))
	if refreshes == 0 {
		problems = append(problems, errors.New("no token was refreshed; let it run longer, or -life be shorter"))
	}
	if otherwise > 0 {
		problems = append(problems, fmt.Errorf("%d failures were not injected", otherwise))
	}
	if dropped > s.tally.of(calls)/100 {
		problems = append(problems, fmt.Errorf("%d requests were left out: the machine is too slow for -rate %.0f", dropped, s.opts.rate))
	}
	return errors.Join(append(problems, grown(w, seen)...)...)
}

// grown prints how the first quarter of the samples compares with the last. The
// first tenth is left out: mcpo fills its buffers and pools.
func grown(w io.Writer, seen []sample) (problems []error) {
	seen = seen[len(seen)/10:]
	quarter := len(seen) / 4
	if quarter < 3 {
		return []error{fmt.Errorf("%d samples are too few to see growth; let it run longer", len(seen))}
	}
	fmt.Fprintln(w, "\n| | first quarter | last quarter | may grow to | |\n|---|--:|--:|--:|---|")
	for _, g := range growths() {
		first, last := g.in(seen[:quarter], g.of), g.in(seen[len(seen)-quarter:], g.of)
		limit := first*(1+g.part) + g.more
		verdict := "flat"
		switch {
		case g.asked && first < 0:
			fmt.Fprintf(w, "| %s | unknown | | | this mcpo has no --metrics-addr |\n", g.name)
			continue
		case last > limit:
			verdict = "**grew**"
			problems = append(problems, fmt.Errorf("%s grew from %.0f to %.0f", g.name, first, last))
		}
		fmt.Fprintf(w, "| %s | %.1f | %.1f | %.1f | %s |\n", g.name, first, last, limit, verdict)
	}
	return problems
}

// middle is the median.
func middle(seen []sample, of func(sample) float64) float64 {
	values := sorted(seen, of)
	return values[len(values)/2]
}

func least(seen []sample, of func(sample) float64) float64 { return sorted(seen, of)[0] }

func sorted(seen []sample, of func(sample) float64) []float64 {
	values := make([]float64, len(seen))
	for i, s := range seen {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values
}
