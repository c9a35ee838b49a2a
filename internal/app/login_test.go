package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
)

// person is a terminal: what is written there can be waited for, and pages are
// opened by a browser that a test plays.
type person struct {
	t    *testing.T
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
	in   *io.PipeWriter
	read *io.PipeReader
}

func newPerson(t *testing.T) *person {
	p := &person{t: t, more: make(chan struct{}, 1)}
	p.read, p.in = io.Pipe()
	t.Cleanup(func() { p.in.Close() })
	return p
}

// Write implements io.Writer.
func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
	return p.text.Write(b)
}

// reads waits until the terminal shows a text, and gives all that it shows.
func (p *person) reads(want string) string {
	p.t.Helper()
	late := time.After(hurry)
	for {
		p.mu.Lock()
		shown := p.text.String()
		p.mu.Unlock()
		if strings.Contains(shown, want) {
			return shown
		}
		select {
		case <-p.more:
		case <-late:
			p.t.Fatalf("the terminal never shows %q; it shows:\n%s", want, shown)
		}
	}
}

// link is the address to log in at.
func (p *person) link() string {
	p.t.Helper()
	_, rest, _ := strings.Cut(p.reads("\n\n"), "Open this page to connect ")
	_, rest, _ = strings.Cut(rest, "\n")
	link, _, _ := strings.Cut(rest, "\n")
	return link
}

// types enters a line.
func (p *person) types(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Errorf("typing: %v", err)
	}
}

// browser opens pages as alice, and signs in there.
func (p *person) browser(o oauthtest.BrowseOptions) (func(url string) error, func() oauthtest.Page) {
	done := make(chan oauthtest.Page, 1)
	open := func(url string) error {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), hurry)
			defer cancel()
			page, err := oauthtest.Browse(ctx, url, o)
			if err != nil {
				p.t.Errorf("Browse: %v", err)
			}
			done <- page
		}()
		return nil
	}
	return open, func() oauthtest.Page { return <-done }
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// protectedBy writes a configuration with the server "lab" at a URL, whose oauth
// block has these members besides, and gives the options that name it.
func protectedBy(t *testing.T, url, members string) Options {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "mcpo.json")
	if !strings.Contains(members, "server_url") {
		members += `"server_url": "auto",`
	}
	text := fmt.Sprintf(`{"storage": {"path": %q}, "mcpServers": {
		"lab": {"type": "streamable-http", "url": %q, "oauth": {%s "callback_port": %d}},
		"plain": {"type": "streamable-http", "url": %q},
		"program": {"command": "true"}}}`, filepath.Join(dir, "store"), url, members, freePort(t), url)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{ConfigPath: path, Port: 8000, ServerType: "stdio", ShutdownTimeout: hurry, Log: slog.New(slog.DiscardHandler)}
}

// loggedIn logs in in a browser, and gives what is said then.
func loggedIn(t *testing.T, o Options, browse oauthtest.BrowseOptions) (said string, page oauthtest.Page, err error) {
	t.Helper()
	p := newPerson(t)
	open, arrived := p.browser(browse)
	o.Terminal = Terminal{Out: p, Browse: open}
	var b bytes.Buffer
	err = Login(t.Context(), o, "lab", &b)
	return b.String(), arrived(), err
}

func TestLoginInTheBrowser(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	o := protectedBy(t, s.MCP, "")
	for i := range 2 { // the second time a grant is there, and is replaced
		said, page, err := loggedIn(t, o, oauthtest.BrowseOptions{})
		if err != nil || said != "Connected to lab.\n" {
			t.Fatalf("Login says %q, %v", said, err)
		}
		if !strings.Contains(page.Body, "Connected") {
			t.Errorf("the browser ends with %d %s", page.Status, page.Body)
		}
		if n := s.Requests("token"); n < i+1 {
			t.Errorf("%d codes were exchanged", n)
		}
	}
	if n := s.Requests("register"); n != 1 {
		t.Errorf("mcpo registered %d times", n)
	}
	table := tokens(t, o)
	for _, want := range []string{"SERVER", "lab", "local", "valid", s.Issuer} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no %q:\n%s", want, table)
		}
	}
	for _, secret := range s.Tokens() {
		if strings.Contains(table, secret) {
			t.Errorf("the table has a token:\n%s", table)
		}
	}
}

func TestLoginIsRefusedByThePerson(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	said, _, err := loggedIn(t, protectedBy(t, s.MCP, ""), oauthtest.BrowseOptions{Deny: true})
	exits(t, err, 1, "you refused, so lab is not connected")
	if said != "" {
		t.Errorf("Login says %q", said)
	}
}

// exits checks what a command ended with.
func exits(t *testing.T, err error, code int, say string) {
	t.Helper()
	exit, ok := errors.AsType[*ExitError](err)
	if !ok || exit.Code != code || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v is not exit %d with %q", err, code, say)
	}
}

func tokens(t *testing.T, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Tokens(t.Context(), o, "", &b); err != nil {
		t.Fatalf("Tokens = %v", err)
	}
	return b.String()
}

func TestLoginByPasting(t *testing.T) {
	for name, members := range map[string]string{"without loopback": `"use_loopback": false,`, "beside the loopback port": ""} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{})
			o := protectedBy(t, s.MCP, members)
			p := newPerson(t)
			o.Terminal = Terminal{Out: p, In: p.read}
			done := make(chan error, 1)
			var said bytes.Buffer
			go func() { done <- Login(t.Context(), o, "lab", &said) }()
			page, err := oauthtest.Browse(t.Context(), p.link(), oauthtest.BrowseOptions{StopBefore: true})
			if err != nil {
				t.Fatal(err)
			}
			p.types("")
			p.types("http://localhost:1/callback")
			p.reads("No authorization code found")
			p.types(page.URL[:len(page.URL)-len("x")] + "&state=another")
			p.reads("That address belongs to another login")
			p.types("  " + page.URL + "  ")
			if err := <-done; err != nil || said.String() != "Connected to lab.\n" {
				t.Errorf("Login says %q, %v", said.String(), err)
			}
		})
	}
}

func TestLoginWithoutAnybodyToPaste(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	o := protectedBy(t, s.MCP, `"use_loopback": false,`)
	p := newPerson(t)
	p.in.Close()
	for _, in := range []io.Reader{p.read, nil} {
		o.Terminal = Terminal{Out: p, In: in}
		exits(t, Login(t.Context(), o, "lab", io.Discard), 1, "the input ended before a callback URL was pasted")
	}
}

// TestLoginIsGivenUp holds that nothing keeps a person who presses Ctrl-C.
func TestLoginIsGivenUp(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	o := protectedBy(t, s.MCP, "")
	p := newPerson(t)
	o.Terminal = Terminal{Out: p, In: p.read}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Login(ctx, o, "lab", io.Discard) }()
	p.link()
	cancel()
	exits(t, <-done, 1, "the login at lab was given up")
}

func TestLoginFindsThePortTaken(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	o := protectedBy(t, s.MCP, "")
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", portOf(t, o)))
	if err != nil {
		t.Fatal(err)
	}
	stranger := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: hurry}
	defer stranger.Close()
	go func() { _ = stranger.Serve(l) }()
	o.Terminal = Terminal{Out: io.Discard}
	exits(t, Login(t.Context(), o, "lab", io.Discard), 1, "set callback_port")
	text, status := doctorSays(t, o, "lab")
	if status != 1 || !strings.Contains(text, `write another "callback_port"`) {
		t.Errorf("doctor exits with %d and says:\n%s", status, text)
	}
}

// portOf is the callback port of a configuration.
func portOf(t *testing.T, o Options) int {
	t.Helper()
	raw, err := os.ReadFile(o.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Servers map[string]struct {
			OAuth struct {
				Port int `json:"callback_port"`
			} `json:"oauth"`
		} `json:"mcpServers"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c.Servers["lab"].OAuth.Port
}

// TestLoginBesideARunningMcpo has another mcpo wait at the callback port, where
// the browser then ends; both share the folder.
func TestLoginBesideARunningMcpo(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	o := protectedBy(t, s.MCP, "")
	running, terminal := o, newPerson(t)
	opened := make(chan string, 4)
	running.Port, running.Terminal = 0, Terminal{Out: terminal, Browse: func(url string) error { opened <- url; return nil }}
	m := run(t, running)
	<-opened // it waits for its own login now
	said, page, err := loggedIn(t, o, oauthtest.BrowseOptions{})
	if err != nil || said != "Connected to lab.\n" || !strings.Contains(page.Body, "Connected") {
		t.Fatalf("Login says %q, %v; the page says %s", said, err, page.Body)
	}
	m.await(200, "POST", "/lab/whoami", "{}")
}

// TestLoginAtThePublicURL has the browser come back to the running mcpo.
func TestLoginAtThePublicURL(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	o := protectedBy(t, s.MCP, "")
	port := freePort(t)
	o.PublicURL = fmt.Sprintf("http://localhost:%d", port)
	running := o
	running.Port, running.Terminal = port, Terminal{Out: io.Discard}
	run(t, running)
	said, page, err := loggedIn(t, o, oauthtest.BrowseOptions{})
	if err != nil || said != "Connected to lab.\n" || !strings.Contains(page.Body, "Connected") {
		t.Errorf("Login says %q, %v; the page says %s", said, err, page.Body)
	}
	if !strings.HasPrefix(page.URL, o.PublicURL+"/oauth/lab/callback") {
		t.Errorf("the browser ends at %s", page.URL)
	}
}

// TestLoginAtThePublicURLWithoutMcpo has nobody there to take what comes back.
func TestLoginAtThePublicURLWithoutMcpo(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	o := protectedBy(t, s.MCP, "")
	o.PublicURL = fmt.Sprintf("http://localhost:%d", freePort(t))
	p := newPerson(t)
	open, arrived := p.browser(oauthtest.BrowseOptions{})
	o.Terminal = Terminal{Out: p, In: p.read, Browse: open}
	done := make(chan error, 1)
	go func() { done <- Login(t.Context(), o, "lab", io.Discard) }()
	p.reads("paste it here")
	p.types(arrived().URL)
	if err := <-done; err != nil {
		t.Errorf("Login = %v", err)
	}
}

func TestLoginThatCannotBegin(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{PKCEMethods: []string{}})
	o := protectedBy(t, s.MCP, "")
	memory := protectedBy(t, s.MCP, `"storage_type": "memory",`)
	for _, c := range []struct {
		o    Options
		name string
		code int
		say  string
	}{
		{o, "lab", 1, "mcpo doctor finds out more"},
		{o, "lob", 2, "no server \"lob\"; write: mcpo login lab --config " + o.ConfigPath},
		{o, "nothing-like-it", 2, "servers with logins: lab"},
		{o, "", 2, "which server? servers with logins: lab; write: mcpo login SERVER --config " + o.ConfigPath},
		{o, "program", 1, "only servers with a url have logins"},
		{o, "plain", 1, `plain has no oauth block; write into its configuration: "oauth": {"server_url": "auto"}`},
		{memory, "lab", 1, "open http://localhost:8000/lab/login instead"},
	} {
		c.o.Terminal = Terminal{Out: io.Discard}
		exits(t, Login(t.Context(), c.o, c.name, io.Discard), c.code, c.say)
	}
	exits(t, Logout(t.Context(), memory, "lab", io.Discard), 1, "disconnect at http://localhost:8000/connections instead")
	exits(t, Logout(t.Context(), o, "lob", io.Discard), 2, "write: mcpo logout lab")
}

func TestLoginNamesTheBlockToAdd(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{SeparateOrigin: true})
	o := protectedBy(t, s.MCP, "")
	o.Terminal = Terminal{Out: io.Discard}
	exits(t, Login(t.Context(), o, "plain", io.Discard), 1, fmt.Sprintf(`"oauth": {"server_url": %q}`, s.Issuer))
}
