//go:build linux

// Command bench measures mcpo beside its peers, all in one run, and prints a
// table in Markdown:
//
//	go run ./bench
//
// The peers are the Python mcpo 0.0.20, installed from its registry, and the
// floor (bench/floor), a proxy that checks nothing. Before them stand a load
// that is written by hand (load.go), behind them server-everything and a server
// that answers as fast as it can (bench/upstream), once more behind a login
// (bench/protected). Every ratio is taken between neighbours in time, A B A B,
// and the median is shown.
//
// The package owns the processes that it starts and a folder for their logs.
// It runs on Linux only: it reads /proc.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

// bench is one run.
type bench struct {
	peers    *peers
	quick    bool
	rounds   int                            // of loads
	starts   int                            // of what takes whole starts of a proxy
	duration time.Duration                  // of one sample
	callers  int                            // at most
	samples  map[string]map[string][]sample // by key, then by proxy
	report   report
	began    time.Time
}

func main() {
	quick := flag.Bool("quick", false, "measure few loads, and shortly: about four minutes")
	asJSON := flag.Bool("json", false, "print JSON instead of Markdown")
	withPeers := flag.Bool("peers", true, "measure the Python mcpo as well")
	length := flag.Duration("sample", time.Second, "run each load for so long, five times over (with -quick: 400 ms, thrice)")
	only := flag.String("only", "", "measure one `part` alone: loads, lives, login, callers, observe or stores")
	callers := flag.Int("callers", 1000, "measure ten callers, a hundred, and so on up to this `number`")
	flag.Parse()
	b := &bench{quick: *quick, rounds: 5, starts: 5, duration: *length, callers: *callers, samples: map[string]map[string][]sample{}, began: time.Now()}
	if *quick {
		b.rounds, b.starts, b.duration = 3, 1, 400*time.Millisecond
	}
	if err := b.run(*withPeers, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if *asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		_ = e.Encode(b.report)
		return
	}
	b.report.markdown(os.Stdout)
}

// run leaves the logs behind when something fails.
func (b *bench) run(withPeers bool, only string) error {
	parts, err := b.parts(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mcpo-bench-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	if b.peers, err = prepare(dir, withPeers); err != nil {
		return err
	}
	b.report.Machine, b.report.Versions = machine(), b.peers.versions()
	b.progress("prepared; logs are in %s", dir)
	for _, p := range parts {
		for _, figure := range p.figures {
			if err := figure(); err != nil {
				return err
			}
			if rows := b.report.Rows; len(rows) > 0 {
				b.progress("%s", rows[len(rows)-1].Figure)
			}
		}
	}
	return os.RemoveAll(dir)
}

// part is a group of figures that can be measured alone.
type part struct {
	name    string
	figures []func() error
}

// parts lists all of them, or the one that is named.
func (b *bench) parts(only string) ([]part, error) {
	all := []part{
		{"loads", []func() error{b.loads}},
		{"lives", []func() error{b.allocFigure, b.memoryFigure, b.startFigure, b.slowServersFigure, b.documentFigure}},
		{"login", []func() error{b.oauthFigures}},
		{"callers", []func() error{b.callerFigures}},
		{"observe", []func() error{b.observeFigures}},
		{"stores", []func() error{b.storeFigures}},
	}
	if only == "" {
		return all, nil
	}
	i := slices.IndexFunc(all, func(p part) bool { return p.name == only })
	if i < 0 {
		return nil, fmt.Errorf("there is no part %q", only)
	}
	return all[i : i+1], nil
}

// progress tells on standard error what was just done.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}
