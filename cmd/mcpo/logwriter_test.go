package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// slowWriter blocks its first write until it is told to go on.
type slowWriter struct {
	bytes.Buffer
	entered, goOn chan struct{}
	once          sync.Once
	writes        int
}

func (w *slowWriter) Write(b []byte) (int, error) {
	w.once.Do(func() { close(w.entered); <-w.goOn })
	w.writes++
	return w.Buffer.Write(b)
}

// TestLogWriterKeepsEveryLine: lines of many goroutines come out whole, those
// of one in their order, and those that waited go in one write.
func TestLogWriterKeepsEveryLine(t *testing.T) {
	to := &slowWriter{entered: make(chan struct{}), goOn: make(chan struct{})}
	w := newLogWriter(to)
	fmt.Fprintf(w, "first\n")
	<-to.entered
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				fmt.Fprintf(w, "%d %d\n", g, i)
			}
		})
	}
	wg.Wait()
	close(to.goOn)
	w.Close()
	fmt.Fprintf(w, "after the end\n")
	lines := strings.Split(strings.TrimSpace(to.String()), "\n")
	next := map[string]int{}
	for _, l := range lines[1 : len(lines)-1] {
		g, i, _ := strings.Cut(l, " ")
		if want := fmt.Sprint(next[g]); i != want {
			t.Fatalf("line %q, want number %s", l, want)
		}
		next[g]++
	}
	if len(lines) != 802 || lines[801] != "after the end" || to.writes != 3 {
		t.Errorf("%d lines in %d writes", len(lines), to.writes)
	}
}
