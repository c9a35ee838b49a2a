//go:build linux

// Command soak runs mcpo for half an hour before a thousand callers who come,
// call, log in and out and go away, with servers that crash, refuse and change,
// and looks whether anything grows, and whether anything fails that should not:
//
//	go run ./bench/soak
//
// One goroutine sends requests at random moments (load.go), another does harm
// (faults.go), a third looks at the process (watch.go):
//
//	arrivals ──▶ caller ──▶ mcpo, the program ──▶ notes   MCP server with logins; tokens live for seconds
//	                │             ▲          ├──▶ tool    child process, which is killed
//	                ▼             │          ├──▶ open    MCP server without logins, which answers 500
//	             judge ◀── windows of faults └──▶ extra   comes and goes with reloads
//
// Each answer is compared with the one answer that this request may have: a
// caller's own name, the own message, the link when logged out. Whatever else
// comes has to lie within the window of a fault, at that server, with a status
// that the fault explains; otherwise it is printed and the run has failed.
//
// The package owns the processes that it starts and a folder for their files. It
// runs on Linux only: it reads /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mcpo/internal/pgtest"
)

// options are what a run can be told.
type options struct {
	length  time.Duration // of the load, after everybody has logged in
	callers int
	rate    float64       // requests a second, on the average
	life    time.Duration // of access tokens
	pause   time.Duration // between two faults
	line    time.Duration // between two lines of the report
	storage string        // file or postgres
	dsn     string
}

func main() {
	o := options{line: 30 * time.Second}
	flag.DurationVar(&o.length, "for", 30*time.Minute, "keep the load up for so long")
	flag.IntVar(&o.callers, "callers", 1000, "so many callers, each with a login of their own")
	flag.Float64Var(&o.rate, "rate", 150, "requests per second, on the average")
	flag.DurationVar(&o.life, "life", 30*time.Second, "access tokens live for so long")
	flag.DurationVar(&o.pause, "pause", 0, "wait so long between two faults (default: a sixtieth of -for, between 1 s and 10 s)")
	flag.StringVar(&o.storage, "storage", "file", "keep grants in a `store`: file or postgres")
	flag.StringVar(&o.dsn, "dsn", "", "the `address` of an empty database for -storage postgres; without one, a PostgreSQL server of this run's own")
	flag.Parse()
	if o.pause == 0 { // every quarter of the run gets each fault, so that quarters can be compared
		o.pause = min(10*time.Second, max(o.length/60, time.Second))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// check refuses what cannot be run.
func (o options) check() error {
	switch {
	case o.callers < 1 || o.rate <= 0 || o.length <= 0 || o.pause < 0 || o.life < time.Second:
		return errors.New("-callers, -rate, -for and -pause must be more than nothing, and -life a second or longer")
	case o.storage != "file" && o.storage != "postgres":
		return fmt.Errorf("there is no store %q: write -storage file or -storage postgres", o.storage)
	case o.storage == "file" && o.dsn != "":
		return errors.New("-dsn goes with -storage postgres")
	}
	return nil
}

// run leaves the files behind when something fails.
func run(ctx context.Context, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mcpo-soak-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	if err := runIn(ctx, dir, o); err != nil {
		return fmt.Errorf("%w; files are in %s", err, dir)
	}
	return os.RemoveAll(dir)
}

// runIn starts everything, lets it run, and ends it in turn.
func runIn(ctx context.Context, dir string, o options) error {
	up, err := startUpstreams(o.life)
	if err != nil {
		return err
	}
	defer up.close()
	if o.storage == "postgres" && o.dsn == "" {
		database, err := pgtest.New(pgtest.Options{Durable: true})
		if err != nil {
			return fmt.Errorf("starting PostgreSQL: %w", err)
		}
		defer database.Close()
		o.dsn = database.DSN()
	}
	p, err := startMcpo(ctx, dir, up, o)
	if err != nil {
		return err
	}
	defer p.kill()
	s, err := newSoak(o, up, p)
	if err != nil {
		return err
	}
	fmt.Printf("mcpo is process %d at %s; its log is %s\n", p.pid(), p.base, p.log)
	if err := s.everybodyLogsIn(ctx); err != nil {
		return err
	}
	fmt.Printf("%d callers have logged in; %.0f requests a second for %v\n", o.callers, o.rate, o.length)
	seen, err := s.soak(ctx)
	if err != nil {
		return err
	}
	if err := p.stop(); err != nil {
		s.tally.wrong("stopping mcpo: %v", err)
	}
	err = s.verdict(os.Stdout, seen)
	if ctx.Err() != nil {
		err = errors.Join(err, errors.New("the run was ended before its time"))
	}
	return err
}
