package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"mcpo/internal/config"
	"mcpo/internal/oauth"
	"mcpo/internal/store"
)

// Doctor finds out what a login needs at a server, which target names by its URL
// or by its name in the configuration, and writes what is there, what is not,
// and what to write into the configuration. It logs nobody in and registers
// nothing. The error is an *ExitError with status 1 when no login can work.
func Doctor(ctx context.Context, o Options, target string, w io.Writer) error {
	o.Log = slog.New(slog.DiscardHandler) // what is wrong is in the report
	cfg, s, err := doctorServer(o, target)
	if err != nil {
		return err
	}
	l := newLogins(o, hereURL(o, cfg), o.PublicURL != "" || cfg.PublicURL != "", http.NotFoundHandler())
	defer l.loopback.Close()
	settings := oauth.Options{Server: s, Store: store.NewMemory(), PublicURL: l.publicURL, WebCallback: l.web, Log: o.Log}
	configured := s.OAuth != nil
	if configured {
		settings.Loopback = l.loopback // looks whether the configured port is free
	} else {
		settings.Server.OAuth = newBlock()
	}
	kept, err := oauth.New(settings)
	if err != nil {
		return usagef("%s has no URL that can be asked; write: mcpo doctor https://HOST/PATH", target)
	}
	defer kept.Close()
	d := kept.Diagnose(ctx, firstCaller(settings.Server))
	if ctx.Err() != nil {
		return failf("looking at %s was given up", target)
	}
	report := report{Diagnosis: d, server: s, configured: configured, known: serviceOf(s.URL, d)}
	if _, err := w.Write(report.text()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if !d.Works() {
		return &ExitError{Code: 1}
	}
	return nil
}

// newBlock is the oauth block that a server without one is looked at with.
func newBlock() *config.OAuth {
	return &config.OAuth{ServerURL: "auto", CallbackPort: 3030, UseLoopback: true, Resource: "auto"}
}

// doctorServer is the server that target means.
func doctorServer(o Options, target string) (*config.Config, config.Server, error) {
	cfg, err := configuration(o)
	if err != nil {
		return nil, config.Server{}, err
	}
	if o.ConfigPath == "" {
		return cfg, cfg.Servers[0], nil
	}
	s, err := serverNamed(cfg, o.ConfigPath, "doctor", target)
	if err == nil && s.Transport == config.Stdio {
		err = failf("%s is a program that mcpo starts; only servers with a url have logins", target)
	}
	return cfg, s, err
}

// report is a diagnosis as it is written.
type report struct {
	*oauth.Diagnosis
	server     config.Server
	configured bool // with an oauth block
	known      *service
}

func (r report) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n", OneLine(r.server.URL))
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-8s %-23s %s\n", f.State, f.Topic, OneLine(f.Text))
		if f.Fix != "" {
			fmt.Fprintf(&b, "%-8s %-23s -> %s\n", "", "", OneLine(f.Fix))
		}
	}
	if r.known != nil {
		fmt.Fprintf(&b, "\nKnown of %s as of this version of mcpo: %s\n", r.known.name, r.known.hint)
	}
	r.conclude(&b)
	return b.Bytes()
}

// conclude says whether a login can work, and what to write.
func (r report) conclude(b *bytes.Buffer) {
	switch {
	case r.Open:
		fmt.Fprintln(b, "\nNo login is needed.")
		return
	case r.Works():
		fmt.Fprintln(b, "\nA login can work.")
	case r.Metadata == nil:
		fmt.Fprintln(b, "\nNo login can work like this; see what is wrong above.")
		return
	default:
		fmt.Fprintln(b, "\nNo login can work yet; see what is wrong or missing above.")
	}
	if !r.configured {
		fmt.Fprintf(b, "The block to write into the server's configuration:\n\n%s\n", r.block())
	}
}

// block is the oauth block that the server needs, as lines of a configuration.
func (r report) block() []byte {
	block := oauthBlock{ServerURL: cmp.Or(r.Metadata.Issuer, "auto")}
	if r.ByHand {
		block.ClientMetadata = &clientBlock{ClientID: "the client id that you are given", ClientSecret: "and the secret, if there is one"}
	}
	if r.known != nil && r.known.apply != nil {
		r.known.apply(&block)
	}
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	lines.SetIndent("", "  ")
	if err := lines.Encode(map[string]oauthBlock{"oauth": block}); err != nil {
		return nil // strings can always be written
	}
	// Without the braces around it, which the server's configuration has.
	inner := strings.TrimSuffix(strings.TrimPrefix(b.String(), "{\n"), "}\n")
	return []byte(inner)
}

// oauthBlock is what may have to be written of an oauth block.
type oauthBlock struct {
	ServerURL       string            `json:"server_url"`
	ClientMetadata  *clientBlock      `json:"client_metadata,omitempty"`
	Scopes          []string          `json:"scopes,omitempty"`
	Resource        string            `json:"resource,omitempty"`
	AuthorizeParams map[string]string `json:"authorize_params,omitempty"`
}

type clientBlock struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// hostOf is the host of a URL in lower case, "" for none.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
}
