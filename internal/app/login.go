package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

	"mcpo/internal/config"
	"mcpo/internal/httpapi"
	"mcpo/internal/oauth"
	"mcpo/internal/upstream"
)

// Login logs the person at the terminal in at the server of the configuration
// with this name, anew if there is a login already, and writes what came of it.
// It works beside a running mcpo that keeps its logins in the same folder. The
// error is an *ExitError.
func Login(ctx context.Context, o Options, name string, w io.Writer) error {
	cfg, s, err := loginServer(ctx, o, "login", name)
	if err != nil {
		return err
	}
	at := hereURL(o, cfg)
	if s.OAuth.StorageType == "memory" {
		return failf(`%s keeps its logins in the memory of the running mcpo ("storage_type": "memory"); open %s instead`, name, loginPage(at, s))
	}
	handler, _ := httpapi.New(httpapi.Options{Log: slog.New(slog.DiscardHandler)})
	l := newLogins(o, at, o.PublicURL != "" || cfg.PublicURL != "", http.HandlerFunc(handler.ServeCallback))
	written, err := l.writtenDown()
	if err != nil {
		return err
	}
	defer written.Close()
	defer l.stored.close()
	kept, err := l.authorizer(s, cfg.Storage, nil, nil)
	if err != nil {
		return &ExitError{Code: 1, Err: err}
	}
	defer kept.Close()
	defer l.loopback.Close() // first, so that a browser's idle connection holds up nothing
	// Published for the sake of its callback alone, and never started.
	unstarted := upstream.New(s, (&app{opts: o}).upstreamOptions(), &upstream.Access{RoundTripper: kept.RoundTripper, Required: loginRequired})
	handler.Publish(httpapi.NewGeneration([]httpapi.Served{{Server: unstarted, Logins: kept}}, false, nil))
	if err := newPrompt(o.Terminal).loginNow(ctx, kept, s, at); err != nil {
		return failf("%s", OneLine(notLoggedIn(err, s)))
	}
	_, err = fmt.Fprintf(w, "Connected to %s.\n", s.Name)
	return err
}

// loginNow asks for a login until it has its outcome: in a browser that comes
// back here or to the public URL, or by an address that is pasted.
func (p *prompt) loginNow(ctx context.Context, logins *oauth.Authorizer, s config.Server, publicURL string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	who := firstCaller(s)
	status, err := logins.Status(ctx, who)
	if err != nil {
		return err
	}
	if status.Authenticated {
		fmt.Fprintf(p.terminal.Out, "%s is connected already. A new login replaces the one that is there.\n", s.Name)
	}
	begun, err := logins.Begin(ctx, who, "")
	if err != nil {
		return err
	}
	if strings.HasPrefix(begun.RedirectURI, publicURL+"/") {
		logins.Follow(ctx, who, begun)
	}
	p.show(begun, s.Name)
	if !begun.Pasted {
		fmt.Fprint(p.terminal.Out, "If the browser ends at a page that does not load, copy its whole address and paste it here.\n")
	}
	return p.await(ctx, logins, begun)
}

// show tells where to log in, and opens the page where nobody has to copy
// anything afterwards.
func (p *prompt) show(begun *oauth.Begun, server string) {
	fmt.Fprintf(p.terminal.Out, "\nOpen this page to connect %s:\n%s\n\n", server, begun.URL)
	if begun.Pasted {
		fmt.Fprint(p.terminal.Out, pasteHelp)
		return
	}
	if p.terminal.Browse == nil {
		return
	}
	if err := p.terminal.Browse(begun.URL); err != nil {
		fmt.Fprintf(p.terminal.Out, "No browser could be opened (%v). Open the page above yourself.\n", err)
	}
}

// await waits for the outcome of a login, and takes addresses that are pasted
// meanwhile.
func (p *prompt) await(ctx context.Context, logins *oauth.Authorizer, begun *oauth.Begun) error {
	var lines <-chan string
	if p.terminal.In != nil {
		lines = p.typed()
	}
	for {
		if lines == nil && begun.Pasted {
			return errNothingPasted
		}
		select {
		case err := <-begun.Outcome:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case text, open := <-lines:
			if !open {
				lines = nil
				continue
			}
			if strings.TrimSpace(text) == "" {
				continue
			}
			_, err := logins.FinishPasted(ctx, text, begun.State, "")
			if again := pasteAgain(err); again != "" {
				fmt.Fprintln(p.terminal.Out, again)
				continue
			}
			return err
		}
	}
}

var errNothingPasted = errors.New("the input ended before a callback URL was pasted")

// notLoggedIn says for a person why a login came to nothing.
func notLoggedIn(err error, s config.Server) string {
	var denied *oauth.DeniedError
	var discovery *oauth.DiscoveryError
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Sprintf("the login at %s was given up", s.Name)
	case errors.Is(err, oauth.ErrUnknownLogin):
		return fmt.Sprintf("nobody signed in at %s within %d minutes", s.Name, int(oauth.LoginTime.Minutes()))
	case errors.As(err, &denied) && denied.Code == "access_denied":
		return fmt.Sprintf("you refused, so %s is not connected", s.Name)
	case errors.As(err, &discovery):
		return fmt.Sprintf("%s is not connected: %v; mcpo doctor finds out more", s.Name, err)
	}
	return fmt.Sprintf("%s is not connected: %v", s.Name, err)
}

// Logout removes the login of the person at this machine at the server with this
// name, or the one that all share, revokes its tokens, and writes what came of
// it. The error is an *ExitError when tokens may still be valid because revoking
// them failed.
func Logout(ctx context.Context, o Options, name string, w io.Writer) error {
	cfg, s, err := loginServer(ctx, o, "logout", name)
	if err != nil {
		return err
	}
	if s.OAuth.StorageType == "memory" {
		return failf(`%s keeps its logins in the memory of the running mcpo ("storage_type": "memory"); disconnect at %s/connections instead`, name, hereURL(o, cfg))
	}
	l := newLogins(o, "", false, nil)
	written, err := l.writtenDown()
	if err != nil {
		return err
	}
	defer written.Close()
	defer l.stored.close()
	kept, err := l.authorizer(s, cfg.Storage, nil, nil)
	if err != nil {
		return &ExitError{Code: 1, Err: err}
	}
	defer kept.Close()
	had, err := kept.Logout(ctx, firstCaller(s))
	said, err := loggedOut(name, had, err)
	if err != nil {
		return err
	}
	if !had {
		said += othersAt(ctx, l.stored.current(), name, hereURL(o, cfg))
	}
	_, err = io.WriteString(w, said)
	return err
}

// loggedOut says for a person what came of a logout.
func loggedOut(name string, had bool, err error) (said string, failed error) {
	var alive *oauth.NotRevokedError
	switch {
	case err == nil && had:
		return fmt.Sprintf("Logged out of %s. Its tokens were revoked.\n", name), nil
	case err == nil:
		return fmt.Sprintf("Not logged in at %s.\n", name), nil
	case errors.As(err, &alive) && alive.Err == nil:
		return fmt.Sprintf("Logged out of %s. Its tokens were removed here, and may still be valid there: %s.\n", name, OneLine(alive.Error())), nil
	case errors.As(err, &alive):
		return "", failf("logged out of %s here, but %s", name, OneLine(err.Error()))
	}
	return "", failf("logging out of %s: %s", name, OneLine(err.Error()))
}

// othersAt names those who are logged in at a server, where a person may have
// meant one of them.
func othersAt(ctx context.Context, kept oauth.Store, name, publicURL string) string {
	all, err := oauth.List(ctx, kept)
	if err != nil {
		return "" // nothing was asked of it
	}
	var others []string
	for _, h := range all {
		if h.Server == name {
			others = append(others, OneLine(h.Caller.String()))
		}
	}
	if len(others) == 0 {
		return ""
	}
	return fmt.Sprintf("Logged in there: %s. Each of them disconnects at %s/connections, or you do it for one with --user ID.\n", strings.Join(others, ", "), publicURL)
}

// loginServer finds the server that a command about logins names.
func loginServer(ctx context.Context, o Options, command, name string) (*config.Config, config.Server, error) {
	cfg, err := configuration(o)
	if err != nil {
		return nil, config.Server{}, err
	}
	s, err := serverNamed(cfg, o.ConfigPath, command, name)
	switch {
	case err != nil:
	case s.Transport == config.Stdio:
		err = failf("%s is a program that mcpo starts; only servers with a url have logins", name)
	case s.OAuth == nil:
		err = failf("%s has no oauth block; write into its configuration: %s", name, blockFor(ctx, s, o))
	}
	return cfg, s, err
}

// serverNamed finds a server by its name, or says which there are.
func serverNamed(cfg *config.Config, file, command, name string) (config.Server, error) {
	var all, with []string
	for _, s := range cfg.Servers {
		if s.Name == name {
			return s, nil
		}
		all = append(all, s.Name)
		if s.OAuth != nil {
			with = append(with, s.Name)
		}
	}
	there := "no server there has logins"
	if len(with) > 0 {
		there = "servers with logins: " + strings.Join(with, ", ")
	}
	if name == "" {
		return config.Server{}, usagef("which server? %s; write: mcpo %s SERVER --config %s", there, command, file)
	}
	if near := nearest(name, all); near != "" {
		return config.Server{}, usagef("no server %q; write: mcpo %s %s --config %s (%s)", name, command, near, file, there)
	}
	return config.Server{}, usagef("no server %q in %s (%s)", name, file, there)
}

// nearest is the name that most likely was meant by word, "" when none is near.
func nearest(word string, names []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, n := range names {
		if d := config.EditDistance(strings.ToLower(word), strings.ToLower(n)); len(word) <= 256 && d < distance {
			best, distance = n, d
		}
	}
	return best
}

// blockFor is the oauth block that a server needs, as far as that can be found
// out.
func blockFor(ctx context.Context, s config.Server, o Options) string {
	o.Log = slog.New(slog.DiscardHandler)
	block, err := suggestBlock(ctx, s, o)
	if err != nil {
		return `"oauth": {"server_url": "auto"}`
	}
	return block
}

// hereURL is where people reach the mcpo that is started with these options.
func hereURL(o Options, cfg *config.Config) string {
	return publicURL(o, cfg, &net.TCPAddr{Port: o.Port})
}

// loginPage is where people log in at a running mcpo.
func loginPage(publicURL string, s config.Server) string {
	return publicURL + "/" + url.PathEscape(s.Name) + "/login"
}

// usagef is a command that names what is not there, failf one that cannot be
// followed.
func usagef(format string, args ...any) error {
	return &ExitError{Code: 2, Err: fmt.Errorf(format, args...)}
}

func failf(format string, args ...any) error {
	return &ExitError{Code: 1, Err: fmt.Errorf(format, args...)}
}
