//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSoak runs the whole, shortly: nothing fails that was not made to.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	o := options{length: 8 * time.Second, callers: 10, rate: 60, life: 3 * time.Second, pause: 500 * time.Millisecond, line: 500 * time.Millisecond, storage: "file"}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	if err := runIn(t.Context(), t.TempDir(), o); err != nil {
		t.Error(err)
	}
}

// TestExcuses holds that a window explains what lies in it, and nothing else.
func TestExcuses(t *testing.T) {
	begin := time.Now()
	f := &faults{}
	w := f.open(crashes, tool, http.StatusBadGateway)
	w.from = begin
	at := func(server string, status int, began, ended time.Duration) answer {
		return answer{server: server, status: status, began: begin.Add(began), ended: begin.Add(ended)}
	}
	during := at(tool, http.StatusBadGateway, -time.Second, time.Second)
	if because, ok := f.excuse(during); !ok || because != crashes {
		t.Errorf("a call under way at the crash: %v, %v", because, ok)
	}
	f.awaitSuccess(w)
	w.since = begin.Add(2 * time.Second)
	f.succeeded(at(tool, http.StatusOK, time.Second, 3*time.Second)) // it began before the process was dead
	f.succeeded(at(open, http.StatusOK, 3*time.Second, 4*time.Second))
	if f.ended(w) {
		t.Error("a call that says nothing of the recovery ended the window")
	}
	f.succeeded(at(tool, http.StatusOK, 3*time.Second, 4*time.Second))
	if !f.ended(w) {
		t.Error("the window is open after the recovery")
	}
	for name, a := range map[string]answer{
		"before":         at(tool, http.StatusBadGateway, -2*time.Second, -time.Second),
		"after":          at(tool, http.StatusBadGateway, 5*time.Second, 6*time.Second),
		"another server": at(open, http.StatusBadGateway, 0, time.Second),
		"another status": at(tool, http.StatusUnauthorized, 0, time.Second),
		"no answer":      at(tool, 0, 0, time.Second),
	} {
		if because, ok := f.excuse(a); ok {
			t.Errorf("%s: excused by %s", name, because)
		}
	}
}

// TestGrown holds that what grows is found, and what only moves is not.
func TestGrown(t *testing.T) {
	run := func(change func(i int, s *sample)) string {
		var seen []sample
		for i := range 100 {
			s := sample{resident: 60 + float64(i%7), heap: 20 + float64(i%5), goroutines: 2000 + float64(i%50), callers: float64(i % 50), threads: 12, files: 1100, children: 1}
			change(i, &s)
			seen = append(seen, s)
		}
		return errors.Join(grown(io.Discard, seen)...).Error()
	}
	for want, change := range map[string]func(i int, s *sample){
		"memory (RSS)": func(i int, s *sample) { s.resident += float64(i) / 2 },
		"heap":         func(i int, s *sample) { s.heap += float64(i) / 4 },
		"goroutines":   func(i int, s *sample) { s.goroutines += 4 * float64(i) },
		"threads":      func(i int, s *sample) { s.threads += 4 * float64(i) },
		"open files":   func(i int, s *sample) { s.files += 3 * float64(i) },
		"children":     func(i int, s *sample) { s.surplus = float64(i / 50) },
	} {
		if got := run(change); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s that grows is told as %q", want, got)
		}
	}
	flat := make([]sample, 100)
	if problems := grown(io.Discard, flat); problems != nil {
		t.Errorf("what is flat grew: %v", problems)
	}
	if problems := grown(io.Discard, flat[:5]); problems == nil {
		t.Error("five samples are enough")
	}
}

// TestJudge holds that a wrong answer with a good status is wrong.
func TestJudge(t *testing.T) {
	s := &soak{tally: newTally(), faults: &faults{}}
	now := time.Now()
	for _, a := range []answer{
		{server: notes, status: http.StatusOK, body: `"somebody else"`, began: now, ended: now},
		{server: notes, status: http.StatusServiceUnavailable, began: now, ended: now},
		{server: notes, err: context.DeadlineExceeded, began: now, ended: now},
	} {
		if s.judge(a, is("me")) {
			t.Errorf("%+v is right", a)
		}
	}
	s.mustFail(answer{server: open, status: http.StatusOK}, refusals, errors.New("it did not fail"))
	if !s.judge(answer{server: notes, status: http.StatusOK, body: "\"me\"\n"}, is("me")) {
		t.Error("the right answer is wrong")
	}
	if asInjected, otherwise := s.tally.failed(); asInjected != 0 || otherwise != 4 || s.tally.of(calls) != 5 {
		t.Errorf("counted %d injected, %d wrong of %d", asInjected, otherwise, s.tally.of(calls))
	}
}
