package oauth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// CallbackPath is where browsers come back to at the loopback port.
const CallbackPath = "/callback"

// Loopback receives browsers that come back to this machine (RFC 8252 §7.3). A
// port is open while a login waits there, and shared by all that do.
type Loopback struct {
	handler http.Handler
	log     *slog.Logger

	closing   sync.WaitGroup
	answering sync.WaitGroup  // callbacks in progress
	closed    context.Context // ends when Close has waited long enough
	cut       context.CancelFunc
	idle      time.Duration // how long Close waits for all else that browsers leave open
	mu        sync.Mutex
	ending    bool // Close was called
	ports     map[int]*openPort
	users     map[*Authorizer]bool
}

type openPort struct {
	server    *http.Server
	listeners []net.Listener
	waits     int // logins that wait here
}

// NewLoopback makes a Loopback whose callbacks handler answers.
func NewLoopback(handler http.Handler, log *slog.Logger) *Loopback {
	closed, cut := context.WithCancel(context.Background())
	return &Loopback{handler: handler, log: log, closed: closed, cut: cut, idle: time.Second, ports: map[int]*openPort{}, users: map[*Authorizer]bool{}}
}

// PortInUseError says that another program has the callback port.
type PortInUseError struct {
	Port int
	Err  error
}

// Error implements error.
func (e *PortInUseError) Error() string {
	return fmt.Sprintf("port %d is in use: set callback_port to another one, which is free", e.Port)
}

// Unwrap gives the reason.
func (e *PortInUseError) Unwrap() error { return e.Err }

// open opens a port on this machine's own addresses until done is called, which
// may be more than once.
func (l *Loopback) open(port int) (done func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.ports[port]
	if p == nil {
		if p, err = l.listen(port); err != nil {
			return nil, err
		}
		l.ports[port] = p
	}
	p.waits++
	var once sync.Once
	return func() { once.Do(func() { l.release(port) }) }, nil
}

// release closes the port after the last login. The answer that is just being
// written to a browser, most likely by who calls this, is still sent.
func (l *Loopback) release(port int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.ports[port]
	if p == nil {
		return
	}
	if p.waits--; p.waits > 0 {
		return
	}
	delete(l.ports, port)
	for _, listener := range p.listeners { // at once, so that the port is free
		_ = listener.Close()
	}
	l.closing.Go(func() { l.shutdown(p) })
}

// shutdown lets answers that are being written finish.
func (l *Loopback) shutdown(p *openPort) {
	ctx, cancel := context.WithTimeout(l.closed, requestTime)
	defer cancel()
	if p.server.Shutdown(ctx) != nil {
		_ = p.server.Close()
	}
}

// Close closes all ports and returns when nothing of them is left. Callbacks in
// progress have ten seconds, and then all else that browsers leave open has one.
func (l *Loopback) Close() {
	l.mu.Lock()
	l.ending = true
	for port, p := range l.ports {
		delete(l.ports, port)
		l.closing.Go(func() { l.shutdown(p) })
	}
	l.mu.Unlock()
	waitFor(&l.answering, closeTime)
	late := time.AfterFunc(l.idle, l.cut)
	l.closing.Wait()
	late.Stop()
	l.cut()
}

// serveCallback answers a browser that comes back. What it brings is good once.
func (l *Loopback) serveCallback(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	if !l.ending {
		l.answering.Add(1)
		defer l.answering.Done()
	}
	l.mu.Unlock()
	l.handler.ServeHTTP(w, r)
}

func (l *Loopback) listen(port int) (*openPort, error) {
	v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	var impossible *net.AddrError
	if errors.Is(err, fs.ErrPermission) || errors.As(err, &impossible) {
		return nil, fmt.Errorf("opening port %d for browsers that come back: %w; set callback_port to another one", port, err)
	}
	if err != nil {
		return nil, &PortInUseError{port, err}
	}
	listeners := []net.Listener{v4}
	v6, err := net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
	switch {
	case err == nil:
		listeners = append(listeners, v6)
	case errors.Is(err, syscall.EADDRINUSE): // "localhost" may lead there
		v4.Close()
		return nil, &PortInUseError{port, err}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+CallbackPath, l.serveCallback)
	mux.HandleFunc("GET "+elsewherePath+"{login}", l.serveWaiting)
	p := &openPort{listeners: listeners, server: &http.Server{Handler: mux, ReadHeaderTimeout: requestTime, ReadTimeout: requestTime, WriteTimeout: time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(l.log.Handler(), slog.LevelDebug)}}
	p.server.SetKeepAlivesEnabled(false)
	for _, listener := range listeners {
		l.closing.Go(func() { _ = p.server.Serve(listener) })
	}
	return p, nil
}

func portOf(redirectURI string) int {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return 80 // a loopback port is one of http
	}
	return port
}
