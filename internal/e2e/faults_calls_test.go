package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// seen is what a caller saw of one call of the tool "run".
type seen struct {
	guest
	work
	answer
	err  error
	took time.Duration
}

func (g guest) run(j work) seen {
	body, err := json.Marshal(j)
	began := time.Now()
	s := seen{guest: g, work: j, err: err}
	if err == nil {
		s.answer, s.err = g.call("/lab/run", string(body))
	}
	s.took = time.Since(began)
	return s
}

// ran is how often a call may have run.
type ran struct{ least, most int }

// outcomes are the answers that a call may have while something is wrong, the
// good one excepted, and what each promises of the call. All else is a defect.
func outcomes() []struct {
	status int
	says   string
	short  string
	ran    ran
} {
	return []struct {
		status int
		says   string
		short  string
		ran    ran
	}{
		{502, "was lost during the call. It may have taken effect; check before asking again.", "502 lost, may have run", ran{0, 1}},
		{504, "did not answer in time, and the call was cancelled. It may have taken effect; check before asking again.", "504 too late, may have run", ran{0, 1}},
		{503, "is not available now; mcpo keeps trying to reach it. Try again in a moment", "503 not available, did not run", ran{0, 0}},
		{503, "mcpo cannot reach the database that keeps the logins now. Nothing is lost", "503 no database, did not run", ran{0, 0}},
	}
}

// judge holds what was seen to the rules, and words it in short. It is asked when
// nothing can run any more.
func (w *faulty) judge(t *testing.T, s seen) string {
	t.Helper()
	may := ran{1, 1}
	short := "200"
	if s.Status != http.StatusOK {
		short = fmt.Sprintf("%d?", s.Status)
		for _, o := range outcomes() {
			if s.Status == o.status && strings.Contains(s.Body, o.says) {
				short, may = o.short, o.ran
			}
		}
	}
	switch good, _ := json.Marshal(s.work.answer(s.name)); {
	case s.err != nil:
		t.Errorf("the call %s of %s ended after %v with %v", s.ID, s.name, s.took, s.err)
	case s.Status == http.StatusOK && s.Body != string(good):
		t.Errorf("the call %s of %s was answered with something else: %.300s", s.ID, s.name, s.Body)
	case strings.HasSuffix(short, "?"):
		t.Errorf("the call %s of %s was answered with %d %.500s", s.ID, s.name, s.Status, s.Body)
	}
	if n := w.runs.of(s.ID); n < may.least || n > may.most {
		t.Errorf("the call %s of %s, answered with %s, ran %d times", s.ID, s.name, short, n)
	}
	if s.took > hang {
		t.Errorf("the call %s of %s took %v", s.ID, s.name, s.took)
	}
	return short
}

// round makes two calls of each, a small one and a large one, all at once.
func round(name string, guests ...guest) []seen {
	all := make([]seen, 2*len(guests))
	var calls sync.WaitGroup
	for i := range all {
		g := guests[i/2]
		calls.Go(func() { all[i] = g.run(work{fmt.Sprintf("%s-%s-%d", name, g.name, i%2), i % 2 * 20_000}) })
	}
	calls.Wait()
	return all
}

// steadily repeats all of do until stop, each with a pause. None of them may
// fail. stop tells how often they were done, and what took longest.
func steadily(t *testing.T, do ...func() error) (stop func() (times int64, longest time.Duration)) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var times, longest atomic.Int64
	for _, one := range do {
		all.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				began := time.Now()
				if err := one(); err != nil {
					t.Errorf("meanwhile %v", err)
					return
				}
				times.Add(1)
				for took, most := int64(time.Since(began)), longest.Load(); took > most && !longest.CompareAndSwap(most, took); most = longest.Load() {
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() (int64, time.Duration) {
		cancel()
		all.Wait()
		return times.Load(), time.Duration(longest.Load())
	}
}

// row is what one fault on one way came to.
type row struct {
	fault, way    string
	saw           map[string]int // by the short words of an outcome
	slowest       time.Duration
	others        int64
	othersSlowest time.Duration
	well          time.Duration // from the end of the fault to good calls of all
}

// String is a row of a table.
func (r row) String() string {
	var saw []string
	for _, short := range slices.Sorted(maps.Keys(r.saw)) {
		saw = append(saw, fmt.Sprintf("%d× %s", r.saw[short], short))
	}
	return fmt.Sprintf("| %s | %s | %s | %.1f s | %d good, slowest %.2f s | %.1f s |", r.fault, r.way, strings.Join(saw, "; "),
		r.slowest.Seconds(), r.others, r.othersSlowest.Seconds(), r.well.Seconds())
}

const tableHead = "| fault | way | what callers saw | slowest | others meanwhile | well again after |\n|---|---|---|---|---|---|"

// table collects rows of tests that run side by side.
type table struct {
	mu   sync.Mutex
	rows []row // guarded by mu
}

func (b *table) add(r row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, r)
}

// String is the table, sorted.
func (b *table) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := []string{tableHead}
	for _, r := range slices.SortedFunc(slices.Values(b.rows), func(a, b row) int { return strings.Compare(a.way+a.fault, b.way+b.fault) }) {
		lines = append(lines, r.String())
	}
	return strings.Join(lines, "\n")
}
