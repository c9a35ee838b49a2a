//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// size is one message length of the loads.
type size struct {
	name string
	path string
	body []byte
}

// sizes are the lengths of a message that goes there and back; the last one
// asks for a long answer with a short request.
func sizes() []size {
	echo := func(name string, n int) size {
		return size{name, "/echo", fmt.Appendf(nil, `{"message":"%s"}`, strings.Repeat("m", n-len(`{"message":""}`)))}
	}
	return []size{
		echo("300 B", 300), echo("10 kB", 10_000), echo("1 MB", 1_000_000),
		{"1 MB answer", "/big", []byte(`{"bytes":1000000}`)},
	}
}

// combination is one load on one server; key finds its samples again.
type combination struct {
	server      server
	size        size
	connections int
	proxies     []string
}

func key(server, size string, connections int) string {
	return fmt.Sprint(server, "/", size, "/", connections)
}

// plan lists the loads: those that the bars are about, and in a full run all
// others too.
func (b *bench) plan(servers []server) []combination {
	var list []combination
	for _, s := range servers {
		isGo := strings.HasPrefix(s.name, "Go")
		for _, z := range sizes() {
			for _, n := range []int{1, 16, 64} {
				c := combination{s, z, n, b.peers.all()}
				needed := s.name == "everything, stdio" && z.name == "300 B" && n == 16
				if !needed && b.quick {
					c.proxies = []string{ours, floor}
				}
				needed = needed || isGo && (z.name == "300 B" || z.path == "/big" && n == 1)
				if needed || !b.quick && z.path == "/echo" {
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// loads runs the plan, server by server so that no more than three proxies
// live at once, keeps every sample, and draws
// the figures from them.
func (b *bench) loads() error {
	servers, stop, err := b.peers.servers()
	defer stop()
	if err != nil {
		return err
	}
	for _, s := range servers {
		if err := b.before(s); err != nil {
			return fmt.Errorf("measuring %s: %w", s.name, err)
		}
	}
	b.loadFigures()
	return nil
}

// before runs all loads of one server.
func (b *bench) before(s server) error {
	running := map[string]*process{}
	for _, name := range b.peers.all() {
		p, err := b.peers.proxy(name, s)
		if err != nil {
			return err
		}
		defer p.stop()
		if err := p.ready("/echo", `{"message":"ready?"}`); err != nil {
			return err
		}
		running[name] = p
	}
	for _, c := range b.plan([]server{s}) {
		if err := b.interleave(c, running); err != nil {
			return err
		}
	}
	return nil
}

// interleave runs A B C A B C …, so that what else happens on the machine
// meets all of them alike. A proxy that cannot carry a load is left out of it,
// and the table says why.
func (b *bench) interleave(c combination, running map[string]*process) error {
	l := load{path: c.size.path, body: c.size.body, connections: c.connections, duration: b.duration / 4}
	got, failed := map[string][]sample{}, map[string]error{}
	for round := range b.rounds + 1 {
		for _, name := range c.proxies {
			if failed[name] != nil {
				continue
			}
			s, err := running[name].measure(l)
			if err != nil {
				failed[name] = err
			}
			if round > 0 {
				got[name] = append(got[name], s)
			}
		}
		l.duration = b.duration // the first round only warmed up
	}
	for _, name := range c.proxies {
		if failed[name] != nil {
			delete(got, name)
		}
		b.report.Lines = append(b.report.Lines, lineOf(c, name, got[name], failed[name]))
	}
	b.samples[key(c.server.name, c.size.name, c.connections)] = got
	b.progress("%s, %s, %d connections", c.server.name, c.size.name, c.connections)
	for _, name := range []string{ours, floor} { // all figures need these two
		if failed[name] != nil {
			return fmt.Errorf("%s, %s, %d connections: %w, see %s", name, c.size.name, c.connections, failed[name], running[name].log)
		}
	}
	return nil
}

// lineOf sums up the samples of one proxy.
func lineOf(c combination, proxy string, got []sample, failed error) line {
	l := line{Server: c.server.name, Size: c.size.name, Connections: c.connections, Proxy: proxy}
	if failed != nil {
		l.Failed = failed.Error()
		return l
	}
	l.PerSecond = median(got, sample.perSecond)
	l.P50 = micros(median(got, func(s sample) time.Duration { return s.p50 }))
	l.P99 = micros(median(got, func(s sample) time.Duration { return s.p99 }))
	l.CPUPerCall = micros(median(got, sample.cpuPerCall))
	return l
}

// number is what medians are taken of.
type number interface{ ~int64 | ~float64 }

func median[T any, N number](list []T, of func(T) N) N {
	values := make([]N, len(list))
	for i, v := range list {
		values[i] = of(v)
	}
	slices.Sort(values)
	if len(values)%2 == 1 {
		return values[len(values)/2]
	}
	return (values[len(values)/2-1] + values[len(values)/2]) / 2
}

// pairs is the median, over the rounds, of a comparison of two neighbours.
func pairs[N number](a, b []sample, compare func(a, b sample) N) N {
	rounds := make([]int, len(a))
	for i := range rounds {
		rounds[i] = i
	}
	return median(rounds, func(i int) N { return compare(a[i], b[i]) })
}
