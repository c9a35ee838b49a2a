package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// balancer stands before replicas as load balancers do: it watches the /readyz
// of each, gives requests to those that are ready, in turn, and sends none
// again. A test can say where requests of a kind go, and make them meet.
type balancer struct {
	url string // where callers and browsers find mcpo

	watching sync.WaitGroup
	ctx      context.Context

	mu     sync.Mutex
	places []*place       // one for each replica; nil before its start
	turn   int            // whose it is
	routes map[string]int // places of requests, by method and path
	doors  map[string]*door
	went   map[string][]int // where requests went so far, by method and path
}

// place is a replica as the balancer knows it.
type place struct {
	index     int
	to        *url.URL
	transport *http.Transport
	ready     bool // guarded by balancer.mu
}

// door lets requests in when so many have come, each to a place of its own.
type door struct {
	waiting, want int
	open          chan struct{}
}

const (
	lookPause = 20 * time.Millisecond // between two looks at a replica
	lookTime  = 5 * time.Second       // for one look
)

// balance starts a balancer for so many replicas, none of which is there yet.
func balance(t *testing.T, replicas int) *balancer {
	t.Helper()
	b := &balancer{places: make([]*place, replicas), routes: map[string]int{}, doors: map[string]*door{}, went: map[string][]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	b.ctx = ctx
	s := httptest.NewServer(b)
	b.url = s.URL
	t.Cleanup(func() {
		cancel()
		s.CloseClientConnections()
		s.Close()
		b.watching.Wait()
	})
	return b
}

// put has replica i answer at base from now on, as soon as it is ready.
func (b *balancer) put(t *testing.T, i int, base string) {
	t.Helper()
	to, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{index: i, to: to, transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	b.mu.Lock()
	b.places[i] = p
	b.mu.Unlock()
	b.watching.Go(func() { b.watch(p) })
}

// watch looks at a replica until another takes its place.
func (b *balancer) watch(p *place) {
	defer p.transport.CloseIdleConnections()
	tick := time.NewTicker(lookPause)
	defer tick.Stop()
	for b.isHere(p) {
		b.set(p, p.look(b.ctx))
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			return
		}
	}
}

func (p *place) look(ctx context.Context) (ready bool) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.to.String()+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := p.transport.RoundTrip(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (b *balancer) isHere(p *place) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.places[p.index] == p
}

func (b *balancer) set(p *place, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.ready = ready
}

// serves tells whether requests go to replica i.
func (b *balancer) serves(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.places[i] != nil && b.places[i].ready
}

// lead sends requests of a method and path to replica i from now on.
func (b *balancer) lead(what string, i int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.routes[what] = i
}

// gather makes the next n requests of a method and path wait for each other.
// Then each goes to another replica, all at once.
func (b *balancer) gather(what string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doors[what] = &door{want: n, open: make(chan struct{})}
}

// wentTo are the replicas that requests of a method and path went to.
func (b *balancer) wentTo(what string) []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]int(nil), b.went[what]...)
}

// ServeHTTP implements http.Handler.
func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.Method + " " + r.URL.Path
	p, open := b.choose(what)
	if open != nil {
		select {
		case <-open:
		case <-r.Context().Done():
			return
		}
	}
	if p == nil {
		http.Error(w, "no replica is ready", http.StatusServiceUnavailable)
		return
	}
	proxy := &httputil.ReverseProxy{Transport: p.transport, FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(p.to)
			pr.Out.Host = pr.In.Host
			pr.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			b.set(p, false)
			http.Error(w, "the replica did not answer: "+err.Error(), http.StatusBadGateway)
		}}
	proxy.ServeHTTP(w, r)
}

// choose gives the replica for a request, nil for none, and what to wait for
// before, if anything.
func (b *balancer) choose(what string) (*place, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.next()
	if i, ok := b.routes[what]; ok {
		p = b.places[i]
	}
	var open chan struct{}
	if d := b.doors[what]; d != nil && d.waiting < d.want {
		p, open = b.places[d.waiting], d.open
		if d.waiting++; d.waiting == d.want {
			close(d.open)
		}
	}
	if p != nil {
		b.went[what] = append(b.went[what], p.index)
	}
	return p, open
}

// next gives the ready replica whose turn it is, nil for none. It is called
// with mu held.
func (b *balancer) next() *place {
	for range b.places {
		p := b.places[b.turn%len(b.places)]
		b.turn++
		if p != nil && p.ready {
			return p
		}
	}
	return nil
}
