// Command scale tells what a number of people needs, in its busiest hour: by a
// formula, and by a simulation of everybody's calls, which ought to agree:
//
//	go run ./bench/scale -people 100000
//
// What mcpo does at a call is in rules.go, once for both. The simulation
// (simulate.go) takes each person through the hour, call after call at random
// moments; the formula (formula.go) knows only averages. What a call, a connection
// or a refresh costs is measured by bench, and given here with flags.
package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	t := usual()
	flag.IntVar(&t.people, "people", t.people, "so many people have a login")
	flag.Float64Var(&t.callsPerDay, "calls", t.callsPerDay, "calls a day of each of them")
	flag.Float64Var(&t.busiest, "busiest", t.busiest, "the part of a day's calls that falls into its busiest hour")
	flag.DurationVar(&t.life, "life", t.life, "access tokens live for so long")
	flag.DurationVar(&t.idle, "idle", t.idle, "connections are closed after so long without a call (session_timeout_minutes)")
	flag.IntVar(&t.replicas, "replicas", t.replicas, "so many mcpos")
	flag.BoolVar(&t.sticky, "sticky", t.sticky, "the balancer sends a person to the same replica each time")
	flag.BoolVar(&t.dies, "dies", t.dies, "one replica dies in the middle of the hour (simulated only)")
	flag.Float64Var(&t.loginsPerDay, "logins", t.loginsPerDay, "logins a day of each person")
	c := &t.costs
	flag.DurationVar(&c.call, "call-cpu", c.call, "processor time of a call")
	flag.DurationVar(&c.opening, "open-cpu", c.opening, "processor time of opening a connection")
	flag.DurationVar(&c.refresh, "refresh-cpu", c.refresh, "processor time of a refresh")
	flag.Float64Var(&c.callerKiB, "caller-kib", c.callerKiB, "memory of a caller with a connection, in KiB")
	flag.Float64Var(&c.baseMiB, "base-mib", c.baseMiB, "memory of an mcpo without callers, in MiB")
	flag.DurationVar(&c.read, "read", c.read, "how long a read keeps a database connection")
	flag.DurationVar(&c.write, "write", c.write, "how long a write keeps a database connection")
	flag.Float64Var(&c.grantKB, "grant-kb", c.grantKB, "room that a person's records take in the database, in kB")
	seed := flag.Uint64("seed", 1, "of the random numbers")
	flag.Parse()
	if err := t.check(); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(2)
	}
	began := time.Now()
	simulated, busiest := t.simulate(rand.New(rand.NewPCG(*seed, 0)))
	t.table(os.Stdout, t.formula(), simulated, busiest)
	fmt.Printf("\nSimulated in %v.\n", time.Since(began).Round(10*time.Millisecond))
}

// table shows what was calculated beside what was simulated.
func (t town) table(w io.Writer, formula, simulated, busiest rates) {
	fmt.Fprintf(w, "%d people, %g calls a day each, %g %% of them in the busiest hour; tokens live %v, connections rest %v, %d replicas.\n\n",
		t.people, t.callsPerDay, 100*t.busiest, t.life, t.idle, t.replicas)
	fmt.Fprintln(w, "| in the busiest hour | formula | simulated | busiest second |\n|---|--:|--:|--:|")
	line := func(name, format string, of func(rates) float64, second bool) {
		most := "–"
		if second {
			most = fmt.Sprintf(format, of(busiest))
		}
		fmt.Fprintf(w, "| %s | "+format+" | "+format+" | %s |\n", name, of(formula), of(simulated), most)
	}
	line("calls/s", "%.1f", func(r rates) float64 { return r.calls }, true)
	line("connections opened/s", "%.2f", func(r rates) float64 { return r.opened }, true)
	line("tool lists read again/s", "%.2f", func(r rates) float64 { return r.relists }, true)
	line("refreshes/s", "%.2f", func(r rates) float64 { return r.refreshes }, true)
	line("reads of the store/s", "%.1f", func(r rates) float64 { return r.reads }, true)
	line("writes of the store/s", "%.1f", func(r rates) float64 { return r.writes }, true)
	line("database connections at work", "%.2f", t.databaseBusy, true)
	line("connections open, each replica", "%.0f", func(r rates) float64 { return r.open / r.replicas }, true)
	line("memory of each replica, MiB", "%.0f", t.memory, true)
	line("cores of each replica", "%.2f", t.cores, true)
	fmt.Fprintf(w, "\nThe database has %.0f connections (%d a replica) and %.0f rows in %.0f MB.\n",
		float64(t.replicas*connectionsEach), connectionsEach, t.rows(), float64(t.people)*t.costs.grantKB/1000)
	if most := busiest.open / busiest.replicas; most > maxCallers {
		fmt.Fprintf(w, "A replica has %.0f connections at most, and closes those that rest longest beyond %d: give it --max-callers %.0f.\n", most, maxCallers, math.Ceil(most/5000)*5000)
	}
}
