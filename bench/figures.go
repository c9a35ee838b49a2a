//go:build linux

package main

import (
	"fmt"
	"time"
)

// loadFigures draws the figures that have a bar from the samples.
func (b *bench) loadFigures() {
	if b.samples[key("everything, stdio", "300 B", 16)][python] != nil {
		b.cpuFigure()
	}
	for _, server := range []string{"Go, stdio", "Go, HTTP"} {
		for _, n := range []int{16, 64} {
			b.throughputFigure(server, n)
		}
	}
	for _, server := range []string{"Go, stdio", "Go, HTTP"} {
		b.latencyFigure(server)
	}
	for _, server := range []string{"Go, stdio", "Go, HTTP"} {
		b.bigFigure(server)
	}
}

func (b *bench) add(r row) { b.report.Rows = append(b.report.Rows, r) }

func cpuRatio(a, b sample) float64 { return float64(a.cpuPerCall()) / float64(max(b.cpuPerCall(), 1)) }

func (b *bench) cpuFigure() {
	s := b.samples[key("everything, stdio", "300 B", 16)]
	ratio := pairs(s[python], s[ours], cpuRatio)
	b.add(row{
		Figure: "CPU time of the proxy per call (server-everything, stdio, 16 connections), mcpo ÷ ours",
		Python: micros(median(s[python], sample.cpuPerCall)), Ours: micros(median(s[ours], sample.cpuPerCall)),
		Floor:  micros(median(s[floor], sample.cpuPerCall)),
		Result: fmt.Sprintf("%.1f", ratio), Bar: "≥ 8", Reached: ratio >= 8,
	})
}

func (b *bench) throughputFigure(server string, connections int) {
	s := b.samples[key(server, "300 B", connections)]
	ratio := pairs(s[ours], s[floor], func(a, b sample) float64 { return a.perSecond() / b.perSecond() })
	show := func(name string) string {
		if s[name] == nil {
			return ""
		}
		return fmt.Sprintf("%.0f/s", median(s[name], sample.perSecond))
	}
	b.add(row{
		Figure: fmt.Sprintf("throughput (%s, %d connections), ours ÷ the floor", server, connections),
		Python: show(python), Ours: show(ours), Floor: show(floor),
		Result: fmt.Sprintf("%.2f", ratio), Bar: "≥ 0.7", Reached: ratio >= 0.7,
	})
}

func (b *bench) latencyFigure(server string) {
	s := b.samples[key(server, "300 B", 1)]
	more := pairs(s[ours], s[floor], func(a, b sample) time.Duration { return a.p50 - b.p50 })
	show := func(name string) string {
		if s[name] == nil {
			return ""
		}
		return micros(median(s[name], func(s sample) time.Duration { return s.p50 }))
	}
	b.add(row{
		Figure: fmt.Sprintf("p50 at 1 connection (%s), ours − the floor", server),
		Python: show(python), Ours: show(ours), Floor: show(floor),
		Result: micros(more), Bar: "≤ 50 µs", Reached: more <= 50*time.Microsecond,
	})
}

func (b *bench) bigFigure(server string) {
	s := b.samples[key(server, "1 MB answer", 1)]
	ratio := pairs(s[ours], s[floor], cpuRatio)
	b.add(row{
		Figure: fmt.Sprintf("CPU time of a 1 MB result (%s), ours ÷ the floor", server),
		Ours:   micros(median(s[ours], sample.cpuPerCall)), Floor: micros(median(s[floor], sample.cpuPerCall)),
		Result: fmt.Sprintf("%.2f", ratio), Bar: "≤ 2", Reached: ratio <= 2,
	})
}

// loginRows compares a load with a login and without.
func (b *bench) loginRows(with, without []sample) {
	cpu := pairs(with, without, cpuRatio)
	b.add(row{
		Figure: "CPU time per call (Go, HTTP, 16 connections), with a login ÷ without",
		Ours:   micros(median(with, sample.cpuPerCall)) + " ÷ " + micros(median(without, sample.cpuPerCall)),
		Result: fmt.Sprintf("%.2f", cpu), Bar: "≤ 1.05", Reached: cpu <= 1.05,
	})
	speed := pairs(with, without, func(a, b sample) float64 { return a.perSecond() / b.perSecond() })
	b.add(row{
		Figure: "throughput (Go, HTTP, 16 connections), with a login ÷ without",
		Ours:   fmt.Sprintf("%.0f/s ÷ %.0f/s", median(with, sample.perSecond), median(without, sample.perSecond)),
		Result: fmt.Sprintf("%.2f", speed),
	})
}

func (b *bench) expiryRow(name string, all []expiry) {
	most, once := 0, true
	for _, e := range all {
		most, once = max(most, e.refreshes), once && e.refreshes == 1
	}
	took := median(all, func(e expiry) time.Duration { return e.took })
	b.add(row{
		Figure: "100 calls at once when " + name + ": requests for a new one (and until all have answered)",
		Ours:   micros(took), Result: fmt.Sprint(most), Bar: "1", Reached: once,
	})
}

// callerRows tells what so many callers cost: a line for every crowd, and from
// a thousand on the figures. In the memory of fewer one sees little but what a
// heap leaves between two collections.
func (b *bench) callerRows(c crowd) {
	ratio := pairs(c.own, c.shared, func(a, b sample) float64 { return a.perSecond() / b.perSecond() })
	own, shared := median(c.own, sample.perSecond), median(c.shared, sample.perSecond)
	each := c.grown * 1024 / float64(c.n)
	b.report.Crowds = append(b.report.Crowds, crowdLine{
		Callers: c.n, Memory: fmt.Sprintf("%.0f KiB", each), FirstP50: micros(c.first.p50), FirstP99: micros(c.first.p99),
		Own: own, Shared: shared, OwnCPU: micros(median(c.own, sample.cpuPerCall)), SharedCPU: micros(median(c.shared, sample.cpuPerCall)),
		Documents: c.documents.perSecond(), FirstCPU: micros(c.first.cpuPerCall()), RenewedCPU: micros(c.renewed.cpuPerCall()), Renewed: c.renewed.perSecond(),
	})
	if c.n < 1000 {
		return
	}
	speed := row{
		Figure: fmt.Sprintf("throughput (Go, HTTP, 64 calls in flight), %d callers with a connection each ÷ one connection", c.n),
		Ours:   fmt.Sprintf("%.0f/s ÷ %.0f/s", own, shared), Result: fmt.Sprintf("%.2f", ratio),
	}
	if c.n == 1000 {
		speed.Bar, speed.Reached = "≥ 0.8", ratio >= 0.8
	}
	b.add(speed)
	b.add(row{
		Figure: fmt.Sprintf("memory per idle caller, %d callers", c.n),
		Ours:   fmt.Sprintf("%.1f MiB in all", c.grown), Result: fmt.Sprintf("%.0f KiB", each), Bar: "≤ 64 KiB", Reached: each <= 64,
	})
}
