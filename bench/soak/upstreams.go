//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"mcpo/internal/mcptest"
	"mcpo/internal/oauthtest"
)

// The servers of the configuration.
const (
	notes = "notes" // with logins
	tool  = "tool"  // a child process
	open  = "open"  // over HTTP, without logins
	extra = "extra" // a child process that is there after every second reload
)

// refuseThis stands in a message to which the open server answers 500.
const refuseThis = "please answer 500"

// upstreams are the MCP servers that are reached over HTTP. They live in this
// process, and mcpo in another, so that only mcpo's own memory is looked at.
type upstreams struct {
	login *oauthtest.Server
	http  *http.Server
	open  string // URL
}

func startUpstreams(life time.Duration) (*upstreams, error) {
	login, err := oauthtest.New(oauthtest.Options{AccessTTL: life})
	if err != nil {
		return nil, fmt.Errorf("starting the server with logins: %w", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		login.Close()
		return nil, fmt.Errorf("starting the open server: %w", err)
	}
	o := mcptest.Options{Name: open}
	u := &upstreams{login: login, open: "http://" + ln.Addr().String() + "/mcp",
		http: &http.Server{Handler: refusing(mcptest.Handler(mcptest.NewServer(o), o)), ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = u.http.Serve(ln) }() // it ends with Close
	return u, nil
}

func (u *upstreams) close() {
	_ = u.http.Close()
	u.login.Close()
}

// refusing answers 500 where a message asks for it.
func refusing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if bytes.Contains(body, []byte(refuseThis)) {
			http.Error(w, "as you wish", http.StatusInternalServerError)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}
