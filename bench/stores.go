//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// The stores that are compared, and the key that both seal with.
const (
	inFiles    = "files"
	inPostgres = "PostgreSQL"
	sealedWith = "the-encryption-key-of-the-benchmark"
)

// records is what mcpo asks of a store of grants.
type records interface {
	Get(context.Context, store.Key) (store.Record, error)
	Put(context.Context, store.Record) error
	Lock(context.Context, store.Key) (context.Context, func(), error)
}

// storeWork is something that is done to a grant.
type storeWork struct {
	name string
	do   func(ctx context.Context, s records, grant store.Record) error
}

func storeWorks() []storeWork {
	return []storeWork{
		{"a grant is read", func(ctx context.Context, s records, grant store.Record) error {
			_, err := s.Get(ctx, grant.Key)
			return err
		}},
		{"a grant is written", func(ctx context.Context, s records, grant store.Record) error { return s.Put(ctx, grant) }},
		{"a grant is locked, read, written twice and freed, as for a refresh", refreshed},
	}
}

// refreshed is what a refresh asks of a store.
func refreshed(ctx context.Context, s records, grant store.Record) error {
	held, unlock, err := s.Lock(ctx, grant.Key)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = s.Get(held, grant.Key)
	return errors.Join(err, s.Put(held, grant), s.Put(held, grant))
}

// storeFigures compare the two stores, with a database of this run's own that
// writes as durably as the files are written.
func (b *bench) storeFigures() error {
	database, err := pgtest.New(pgtest.Options{Durable: true})
	if pgtest.Missing(err) {
		b.progress("the stores are left out: %v", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	defer database.Close()
	log := slog.New(slog.DiscardHandler)
	files, err := store.Open(store.Options{Dir: filepath.Join(b.peers.dir, "files"), Keys: []string{sealedWith}, Log: log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	postgres, err := store.OpenPostgres(ctx, store.PostgresOptions{DSN: database.DSN(), Keys: []string{sealedWith}, Log: log})
	if err != nil {
		return err
	}
	defer postgres.Close()
	stores := map[string]records{inFiles: files, inPostgres: postgres}
	for _, atOnce := range []int{1, 16} {
		if err := b.storeRows(ctx, stores, atOnce); err != nil {
			return err
		}
	}
	return b.loginsFigure(database.DSN())
}

func (b *bench) storeRows(ctx context.Context, stores map[string]records, atOnce int) error {
	for _, w := range storeWorks() {
		got := map[string][]sample{}
		for round := range b.rounds + 1 {
			for _, name := range []string{inFiles, inPostgres} {
				s, err := w.repeat(ctx, stores[name], atOnce, b.duration/2)
				if err != nil {
					return fmt.Errorf("%s, where %s: %w", name, w.name, err)
				}
				if round > 0 {
					got[name] = append(got[name], s)
				}
			}
		}
		show := func(name string) string {
			return fmt.Sprintf("%s, %.0f/s", micros(median(got[name], func(s sample) time.Duration { return s.p50 })), median(got[name], sample.perSecond))
		}
		b.add(row{
			Figure: fmt.Sprintf("%s, %d at a time (p50, and how many a second): speed with PostgreSQL ÷ with files", w.name, atOnce), Ours: show(inPostgres) + " ÷ " + show(inFiles),
			Result: fmt.Sprintf("%.2f", pairs(got[inPostgres], got[inFiles], func(a, b sample) float64 { return a.perSecond() / b.perSecond() })),
		})
		b.progress("%s", w.name)
	}
	return nil
}

// repeat does the work to a hundred grants in turn, some at a time.
func (w storeWork) repeat(ctx context.Context, s records, atOnce int, length time.Duration) (sample, error) {
	const grants = 100
	of := func(n int64) store.Record {
		return store.Record{Key: store.Key{Kind: store.Grants, Server: fmt.Sprint("server-", n%grants), Caller: caller.Shared()},
			Value: []byte(strings.Repeat("g", 1500))} // with two tokens that are JWTs, a grant has about as much
	}
	for n := range int64(grants) {
		if _, err := s.Get(ctx, of(n).Key); errors.Is(err, store.ErrNotFound) {
			err = s.Put(ctx, of(n))
			if err != nil {
				return sample{}, err
			}
		}
	}
	var next atomic.Int64
	took, errs := make([][]time.Duration, atOnce), make([]error, atOnce)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range atOnce {
		wg.Go(func() {
			for errs[i] == nil && time.Since(began) < length {
				start := time.Now()
				errs[i] = w.do(ctx, s, of(next.Add(1)))
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	wg.Wait()
	return sampleOf(took, time.Since(began)), errors.Join(errs...)
}

// loginsFigure has people log in, with grants in files and in the database.
func (b *bench) loginsFigure(dsn string) error {
	const each = 100
	g, err := b.peers.gate()
	if err != nil {
		return err
	}
	defer g.stop()
	closed := map[string]map[string]any{ownServer: {"multi_user": true}}
	names := []string{inFiles, inPostgres}
	configs := map[string]string{}
	for _, name := range names {
		more := map[string]any{"identity": map[string]any{"webui_secret_key": webUIKey}}
		if name == inPostgres {
			more["storage"] = map[string]any{"type": "postgres", "dsn": dsn, "encryption_key": sealedWith}
		}
		if configs[name], err = b.peers.configure("logins-"+name, g, closed, more); err != nil {
			return err
		}
	}
	everybody, err := authorizations(each * (b.starts + 1))
	if err != nil {
		return err
	}
	got := map[string][]sample{}
	for round := range b.starts + 1 {
		for _, name := range names {
			began := time.Now()
			if err := b.logins(configs[name], everybody[each*round:each*(round+1)], false); err != nil {
				return fmt.Errorf("logging in with grants in %s: %w", name, err)
			}
			if round > 0 { // the first one registered mcpo, too
				got[name] = append(got[name], sample{calls: each, seconds: time.Since(began).Seconds()})
			}
		}
	}
	ratio := pairs(got[inPostgres], got[inFiles], func(a, b sample) float64 { return a.perSecond() / b.perSecond() })
	b.add(row{
		Figure: "logins, 8 at a time, browser and authorization server included: with PostgreSQL ÷ with files",
		Ours:   fmt.Sprintf("%.0f/s ÷ %.0f/s", median(got[inPostgres], sample.perSecond), median(got[inFiles], sample.perSecond)),
		Result: fmt.Sprintf("%.2f", ratio),
	})
	return nil
}
