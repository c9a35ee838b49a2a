//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// load describes what is asked of a proxy: the same POST again and again.
type load struct {
	method      string // POST when empty
	path        string
	headers     []string // lines of further headers, "" for none; the requests take them in turn
	body        []byte
	status      int // of every answer, 200 when 0
	connections int
	duration    time.Duration
	once        bool // in place of the duration: as many requests as there are headers
}

// sample is what one run of a load showed.
type sample struct {
	calls    int
	seconds  float64
	p50, p99 time.Duration
	cpu      time.Duration // of the proxy's process
}

func (s sample) perSecond() float64        { return float64(s.calls) / s.seconds }
func (s sample) cpuPerCall() time.Duration { return s.cpu / time.Duration(max(s.calls, 1)) }

// burst opens n connections, sends the request on all of them at once, and
// gives the time until all are answered.
func (l load) burst(addr string, n int) (time.Duration, error) {
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return 0, fmt.Errorf("calling %s: %w", l.path, err)
		}
		conns = append(conns, c)
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	request, began := l.requests(addr)[0], time.Now()
	for i, c := range conns {
		wg.Go(func() {
			if _, errs[i] = c.Write(request); errs[i] == nil {
				errs[i] = l.discardAnswer(bufio.NewReaderSize(c, 64<<10))
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return 0, fmt.Errorf("calling %s: %w", l.path, err)
	}
	return took, nil
}

// requests are those that are sent in turn.
func (l load) requests(addr string) [][]byte {
	headers := l.headers
	if len(headers) == 0 {
		headers = []string{""}
	}
	list := make([][]byte, 0, len(headers))
	for _, h := range headers {
		list = append(list, fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
			cmp.Or(l.method, http.MethodPost), l.path, addr, len(l.body), h, l.body))
	}
	return list
}

// run keeps all connections busy for the duration. It writes and reads HTTP/1.1
// by hand: a general client would take more of the machine than the proxies.
// An answer with another status fails the run, for it would be measured as a
// fast one.
func (l load) run(addr string) (sample, error) {
	requests := l.requests(addr)
	took := make([][]time.Duration, l.connections)
	errs := make([]error, l.connections)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range l.connections {
		wg.Go(func() {
			took[i], errs[i] = l.repeat(addr, requests, i, func(done int) bool {
				if l.once {
					return i+done*l.connections < len(requests)
				}
				return done == 0 || time.Now().Before(start.Add(l.duration))
			})
		})
	}
	wg.Wait()
	s := sampleOf(took, time.Since(start))
	for _, err := range errs {
		if err != nil {
			return s, fmt.Errorf("calling %s: %w", l.path, err)
		}
	}
	return s, nil
}

// sampleOf sums up what everybody's requests took, of which there is at least one
// unless something went wrong.
func sampleOf(took [][]time.Duration, length time.Duration) sample {
	s := sample{seconds: length.Seconds()}
	all := slices.Concat(took...)
	if len(all) == 0 {
		return s
	}
	slices.Sort(all)
	s.calls, s.p50, s.p99 = len(all), all[len(all)/2], all[len(all)*99/100]
	return s
}

// repeat sends requests over one connection, the first one and then every so
// many as there are connections, while more of them are wanted.
func (l load) repeat(addr string, requests [][]byte, first int, more func(done int) bool) ([]time.Duration, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	took := make([]time.Duration, 0, 1<<16)
	for more(len(took)) {
		request := requests[(first+len(took)*l.connections)%len(requests)]
		start := time.Now()
		if _, err := c.Write(request); err != nil {
			return nil, err
		}
		if err := l.discardAnswer(r); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// discardAnswer reads one HTTP/1.1 response, which must have the status that is
// wanted.
func (l load) discardAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	status := cmp.Or(l.status, http.StatusOK)
	if !bytes.HasPrefix(line, fmt.Appendf(nil, "HTTP/1.1 %d ", status)) {
		return fmt.Errorf("the answer was %q", bytes.TrimSpace(line))
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if status == http.StatusNotModified {
		return nil // it has no body, whatever its headers say (RFC 9110 §15.4.5)
	}
	if length < 0 {
		return discardChunks(r)
	}
	_, err = r.Discard(length)
	return err
}

func discardChunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, size+2); err != nil || size == 0 {
			return err
		}
	}
}
