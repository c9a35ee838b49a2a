//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sample is what one look at mcpo showed. A figure that there is none of is -1.
type sample struct {
	at         time.Time
	resident   float64 // MiB
	heap       float64 // MiB in use, garbage that was not collected yet included
	goroutines float64
	callers    float64 // with a connection, each of which is a goroutine that waits
	threads    float64
	files      float64 // open file descriptors
	children   float64
	surplus    float64 // children that the configuration does not have
}

// watch looks at mcpo every so often until ctx ends.
func (s *soak) watch(ctx context.Context, every time.Duration) (seen []sample, err error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	line := time.NewTicker(s.opts.line)
	defer line.Stop()
	for {
		select {
		case <-ctx.Done():
			return seen, nil
		case <-line.C:
			if len(seen) > 0 {
				fmt.Println(s.line(seen[len(seen)-1]))
			}
			continue
		case <-s.mcpo.done:
			return seen, fmt.Errorf("mcpo ended by itself: %w", cmpErr(s.mcpo.err))
		case <-tick.C:
		}
		one, err := s.look(ctx)
		if ctx.Err() != nil {
			return seen, nil
		}
		if err != nil {
			return seen, err
		}
		seen = append(seen, one)
	}
}

func (s *soak) look(ctx context.Context) (sample, error) {
	one := sample{at: time.Now(), heap: -1, goroutines: -1}
	proc := fmt.Sprintf("/proc/%d/", s.mcpo.pid())
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return one, fmt.Errorf("looking at mcpo: %w", err)
	}
	one.resident, one.threads = field(status, "VmRSS:")/1024, field(status, "Threads:")
	files, err := os.ReadDir(proc + "fd")
	if err != nil {
		return one, fmt.Errorf("counting open files: %w", err)
	}
	wanted := 1
	if hasExtra(int(s.faults.round.Load())) {
		wanted++
	}
	one.files, one.children = float64(len(files)), float64(len(childrenOf(s.mcpo.pid())))
	one.surplus = one.children - float64(wanted)
	state, err := s.mcpo.readiness(ctx)
	if err != nil {
		return one, err
	}
	one.callers = float64(state.Servers[notes].Callers)
	if s.mcpo.metrics != "" {
		err = one.scrape(ctx, s.mcpo.metrics)
	}
	return one, err
}

// field reads a number of /proc/PID/status.
func field(status []byte, name string) float64 {
	_, rest, ok := strings.Cut(string(status), name)
	words := strings.Fields(rest)
	if !ok || len(words) == 0 {
		return -1
	}
	n, err := strconv.ParseFloat(words[0], 64)
	if err != nil {
		return -1
	}
	return n
}

// scrape reads what mcpo itself tells of its runtime.
func (one *sample) scrape(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("reading metrics: %w", err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch n, err := strconv.ParseFloat(value, 64); {
		case err != nil:
		case name == "go_goroutines":
			one.goroutines = n
		case name == "go_memstats_heap_alloc_bytes":
			one.heap = n / (1 << 20)
		}
	}
	if one.goroutines < 0 || one.heap < 0 {
		return fmt.Errorf("%s has neither go_goroutines nor go_memstats_heap_alloc_bytes, or only one", url)
	}
	return nil
}

// childrenOf lists the children of a process that have not ended.
func childrenOf(pid int) (list []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range lists {
		text, _ := os.ReadFile(file) // a thread that ended has none
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil && alive(child) {
				list = append(list, child)
			}
		}
	}
	return list
}

// alive tells whether a process still runs, and is not only remembered.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// processesOf lists the running processes whose program lies in dir.
func processesOf(dir string) (list []int, err error) {
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	for _, link := range all {
		program, err := os.Readlink(link) // of others it cannot be read
		if err == nil && strings.HasPrefix(program, dir+"/") {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			list = append(list, pid)
		}
	}
	return list, nil
}
