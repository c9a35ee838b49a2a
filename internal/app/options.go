// Package app is one running mcpo.
//
// The walk of a start: the configuration becomes servers, which start at once
// and in parallel; the listener opens; a generation, which is the servers and
// their routes, is published to package httpapi. A reload builds the next
// generation beside the one that serves, carries unchanged servers over with
// their connections, publishes, and then lets what is gone finish its calls. A
// stop refuses new calls, finishes those in flight, and ends all servers.
//
// The package owns the listener and the lives of the servers, and decides
// nothing about a call.
package app

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"mcpo/internal/config"
)

// Options is all that one running mcpo was told on its command line and by its
// environment. It is complete: every default is already filled in, and every
// value was checked as far as that is possible without opening the
// configuration or a socket.
type Options struct {
	// Host and Port are the address to listen on; port 0 takes any free one.
	Host string
	Port int

	// ConfigPath names the configuration file. It is empty for a single
	// server, which Command describes instead; never are both set.
	ConfigPath string
	// Command is what followed "--": a program and its arguments, or one URL
	// when ServerType is a transport over HTTP.
	Command []string
	// ServerType is the transport of the single server, spelled as
	// config.Transport spells it.
	ServerType string
	// Env is laid over mcpo's own environment for every stdio server.
	Env map[string]string
	// Headers are sent to a single server that is reached over HTTP.
	Headers map[string]string

	// APIKey opens the tools, and with StrictAuth everything else; empty
	// means that no key is asked for.
	APIKey     config.Secret
	StrictAuth bool
	// CORSAllowOrigins lists the origins whose pages may call; "*" is all.
	CORSAllowOrigins []string

	// Name, Description and Version are those of the root document; empty
	// stands for mcpo's defaults.
	Name, Description, Version string

	// CertFile and KeyFile are PEM files, both set or both empty. They may
	// name the same file.
	CertFile, KeyFile string

	// RootPath is the path under which a reverse proxy shows mcpo, and
	// PathPrefix is put before the path of every server. Both are as written.
	RootPath, PathPrefix string
	// PublicURL is where callers reach mcpo, empty when not told.
	PublicURL string

	// HotReload watches ConfigPath.
	HotReload bool
	// Reload asks for one reload of ConfigPath with every value received;
	// nil never asks.
	Reload <-chan struct{}

	// CallTimeout bounds one tool call, ConnectTimeout the opening of one
	// connection (0 is the default of the package upstream), and
	// ShutdownTimeout the wait for calls in flight once mcpo is told to stop.
	CallTimeout, ConnectTimeout, ShutdownTimeout time.Duration
	// DrainDelay is how long mcpo serves on when told to stop, while /readyz says
	// that it is about to end.
	DrainDelay time.Duration
	// MaxBody is the largest request body in bytes.
	MaxBody int64

	// MaxCallers is how many callers may have a connection to one server at once
	// (0 is the default of the package upstream).
	MaxCallers int
	// AuditLog is the file that logins and calls are written to; empty for none.
	AuditLog string

	// MetricsAddr is where metrics are served, HOST:PORT; empty for nowhere.
	// Profiles has profiles of mcpo itself served there too.
	MetricsAddr string
	Profiles    bool

	// Terminal is where the person who started mcpo is asked to log in.
	Terminal Terminal

	// Log receives everything that is logged.
	Log *slog.Logger
	// Build is the version of mcpo itself, as it introduces itself to servers.
	Build string
	// Ready, when set, is called once with the address that is listened on.
	Ready func(addr string)
}

// ExitError asks for a certain exit status of the process. Err is what is to be
// told; it is nil when everything was said already.
type ExitError struct {
	Code int
	Err  error
}

// Error is the text of Err, or names the status when there is none.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap gives Err.
func (e *ExitError) Unwrap() error { return e.Err }

// OneLine is text for a terminal, with a space in place of every control
// character: a server's own words may be in it.
func OneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
}
