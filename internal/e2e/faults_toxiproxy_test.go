package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// toxiproxy forwards connections and does to them what networks do.
type toxiproxy struct{ api string }

// startToxiproxy runs the program, on loopback.
func startToxiproxy(t *testing.T) *toxiproxy {
	t.Helper()
	program, port := installed(t, "bin/toxiproxy-server"), freePort(t)
	p := run(t, exec.Command(program, "-host", "127.0.0.1", "-port", port), func(string) {})
	p.base = "http://127.0.0.1:" + port
	p.eventually(t, func() error { return p.got("/version", nil) })
	return &toxiproxy{p.base}
}

// ask sends a request to the program's own API.
func (x *toxiproxy) ask(t *testing.T, method, path string, body, into any) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(method, x.api+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("asking toxiproxy: %v", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("toxiproxy answered %s %s with %s %s (%v)", method, path, resp.Status, said, err)
	}
	if into != nil {
		if err := json.Unmarshal(said, into); err != nil {
			t.Fatal(err)
		}
	}
}

// passage is one way that toxiproxy forwards.
type passage struct {
	of   *toxiproxy
	path string
	addr string // where it begins: host and port
}

// passage makes a way to an address, which lead may tell later.
func (x *toxiproxy) passage(t *testing.T, name, to string) *passage {
	t.Helper()
	var made struct{ Listen string }
	x.ask(t, http.MethodPost, "/proxies", map[string]any{"name": name, "listen": "127.0.0.1:0", "upstream": to}, &made)
	return &passage{x, "/proxies/" + name, made.Listen}
}

// nowhere is an address at which nobody listens.
const nowhere = "127.0.0.1:1"

func (p *passage) lead(t *testing.T, to string) {
	t.Helper()
	p.of.ask(t, http.MethodPost, p.path, map[string]any{"upstream": to}, nil)
}

// url is where the way begins, for HTTP.
func (p *passage) url() string { return "http://" + p.addr }

// The directions of a toxic.
const (
	toServer   = "upstream"
	fromServer = "downstream"
)

// toxic is something that is done to all connections of a passage.
type toxic struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]any `json:"attributes"`
}

// fault is what goes wrong on a way.
type fault struct {
	name string
	id   string // that ways in toxiproxy are named by
	// toxics are what it consists of. Without any, connections are refused, and
	// those that are open end.
	toxics []toxic
	// loses says that a request may have arrived whose answer did not.
	loses bool
}

func makeFault(name string, loses bool, kind string, attributes map[string]any, streams ...string) fault {
	f := fault{name: name, loses: loses}
	for _, stream := range streams {
		f.toxics = append(f.toxics, toxic{kind + "_" + stream, kind, stream, attributes})
	}
	return f
}

// named is the fault for a test of its own.
func (f fault) named(id string) fault {
	f.id = strings.ReplaceAll(id, " ", "-")
	return f
}

// allFaults are what each way has to bear. cut is after how many bytes from the
// server a connection ends.
func allFaults(cut int) []fault {
	type with = map[string]any
	return []fault{
		makeFault("latency of 2 s ± 0.5 s", false, "latency", with{"latency": 2000, "jitter": 500}, fromServer),
		makeFault("bandwidth of 4 kB/s", false, "bandwidth", with{"rate": 4}, fromServer),
		makeFault("reset before requests arrive", false, "reset_peer", with{"timeout": 0}, toServer),
		makeFault("reset in place of answers", true, "reset_peer", with{"timeout": 0}, fromServer),
		makeFault("half-open: silence both ways", false, "timeout", with{"timeout": 0}, toServer, fromServer),
		makeFault("half-open: answers vanish", true, "timeout", with{"timeout": 0}, fromServer),
		makeFault("blackhole: refused", false, "", nil),
		makeFault("blackhole: accepted, cut after 1 s", false, "timeout", with{"timeout": 1000}, toServer, fromServer),
		makeFault("slow close, 3 s", false, "slow_close", with{"delay": 3000}, fromServer),
		makeFault("cut in the middle of answers", true, "limit_data", with{"bytes": cut}, fromServer),
		makeFault("slices of 16 bytes", false, "slicer", with{"average_size": 16, "size_variation": 8, "delay": 1000}, fromServer),
	}
}

func (p *passage) on(t *testing.T, f fault) {
	t.Helper()
	if len(f.toxics) == 0 {
		p.of.ask(t, http.MethodPost, p.path, map[string]any{"enabled": false}, nil)
	}
	for _, toxic := range f.toxics {
		p.of.ask(t, http.MethodPost, p.path+"/toxics", toxic, nil)
	}
}

func (p *passage) off(t *testing.T, f fault) {
	t.Helper()
	if len(f.toxics) == 0 {
		p.of.ask(t, http.MethodPost, p.path, map[string]any{"enabled": true}, nil)
	}
	for _, toxic := range f.toxics {
		p.of.ask(t, http.MethodDelete, fmt.Sprintf("%s/toxics/%s", p.path, toxic.Name), nil, nil)
	}
}
