package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/httpapi"
	"mcpo/internal/oauth"
	"mcpo/internal/store"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

// Terminal is the person who started mcpo, as far as there is one.
type Terminal struct {
	// In and Out are what the person types and reads; In is nil where nobody
	// types.
	In  io.Reader
	Out io.Writer
	// Browse opens a page; nil where no browser is to be opened.
	Browse func(url string) error
}

// prompt lets one at a time ask at the terminal, and reads for it beside all
// else: what waits for a person never holds up a stop.
type prompt struct {
	terminal Terminal
	turn     chan struct{} // holds one token
	once     sync.Once
	lines    chan string // closed at the end of the input
}

func newPrompt(t Terminal) *prompt {
	p := &prompt{terminal: t, turn: make(chan struct{}, 1), lines: make(chan string)}
	p.turn <- struct{}{}
	return p
}

// typed gives what is typed, line by line, and is closed at the end of the input.
func (p *prompt) typed() <-chan string {
	p.once.Do(func() {
		go func() { // reading cannot be interrupted, and ends with the process
			defer close(p.lines)
			in := bufio.NewScanner(p.terminal.In)
			in.Buffer(nil, 64<<10)
			for in.Scan() {
				p.lines <- in.Text()
			}
		}()
	})
	return p.lines
}

// firstLogin asks the person who started mcpo to log in at a server that is used
// by one caller, if that is needed. It gives up with ctx.
func (a *app) firstLogin(ctx context.Context, s httpapi.Served, at config.Storage) {
	cfg := s.Server.Config()
	takeOver(ctx, s.Logins, cfg, at, a.opts)
	who := firstCaller(cfg)
	if _, err := s.Server.Ready(ctx, who); !loginRequired(err) {
		return
	}
	alone := a.opts.Terminal.In == nil && a.opts.Terminal.Browse == nil
	if cfg.OAuth.MultiUser && (alone || s.Identify.Configured()) {
		return // the people whose logins these are come by themselves
	}
	err := a.prompt.login(ctx, s.Logins, who, cfg.Name)
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) { // given up with the server
		a.opts.Log.Error("the login was not made", "server", cfg.Name, "error", err,
			"hint", "open "+loginPage(a.logins.publicURL, cfg)+", or run: mcpo login "+cfg.Name)
	}
}

// login asks for one login: with a browser that comes back by itself, or by an
// address that is pasted. It returns when nothing is left to do here.
func (p *prompt) login(ctx context.Context, logins *oauth.Authorizer, who caller.ID, server string) error {
	if logins.Pasted(who) {
		return p.paste(ctx, logins, who, server)
	}
	begun, err := logins.Begin(ctx, who, "")
	if err != nil {
		return err
	}
	p.show(begun, server)
	return nil
}

// paste has the person copy the address that the browser ends at.
func (p *prompt) paste(ctx context.Context, logins *oauth.Authorizer, who caller.ID, server string) error {
	if p.terminal.In == nil {
		return errors.New("there is no terminal to paste the callback URL into")
	}
	select {
	case <-p.turn:
		defer func() { p.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	begun, err := logins.Begin(ctx, who, "")
	if err != nil {
		return err
	}
	defer begun.Done()
	p.show(begun, server)
	if err := p.await(ctx, logins, begun); err != nil {
		return err
	}
	fmt.Fprintf(p.terminal.Out, "Connected to %s.\n", server)
	return nil
}

const pasteHelp = "After signing in, the browser ends at a page that may not load. Copy its whole address, and paste it here:\n"

// pasteAgain says what to paste instead of what was pasted, "" where that does
// not help.
func pasteAgain(err error) string {
	switch {
	case errors.Is(err, oauth.ErrNoCode):
		return "No authorization code found. Copy the complete callback URL, including everything behind the question mark, and paste it again:"
	case errors.Is(err, oauth.ErrUnknownLogin):
		return "That address belongs to another login (its state differs). Paste the one that the page above led to:"
	}
	return ""
}

// suggestBlock is the oauth block that a server needs.
func suggestBlock(ctx context.Context, s config.Server, o Options) (string, error) {
	s.OAuth = &config.OAuth{ServerURL: "auto", Resource: "auto"}
	probe, err := oauth.New(oauth.Options{Server: s, Store: store.NewMemory(), Log: o.Log})
	if err != nil {
		return "", err
	}
	defer probe.Close()
	d, err := probe.Discover(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`"oauth": {"server_url": %q}`, d.Metadata.Issuer), nil
}

// wantsLogin reports whether a server refused mcpo for want of a token.
func wantsLogin(err error) bool {
	var status *wire.StatusError
	return errors.As(err, &status) && status.Code == http.StatusUnauthorized
}

// hintTime bounds how long it may take to find out what a server wants that has
// no oauth block and refuses mcpo.
const hintTime = 30 * time.Second

// hintLogin tells the operator what to write for a server that wants a login and
// has no oauth block.
func (a *app) hintLogin(ctx context.Context, s *upstream.Server) {
	select {
	case <-s.Tried():
	case <-ctx.Done():
		return
	}
	if !wantsLogin(s.Status(shared).Err) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, hintTime)
	defer cancel()
	block, err := suggestBlock(ctx, s.Config(), a.opts)
	if err != nil {
		a.opts.Log.Warn("the server wants a login that mcpo cannot give", "server", s.Name(), "error", err)
		return
	}
	a.opts.Log.Warn("the server wants a login; add this to its configuration", "server", s.Name(), "oauth", block)
}
