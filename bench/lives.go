//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"mcpo/internal/app"
)

// repeated measures each proxy in turn, as often as the run wants, and
// gives the medians.
func repeated[N number](b *bench, names []string, once func(name string) (N, error)) (map[string]N, error) {
	all := map[string][]N{}
	for range b.starts {
		for _, name := range names {
			n, err := once(name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all[name] = append(all[name], n)
		}
	}
	medians := map[string]N{}
	for name, list := range all {
		medians[name] = median(list, func(n N) N { return n })
	}
	return medians, nil
}

// shown formats a measurement of one proxy, or nothing if it took no part.
func shown[N number](m map[string]N, name string, format func(N) string) string {
	n, ok := m[name]
	if !ok {
		return ""
	}
	return format(n)
}

// allocFigure runs mcpo inside this process, where the runtime counts what is
// allocated. The load's own share is a few bytes a call.
func (b *bench) allocFigure() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ready := make(chan string, 1)
	ended := make(chan error, 1)
	log, err := os.Create(filepath.Join(b.peers.dir, "inside.log"))
	if err != nil {
		return fmt.Errorf("making a log file: %w", err)
	}
	defer log.Close()
	o := app.Options{
		Host: "127.0.0.1", Command: []string{b.peers.built("upstream")}, ServerType: "stdio",
		CallTimeout: time.Minute, ShutdownTimeout: time.Second, MaxBody: 4 << 20,
		Log: slog.New(slog.NewTextHandler(log, nil)), Build: "bench", Ready: func(addr string) { ready <- addr },
	}
	go func() { ended <- app.Run(ctx, o) }()
	select {
	case err := <-ended:
		return fmt.Errorf("running mcpo inside: %w", err)
	case addr := <-ready:
		if err := b.allocations(addr); err != nil {
			return err
		}
	}
	cancel()
	return <-ended
}

func (b *bench) allocations(addr string) error {
	p := &process{addr: addr, cmd: nil, done: make(chan struct{})}
	deadline, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for p.post(deadline, "/echo", `{"message":"ready?"}`) != nil {
		if deadline.Err() != nil {
			return fmt.Errorf("waiting for mcpo inside: %w", deadline.Err())
		}
		time.Sleep(time.Millisecond)
	}
	small := sizes()[0]
	l := load{path: small.path, body: small.body, connections: 16, duration: b.duration}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := l.run(addr)
	if err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	// Each connection of the load allocates its own buffers, once.
	own := uint64(l.connections * (64<<10 + 8<<16))
	perCall := float64(after.TotalAlloc-before.TotalAlloc-own) / float64(s.calls) / 1000
	b.add(row{Figure: "allocated per proxied call of 300 B (Go, stdio)", Ours: fmt.Sprintf("%.1f kB", perCall),
		Result: fmt.Sprintf("%.1f kB", perCall), Bar: "≤ 20 kB", Reached: perCall <= 20})
	return nil
}

// memoryFigure looks at proxies that have answered one call and rest.
func (b *bench) memoryFigure() error {
	s := server{name: "Go, stdio", command: []string{b.peers.built("upstream")}}
	m, err := repeated(b, b.peers.all(), func(name string) (float64, error) {
		p, err := b.peers.proxy(name, s)
		if err != nil {
			return 0, err
		}
		defer p.stop()
		if err := p.ready("/echo", `{"message":"ready?"}`); err != nil {
			return 0, err
		}
		time.Sleep(time.Second)
		return p.resident()
	})
	if err != nil {
		return fmt.Errorf("measuring the memory of %w", err)
	}
	mib := func(n float64) string { return fmt.Sprintf("%.0f MiB", n) }
	b.add(row{Figure: "resident memory, idle, one stdio server", Python: shown(m, python, mib), Ours: mib(m[ours]), Floor: mib(m[floor]),
		Result: mib(m[ours]), Bar: "≤ 20 MiB", Reached: m[ours] <= 20})
	return nil
}

// startFigure takes the time from the start of the process to its first HTTP
// answer, whatever that says.
func (b *bench) startFigure() error {
	s := server{name: "Go, stdio", command: []string{b.peers.built("upstream")}}
	m, err := repeated(b, b.peers.all(), func(name string) (time.Duration, error) {
		began := time.Now()
		p, err := b.peers.proxy(name, s)
		if err != nil {
			return 0, err
		}
		defer p.stop()
		err = p.until(func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/docs", nil)
			if err != nil || name == floor { // which would take /docs for a tool
				return p.post(ctx, "/echo", `{"message":"first"}`)
			}
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			return err
		})
		return time.Since(began), err
	})
	if err != nil {
		return fmt.Errorf("measuring the start of %w", err)
	}
	b.add(row{Figure: "process start to first answer", Python: shown(m, python, millis), Ours: millis(m[ours]), Floor: millis(m[floor]),
		Result: millis(m[ours]), Bar: "≤ 50 ms", Reached: m[ours] <= 50*time.Millisecond})
	return nil
}

// slowServersFigure waits until each of four servers, which take a second to
// start, has answered a call.
func (b *bench) slowServersFigure() error {
	servers := map[string]any{}
	for i := range 4 {
		servers[fmt.Sprint("slow", i)] = map[string]any{"command": b.peers.built("mcpserver"), "args": []string{"--delay", "1s"}}
	}
	config, err := b.peers.config("slow", map[string]any{"mcpServers": servers})
	if err != nil {
		return err
	}
	names := []string{ours}
	if b.peers.python {
		names = []string{python, ours}
	}
	m, err := repeated(b, names, func(name string) (time.Duration, error) {
		began := time.Now()
		p, err := b.peers.configured(name, config)
		if err != nil {
			return 0, err
		}
		defer p.stop()
		for i := range 4 {
			if err := p.ready(fmt.Sprintf("/slow%d/echo", i), `{"message":"ready?"}`); err != nil {
				return 0, err
			}
		}
		return time.Since(began), nil
	})
	if err != nil {
		return fmt.Errorf("measuring the start of four servers behind %w", err)
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
	b.add(row{Figure: "four servers that need 1 s each: all usable after", Python: shown(m, python, seconds), Ours: seconds(m[ours]),
		Result: seconds(m[ours]), Bar: "≤ 1.3 s", Reached: m[ours] <= 1300*time.Millisecond})
	return nil
}

// config writes a configuration file.
func (p *peers) config(name string, content map[string]any) (path string, err error) {
	b, err := json.Marshal(content)
	if err != nil {
		return "", fmt.Errorf("writing a configuration: %w", err)
	}
	path = filepath.Join(p.dir, name+".json")
	return path, os.WriteFile(path, b, 0o600)
}
