package app

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"mcpo/internal/store"
)

// TestSweepSaysWhatItRemoved, and nothing when there was nothing.
func TestSweepSaysWhatItRemoved(t *testing.T) {
	p := newPerson(t)
	l := newLogins(Options{Log: slog.New(slog.NewTextHandler(p, nil))}, "", false, nil)
	for _, name := range []string{"a", "b"} {
		err := l.memory.Put(t.Context(), store.Record{Key: store.Key{Kind: store.Tickets, Name: name}, Expires: time.Now().Add(-time.Second)})
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.sweep(ctx)
	}()
	p.reads("records=2\n")
	cancel()
	<-done
	l.sweep(ctx) // looks once
	if text := p.reads(""); len(text) == 0 || text[len(text)-10:] != "records=2\n" {
		t.Errorf("the log says:\n%s", text)
	}
}
