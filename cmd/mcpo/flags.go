package main

import (
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mcpo/internal/config"
)

// settings holds the value of every flag.
type settings struct {
	host        string
	port        int
	certFile    string
	keyFile     string
	rootPath    string
	pathPrefix  string
	publicURL   string
	corsOrigins []string

	apiKey     string
	strictAuth bool

	configPath  string
	hotReload   bool
	serverType  config.Transport
	headers     map[string]string
	env         map[string]string
	envPath     string
	name        string
	description string
	version     string

	callTimeout     time.Duration
	maxBody         int64
	shutdownTimeout time.Duration
	drainDelay      time.Duration
	maxCallers      int

	user string // of the commands logout and tokens

	auditLog          string
	metricsAddr       string
	pprof             bool
	logLevel          slog.Level
	logFormat         string
	installCompletion bool
	showCompletion    bool

	groups []flagGroup
}

// flagGroup is a set of flags that are explained together.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// addTo gives cmd all flags. All commands share them, so that a flag has one
// value wherever it stood.
func (s *settings) addTo(cmd *cobra.Command) {
	if s.groups == nil {
		s.groups = []flagGroup{
			{"Servers", s.serverFlags()},
			{"Listening", s.listenFlags()},
			{"Access", s.accessFlags()},
			{"Limits", s.limitFlags()},
			{"Other", s.otherFlags()},
		}
	}
	flags := cmd.Flags()
	flags.SetNormalizeFunc(oneName)
	for _, g := range s.groups {
		flags.AddFlagSet(g.flags)
	}
	completeValues(cmd)
}

// oneName maps the second spelling of a flag to the first.
func oneName(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if name == "server-type" {
		name = "type"
	}
	return pflag.NormalizedName(name)
}

func (s *settings) serverFlags() *pflag.FlagSet {
	f := newFlags()
	f.VarP(text(&s.configPath, "FILE", ""), "config", "c", "serve the servers of this configuration")
	addSwitch(f, &s.hotReload, "hot-reload", "reload the configuration whenever its file changes")
	f.Var(value(&s.serverType, "TYPE", config.Stdio, parseTransport), "type",
		"transport of the server behind --: stdio, sse or streamable-http; also --server-type")
	f.VarP(value(&s.headers, "JSON", nil, parseHeaders), "header", "H", "headers for the server behind --, an object of strings")
	f.VarP(&pairs{&s.env}, "env", "e", "set a variable for servers; may be repeated")
	f.Var(text(&s.envPath, "FILE", ""), "env-path", "set the variables of this dotenv file for servers")
	f.VarP(text(&s.name, "TEXT", ""), "name", "n", "title of the served document")
	f.VarP(text(&s.description, "TEXT", ""), "description", "d", "description of the served document")
	f.VarP(text(&s.version, "TEXT", ""), "version", "v", "version of the served document; for mcpo's own: mcpo version")
	return f
}

func (s *settings) listenFlags() *pflag.FlagSet {
	f := newFlags()
	f.VarP(text(&s.host, "ADDRESS", "0.0.0.0"), "host", "h", "listen on this address")
	f.VarP(value(&s.port, "PORT", 8000, parsePort), "port", "p", "listen on this port; 0 takes a free one")
	f.VarP(text(&s.certFile, "FILE", ""), "ssl-certfile", "t", "serve TLS with the certificate in this PEM file")
	f.VarP(text(&s.keyFile, "FILE", ""), "ssl-keyfile", "K", "private key of the certificate, a PEM file")
	f.Var(text(&s.rootPath, "PATH", ""), "root-path", "path under which a reverse proxy shows mcpo")
	f.Var(text(&s.pathPrefix, "PATH", ""), "path-prefix", "path before that of every server")
	f.Var(value(&s.publicURL, "URL", "", parsePublicURL), "public-url", "where callers reach mcpo")
	s.corsOrigins = []string{"*"}
	f.Var(&list{values: &s.corsOrigins, kind: "ORIGIN"}, "cors-allow-origins",
		"origin whose pages may call; may be repeated, or a list with commas")
	return f
}

func (s *settings) accessFlags() *pflag.FlagSet {
	f := newFlags()
	f.VarP(text(&s.apiKey, "KEY", ""), "api-key", "k", "key that callers must show; better set as MCPO_API_KEY")
	addSwitch(f, &s.strictAuth, "strict-auth", "ask for the key on documents and pages too")
	return f
}

func (s *settings) limitFlags() *pflag.FlagSet {
	f := newFlags()
	f.Var(value(&s.callTimeout, "TIME", 5*time.Minute, parsePositiveDuration), "call-timeout",
		"longest time for one call, such as 90, 90s or 5m")
	f.Var(value(&s.maxBody, "SIZE", 4<<20, parseSize), "max-body", "largest body of a request, such as 4194304 or 4MiB")
	f.Var(value(&s.shutdownTimeout, "TIME", 10*time.Second, parseDuration), "shutdown-timeout",
		"longest wait for calls in flight when told to stop")
	f.Var(value(&s.drainDelay, "TIME", 0, parseDuration), "drain-delay",
		"when told to stop, serve on for so long while /readyz says so")
	f.Var(value(&s.maxCallers, "N", 10_000, parseCount), "max-callers", "most callers with a connection to one server at a time")
	return f
}

func (s *settings) otherFlags() *pflag.FlagSet {
	f := newFlags()
	f.Var(value(&s.logLevel, "LEVEL", slog.LevelInfo, parseLevel), "log-level", "log from this level on: "+levelNames)
	f.Var(value(&s.logFormat, "FORMAT", "text", parseLogFormat), "log-format", "log as text or json")
	f.Var(text(&s.auditLog, "FILE", ""), "audit-log", "write each login and call to the end of this file, without arguments or results")
	f.Var(value(&s.metricsAddr, "HOST:PORT", "", parseMetricsAddr), "metrics-addr", "serve metrics for Prometheus at this address, such as 127.0.0.1:9090, at /metrics")
	addSwitch(f, &s.pprof, "pprof", "serve profiles of mcpo itself there too, below /debug/pprof/")
	addSwitch(f, &s.installCompletion, "install-completion", "tell how to install completion for your shell")
	addSwitch(f, &s.showCompletion, "show-completion", "print the completion script for your shell")
	// Asked for by name and as a bool by cobra.
	f.Bool("help", false, "explain mcpo")
	return f
}

// newFlags is a flag set that keeps the order of its declarations.
func newFlags() *pflag.FlagSet {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.SortFlags = false
	return f
}
