package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	maxWaiting = 100             // lines; more are dropped
	postTime   = 2 * time.Second // for one line
	maxAnswer  = 4 << 10         // bytes read of Open WebUI's answers
	// pause is the time between two lines of a message. Open WebUI keeps each of
	// them with its chat.
	pause = time.Second
)

// Poster posts lines. It is safe for concurrent use. A nil Poster posts none.
type Poster struct {
	log       *slog.Logger
	transport *http.Transport
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	work      sync.WaitGroup
	wake      chan struct{} // a line has come; holds one token

	mu      sync.Mutex
	waiting []Line
	posted  map[Message]time.Time // lately
	busy    bool                  // the goroutine is there
	closed  bool

	failing bool // the last line was not taken; of the goroutine alone
}

// NewPoster makes a Poster. log is told when Open WebUI takes no lines.
func NewPoster(log *slog.Logger) *Poster {
	p := &Poster{log: log, posted: map[Message]time.Time{}, wake: make(chan struct{}, 1),
		transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: postTime, IdleConnTimeout: 4 * time.Second}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Close drops what waits, and returns when nothing is being posted any more.
func (p *Poster) Close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.closed, p.waiting = true, nil
	p.mu.Unlock()
	p.cancel()
	p.work.Wait()
	p.transport.CloseIdleConnections()
}

// Say has a line posted soon, and returns at once.
func (p *Poster) Say(l Line) {
	if p == nil {
		return
	}
	l.Text = plain(l.Text)
	p.mu.Lock()
	defer p.mu.Unlock()
	same := func(w Line) bool { return w.Message == l.Message && w.Topic == l.Topic }
	switch at := slices.IndexFunc(p.waiting, same); {
	case p.closed:
		return
	case at >= 0:
		p.waiting[at] = l
	case len(p.waiting) >= maxWaiting:
		return
	default:
		p.waiting = append(p.waiting, l)
	}
	if !p.busy {
		p.busy = true
		p.work.Go(p.run)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run posts lines until none is left.
func (p *Poster) run() {
	for {
		l, wait, some := p.next(time.Now())
		switch {
		case !some:
			return
		case wait <= 0:
			p.tell(p.post(l))
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.wake:
		case <-p.ctx.Done():
		}
		timer.Stop()
	}
}

// next takes the first line whose message has had its pause, or says how long
// to wait for one. some is false when none is left, which ends run.
func (p *Poster) next(now time.Time) (l Line, wait time.Duration, some bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.posted, func(_ Message, at time.Time) bool { return now.Sub(at) >= pause })
	wait = pause
	for i, l := range p.waiting {
		at, lately := p.posted[l.Message]
		if !lately {
			p.posted[l.Message] = now
			p.waiting = slices.Delete(p.waiting, i, i+1)
			return l, 0, true
		}
		wait = min(wait, pause-now.Sub(at))
	}
	p.busy = len(p.waiting) > 0
	return Line{}, wait, p.busy
}

// event is a line as Open WebUI takes it.
type event struct {
	Type string     `json:"type"`
	Data statusData `json:"data"`
}

type statusData struct {
	Description string `json:"description"`
	Done        bool   `json:"done"`
}

// post sends a line. Redirects are not followed: they would take the token
// along.
func (p *Poster) post(l Line) error {
	ctx, cancel := context.WithTimeout(p.ctx, postTime)
	defer cancel()
	body, err := json.Marshal(event{"status", statusData{l.Text, l.Done}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.Message.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+l.Message.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "mcpo")
	resp, err := p.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answered with status %d", resp.StatusCode)
	}
	return nil
}

// tell logs the first failure in a row.
func (p *Poster) tell(err error) {
	if err != nil && !p.failing && p.ctx.Err() == nil {
		p.log.Warn("Open WebUI did not take a line for a chat; see webui_url in the configuration", "error", err)
	}
	p.failing = err != nil
}
