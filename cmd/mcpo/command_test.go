package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mcpo/internal/app"
	"mcpo/internal/config"
)

// outcome is what one command line came to.
type outcome struct {
	served, checked *app.Options
	command, target string // that is about logins, and what it was given
	about           *app.Options
	stdout, stderr  string
	err             error
}

// invoke runs mcpo with args in the environment env, without an application
// behind it.
func invoke(t *testing.T, env map[string]string, args ...string) outcome {
	t.Helper()
	var got outcome
	var stdout, stderr bytes.Buffer
	p := &program{
		env:    func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		stdout: &stdout,
		stderr: &stderr,
		serve:  func(_ context.Context, o app.Options) error { got.served = &o; return nil },
		person: func(lookup) app.Terminal { return app.Terminal{} },
		check:  func(_ context.Context, o app.Options, _ io.Writer) error { got.checked = &o; return nil },
	}
	named := func(command string) func(context.Context, app.Options, string, io.Writer) error {
		return func(_ context.Context, o app.Options, target string, _ io.Writer) error {
			got.command, got.about, got.target = command, &o, target
			return nil
		}
	}
	p.logins = loginCommands{login: named("login"), logout: named("logout"), doctor: named("doctor"),
		logoutUser: func(ctx context.Context, o app.Options, target, user string, w io.Writer) error {
			return named("logout of "+user)(ctx, o, target, w)
		},
		tokens: func(ctx context.Context, o app.Options, user string, w io.Writer) error {
			return named("tokens")(ctx, o, user, w)
		}}
	p.stores = storeCommands{
		migrate: func(ctx context.Context, o app.Options, m app.Migration, w io.Writer) error {
			return named("migrate")(ctx, o, fmt.Sprintf("%s to %s, overwrite %t", m.From, m.To, m.Overwrite), w)
		},
		keys: func(ctx context.Context, o app.Options, w io.Writer) error { return named("keys")(ctx, o, "", w) },
	}
	got.err = p.run(t.Context(), args)
	got.stdout, got.stderr = stdout.String(), stderr.String()
	return got
}

// defaults are the options of a command line without flags.
func defaults() app.Options {
	return app.Options{
		Host:             "0.0.0.0",
		Port:             8000,
		ServerType:       "stdio",
		Env:              map[string]string{},
		CORSAllowOrigins: []string{"*"},
		CallTimeout:      5 * time.Minute,
		ShutdownTimeout:  10 * time.Second,
		MaxBody:          4 << 20,
		MaxCallers:       10_000,
		Build:            buildVersion(),
	}
}

func TestFlags(t *testing.T) {
	dir := t.TempDir()
	both := filepath.Join(dir, "both.pem")
	writeFile(t, both, "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n")
	dotenv := filepath.Join(dir, "some.env")
	writeFile(t, dotenv, "A=file\nB=file\nC=file\n")

	tests := []struct {
		name string
		args []string
		env  map[string]string
		want func(o *app.Options)
	}{
		{"command with flags of its own", []string{"--", "uvx", "x", "--port", "3", "check"}, nil, func(o *app.Options) {
			o.Command = []string{"uvx", "x", "--port", "3", "check"}
		}},
		{"fused short flags", []string{"-p8001", "-hlocalhost", "-ksecret", "-cfile.json"}, nil, func(o *app.Options) {
			o.Port, o.Host, o.APIKey, o.ConfigPath = 8001, "localhost", "secret", "file.json"
		}},
		{"every short flag", []string{"-h", "::1", "-p", "0", "-k", "K", "-e", "A=1=2", "-e", "B=", "-n", "N", "-d", "D", "-v", "V", "-t", "T", "-K", "L", "-H", `{"X-A":"1"}`, "--", "c"}, nil, func(o *app.Options) {
			o.Host, o.Port, o.APIKey = "::1", 0, "K"
			o.Env = map[string]string{"A": "1=2", "B": ""}
			o.Name, o.Description, o.Version = "N", "D", "V"
			o.CertFile, o.KeyFile = "T", "L"
			o.Headers = map[string]string{"X-A": "1"}
			o.Command = []string{"c"}
		}},
		{"every long flag", []string{"--host", "h", "--port=1", "--api-key=k", "--strict-auth", "--config", "c", "--hot-reload", "--root-path", "/r", "--path-prefix", "/p", "--public-url", "https://x.example/y/", "--call-timeout", "90", "--max-body", "2MB", "--shutdown-timeout", "1.5", "--drain-delay", "9", "--max-callers", "7", "--audit-log", "a.log", "--metrics-addr", "[::1]:9090", "--pprof"}, nil, func(o *app.Options) {
			o.Host, o.Port, o.APIKey, o.StrictAuth = "h", 1, "k", true
			o.ConfigPath, o.HotReload = "c", true
			o.RootPath, o.PathPrefix, o.PublicURL = "/r", "/p", "https://x.example/y"
			o.CallTimeout, o.MaxBody, o.ShutdownTimeout = 90*time.Second, 2_000_000, 1500*time.Millisecond
			o.MaxCallers, o.AuditLog, o.DrainDelay = 7, "a.log", 9*time.Second
			o.MetricsAddr, o.Profiles = "[::1]:9090", true
		}},
		{"a switch that is off", []string{"--strict-auth=false", "-c", "c"}, map[string]string{"MCPO_STRICT_AUTH": "true"}, func(o *app.Options) {
			o.ConfigPath = "c"
		}},
		{"second spelling of the type", []string{"--server-type", "streamable_http", "--", "http://h/mcp"}, nil, func(o *app.Options) {
			o.ServerType, o.Command = "streamable-http", []string{"http://h/mcp"}
		}},
		{"sse", []string{"--type", "sse", "--", "https://h/sse"}, nil, func(o *app.Options) {
			o.ServerType, o.Command = "sse", []string{"https://h/sse"}
		}},
		{"origins repeated and with commas", []string{"-c", "c", "--cors-allow-origins", "https://a, https://b", "--cors-allow-origins", "https://c"}, nil, func(o *app.Options) {
			o.ConfigPath, o.CORSAllowOrigins = "c", []string{"https://a", "https://b", "https://c"}
		}},
		{"one file for certificate and key", []string{"-c", "c", "-t", both}, nil, func(o *app.Options) {
			o.ConfigPath, o.CertFile, o.KeyFile = "c", both, both
		}},
		{"flag, process and file set one variable", []string{"-c", "c", "--env-path", dotenv, "--env", "A=flag"}, map[string]string{"A": "process", "B": "process"}, func(o *app.Options) {
			o.ConfigPath, o.Env = "c", map[string]string{"A": "flag", "C": "file"}
		}},
		{"variables", []string{"--", "c"}, map[string]string{
			"MCPO_HOST": "h", "MCPO_PORT": "2", "MCPO_API_KEY": "k", "MCPO_STRICT_AUTH": "1", "MCPO_ENV": "A=1, B=2",
			"MCPO_CORS_ALLOW_ORIGINS": "https://a,https://b", "MCPO_HEADER": `{"A":"b"}`, "MCPO_MAX_BODY": "1KiB", "CONNECTION_TIMEOUT": "7",
		}, func(o *app.Options) {
			o.Host, o.Port, o.APIKey, o.StrictAuth = "h", 2, "k", true
			o.Env = map[string]string{"A": "1", "B": "2"}
			o.CORSAllowOrigins = []string{"https://a", "https://b"}
			o.Headers = map[string]string{"A": "b"}
			o.MaxBody, o.ConnectTimeout, o.Command = 1024, 7*time.Second, []string{"c"}
		}},
		{"flags beat variables, empty variables are none", []string{"-p", "3", "--cors-allow-origins", "https://f", "--", "c"}, map[string]string{
			"MCPO_PORT": "2", "MCPO_HOST": "", "MCPO_CORS_ALLOW_ORIGINS": "https://v",
		}, func(o *app.Options) {
			o.Port, o.CORSAllowOrigins, o.Command = 3, []string{"https://f"}, []string{"c"}
		}},
		{"type and configuration from variables", nil, map[string]string{"MCPO_SERVER_TYPE": "sse", "MCPO_CONFIG": "c"}, func(o *app.Options) {
			o.ServerType, o.ConfigPath = "sse", "c"
		}},
		{"metrics on a port of this machine", []string{"-c", "c"}, map[string]string{"MCPO_METRICS_ADDR": "9090", "MCPO_PPROF": "true"}, func(o *app.Options) {
			o.ConfigPath, o.MetricsAddr, o.Profiles = "c", "127.0.0.1:9090", true
		}},
		{"metrics on every address", []string{"-c", "c", "--metrics-addr", ":9090"}, nil, func(o *app.Options) {
			o.ConfigPath, o.MetricsAddr = "c", ":9090"
		}},
		{"a Kubernetes service called mcpo", []string{"--", "c"}, map[string]string{"MCPO_PORT": "tcp://10.0.0.1:80"}, func(o *app.Options) {
			o.Command = []string{"c"}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := invoke(t, tt.env, tt.args...)
			if got.err != nil {
				t.Fatalf("%q: %v", tt.args, got.err)
			}
			want := defaults()
			tt.want(&want)
			// Reveal: a secret would be equal to another in what it prints.
			if got.served.APIKey.Reveal() != want.APIKey.Reveal() {
				t.Errorf("the key is not the one given")
			}
			ignored := cmpopts.IgnoreFields(app.Options{}, "Log", "Ready", "Reload", "APIKey")
			if diff := cmp.Diff(want, *got.served, ignored, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckTakesTheSameFlags(t *testing.T) {
	for _, args := range [][]string{
		{"check", "--config", "c", "-p8001"},
		{"--config", "c", "check", "-p8001"},
		{"-p8001", "--config=c", "check"},
	} {
		got := invoke(t, nil, args...)
		if got.err != nil || got.served != nil || got.checked == nil {
			t.Fatalf("%q: %v, served %v, checked %v", args, got.err, got.served, got.checked)
		}
		if got.checked.ConfigPath != "c" || got.checked.Port != 8001 {
			t.Errorf("%q: options %+v", args, got.checked)
		}
	}
	if got := invoke(t, nil, "check", "--", "uvx", "-x"); got.err != nil || !cmp.Equal(got.checked.Command, []string{"uvx", "-x"}) {
		t.Errorf("check of a command: %v, %+v", got.err, got.checked)
	}
	if got := invoke(t, nil, "--", "check"); got.err != nil || !cmp.Equal(got.served.Command, []string{"check"}) {
		t.Errorf("a command called check: %v, %+v", got.err, got.served)
	}
}

func TestCommandsAboutLogins(t *testing.T) {
	withFile := map[string]string{"MCPO_CONFIG": "c"}
	for _, tt := range []struct {
		args                    []string
		env                     map[string]string
		command, target, config string
	}{
		{[]string{"login", "notion", "--config", "c"}, nil, "login", "notion", "c"},
		{[]string{"--config", "c", "login", "-p8001", "notion"}, nil, "login", "notion", "c"},
		{[]string{"login"}, withFile, "login", "", "c"},
		{[]string{"logout", "--config", "c", "notion"}, nil, "logout", "notion", "c"},
		{[]string{"logout", "--config", "c", "notion", "--user", "u-1"}, nil, "logout of u-1", "notion", "c"},
		{[]string{"--config", "c", "logout", "--user=u-1"}, nil, "logout of u-1", "", "c"},
		{[]string{"logout", "notion"}, map[string]string{"MCPO_CONFIG": "c", "MCPO_USER": "u-1"}, "logout", "notion", "c"},
		{[]string{"tokens", "-cc"}, nil, "tokens", "", "c"},
		{[]string{"tokens", "-cc", "--user", "u-1"}, nil, "tokens", "u-1", "c"},
		{[]string{"store", "migrate", "-cc", "--from", "file", "--to", "postgres"}, nil, "migrate", "file to postgres, overwrite false", "c"},
		{[]string{"store", "migrate", "--from=postgres", "--to=file", "--overwrite"}, withFile, "migrate", "postgres to file, overwrite true", "c"},
		{[]string{"store", "keys", "-cc"}, nil, "keys", "", "c"},
		{[]string{"doctor", "notion", "-cc"}, nil, "doctor", "notion", "c"},
		{[]string{"doctor", "https://h/mcp"}, nil, "doctor", "https://h/mcp", ""},
		{[]string{"doctor", "--type", "sse", "https://h/sse"}, nil, "doctor", "https://h/sse", ""},
		{[]string{"doctor", "https://h/mcp"}, withFile, "doctor", "https://h/mcp", ""},
	} {
		got := invoke(t, tt.env, tt.args...)
		if got.err != nil || got.served != nil || got.about == nil {
			t.Errorf("%q: %v, served %v", tt.args, got.err, got.served)
			continue
		}
		if got.command != tt.command || got.target != tt.target || got.about.ConfigPath != tt.config {
			t.Errorf("%q: %s of %q with %q", tt.args, got.command, got.target, got.about.ConfigPath)
		}
		if got.about.Log.Enabled(t.Context(), slog.LevelInfo) {
			t.Errorf("%q logs what goes well", tt.args)
		}
		if tt.command == "doctor" && tt.config == "" && (got.about.ServerType == "stdio" || !cmp.Equal(got.about.Command, []string{tt.target})) {
			t.Errorf("%q: %s %q", tt.args, got.about.ServerType, got.about.Command)
		}
	}
	if got := invoke(t, nil, "login", "x", "-cc", "--log-level", "debug"); !got.about.Log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("--log-level debug is not obeyed")
	}
}

func TestNothingToServe(t *testing.T) {
	for _, args := range [][]string{nil, {"--port", "1"}, {"--"}} {
		got := invoke(t, nil, args...)
		exit, ok := errors.AsType[*app.ExitError](got.err)
		if !ok || exit.Code != 1 || exit.Err != nil || got.served != nil {
			t.Errorf("%q: %v", args, got.err)
		}
		if got.stdout != "Usage: mcpo --host 0.0.0.0 --port 8000 -- your_mcp_command\n" || got.stderr != "" {
			t.Errorf("%q: stdout %q, stderr %q", args, got.stdout, got.stderr)
		}
	}
}

// TestRefusals holds that bad usage costs one line, which says what to write.
func TestRefusals(t *testing.T) {
	cert := filepath.Join(t.TempDir(), "cert.pem")
	writeFile(t, cert, "-----BEGIN CERTIFICATE-----\n")
	tests := []struct {
		args []string
		env  map[string]string
		say  string
	}{
		{args: []string{"--prot", "1"}, say: "write: --port"},
		{args: []string{"--server-typ", "sse"}, say: "write: --server-type"},
		{args: []string{"--bogus"}, say: "mcpo --help"},
		{args: []string{"-x"}, say: "no flag -x"},
		{args: []string{"--no-strict-auth"}, say: "write: --strict-auth=false"},
		{args: []string{"---"}, say: "write: --NAME=VALUE"},
		{args: []string{"-h"}, say: "for help: mcpo --help"},
		{args: []string{"--version"}, say: "mcpo version"},
		{args: []string{"--max-body"}, say: "write: --max-body SIZE"},
		{args: []string{"uvx", "foo"}, say: "write: mcpo -- uvx foo"},
		{args: []string{"npx", "-y", "foo", "--token", "hidden"}, say: "write: mcpo -- npx -y ..."},
		{args: []string{"-p1", "uvx"}, say: "write: mcpo [flags] -- uvx"},
		{args: []string{"uvx", "--", "foo"}, say: "write: mcpo -- uvx"},
		{args: []string{"chekc"}, say: "write: mcpo check"},
		{args: []string{"servers.json"}, say: "write: mcpo --config servers.json"},
		{args: []string{"http://h/mcp"}, say: "write: mcpo --type streamable-http -- http://h/mcp"},
		{args: []string{"--", "http://h/mcp"}, say: "write: mcpo --type streamable-http -- http://h/mcp"},
		{args: []string{"--", ""}, say: "write: mcpo -- COMMAND"},
		{args: []string{"--type", "sse", "--", "uvx"}, say: "write: mcpo --type sse -- http://HOST/PATH"},
		{args: []string{"--type", "sse", "--", "http://h/", "more"}, say: "exactly one URL"},
		{args: []string{"--type", "pigeon", "--", "c"}, say: "write stdio, sse or streamable-http"},
		{args: []string{"-c", "c", "--", "c"}, say: "write one of them"},
		{args: []string{"-p", "65536", "--", "c"}, say: "from 0 to 65535"},
		{args: []string{"-p", "-1", "--", "c"}, say: "from 0 to 65535"},
		{args: []string{"-e", "hidden", "--", "c"}, say: "write KEY=VALUE"},
		{args: []string{"-H", "hidden", "--", "c"}, say: "write a JSON object"},
		{args: []string{"-H", "null", "--", "c"}, say: "write a JSON object"},
		{args: []string{"-H", `{"X":"hidden\n"}`, "--", "c"}, say: "values of one line"},
		{args: []string{"--public-url", "example.com", "--", "c"}, say: "write a URL"},
		{args: []string{"--call-timeout", "0", "--", "c"}, say: "longer than 0"},
		{args: []string{"--call-timeout", "NaN", "--", "c"}, say: "such as 90"},
		{args: []string{"--shutdown-timeout", "-1s", "--", "c"}, say: "such as 90"},
		{args: []string{"--max-callers", "0", "--", "c"}, say: "a number from 1 up"},
		{args: []string{"--metrics-addr", "localhost", "--", "c"}, say: "write HOST:PORT"},
		{args: []string{"--metrics-addr", "localhost:http", "--", "c"}, say: "write HOST:PORT"},
		{args: []string{"--pprof", "--", "c"}, say: "--metrics-addr 127.0.0.1:9090 --pprof"},
		{args: []string{"--max-body", "4 furlongs", "--", "c"}, say: "such as 4194304"},
		{args: []string{"--max-body", "9223372036854775807GiB", "--", "c"}, say: "such as 4194304"},
		{args: []string{"--log-level", "LOUD", "--", "c"}, say: "DEBUG, INFO"},
		{args: []string{"--log-format", "xml", "--", "c"}, say: "write text or json"},
		{args: []string{"--strict-auth=maybe", "--", "c"}, say: "write true or false"},
		{args: []string{"--ssl-keyfile", "k", "--", "c"}, say: "--ssl-certfile FILE --ssl-keyfile FILE"},
		{args: []string{"--ssl-certfile", cert, "--", "c"}, say: "--ssl-certfile FILE --ssl-keyfile FILE"},
		{args: []string{"check"}, say: "write: mcpo check --config FILE"},
		{args: []string{"check", "servers"}, say: "write: mcpo check -- servers"},
		{args: []string{"login"}, say: "write: mcpo login SERVER --config FILE"},
		{args: []string{"login", "notion"}, say: "write: mcpo login SERVER --config FILE"},
		{args: []string{"login", "servers.json"}, say: "write: mcpo login SERVER --config servers.json"},
		{args: []string{"login", "-cc", "notion", "github"}, say: "one server at a time; write: mcpo login SERVER --config FILE"},
		{args: []string{"login", "-cc", "--", "notion"}, say: "write: mcpo login SERVER --config FILE"},
		{args: []string{"login", "--bogus"}, say: "mcpo login --help"},
		{args: []string{"logout", "-cc", "notion", "--user", ""}, say: "the id of an account"},
		{args: []string{"logout", "-cc", "notion", "--user"}, say: "--user needs a value"},
		{args: []string{"login", "-cc", "notion", "--user", "u"}, say: "no flag --user"},
		{args: []string{"logout"}, say: "write: mcpo logout SERVER --config FILE"},
		{args: []string{"logn", "notion"}, say: "write: mcpo login"},
		{args: []string{"tokens"}, say: "write: mcpo tokens --config FILE"},
		{args: []string{"tokens", "-cc", "notion"}, say: "write: mcpo tokens --config FILE"},
		{args: []string{"store"}, say: "mcpo store keys --config FILE"},
		{args: []string{"store", "keys"}, say: "write: mcpo store keys --config FILE"},
		{args: []string{"store", "migrate", "-cc"}, say: "needs a configuration and two stores"},
		{args: []string{"store", "migrate", "-cc", "--from", "file", "--to", "file"}, say: "are the same store"},
		{args: []string{"store", "migrate", "-cc", "--from", "redis", "--to", "file"}, say: "write file or postgres"},
		{args: []string{"doctor"}, say: "write: mcpo doctor URL"},
		{args: []string{"doctor", "a", "b", "-cc"}, say: "write: mcpo doctor URL"},
		{args: []string{"doctor", "notion"}, say: "write: mcpo doctor https://HOST/PATH"},
		{args: []string{"doctor", "ftp://h/mcp"}, say: "write: mcpo doctor https://HOST/PATH"},
		{args: []string{"version", "now"}, say: "write: mcpo version"},
		{args: []string{"completion", "tcsh"}, say: "bash|zsh|fish|powershell"},
		{args: []string{"completion"}, say: "bash|zsh|fish|powershell"},
		{args: []string{"--show-completion"}, say: "bash|zsh|fish|powershell"},
		{args: []string{"help", "nothing"}, say: "write: mcpo help"},
		{args: []string{"a\nb"}, say: `"a\nb"`},
		{args: []string{"--a\nb"}, say: `"a\nb"`},
		{args: []string{"--", "c"}, env: map[string]string{"MCPO_PORT": "many"}, say: "MCPO_PORT: write a number"},
		{args: []string{"--", "c"}, env: map[string]string{"MCPO_ENV": "A=1,hidden"}, say: "MCPO_ENV: write KEY=VALUE"},
		{args: []string{"--", "c"}, env: map[string]string{"LOG_LEVEL": "loud"}, say: "LOG_LEVEL: write DEBUG"},
		{args: []string{"--", "c"}, env: map[string]string{"CONNECTION_TIMEOUT": "soon"}, say: "CONNECTION_TIMEOUT: write a time"},
	}
	for _, tt := range tests {
		got := invoke(t, tt.env, tt.args...)
		exit, ok := errors.AsType[*app.ExitError](got.err)
		if !ok || exit.Code != 2 || got.served != nil || got.checked != nil {
			t.Errorf("%q: error %v, want exit 2", tt.args, got.err)
			continue
		}
		text := got.err.Error()
		if !strings.Contains(text, tt.say) || strings.Contains(text, "\n") {
			t.Errorf("%q says %q, want one line with %q", tt.args, text, tt.say)
		}
		if strings.Contains(text, "hidden") {
			t.Errorf("%q: what may be secret is repeated: %q", tt.args, text)
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.env")
	writeFile(t, bad, "A=1\nB=\"open\n")
	for _, args := range [][]string{
		{"--env-path", "missing.env", "--", "c"},
		{"--env-path", bad, "--", "c"},
		{"--ssl-certfile", "missing.pem", "--", "c"},
	} {
		got := invoke(t, nil, args...)
		if exit, ok := errors.AsType[*app.ExitError](got.err); !ok || exit.Code != 1 {
			t.Errorf("%q: %v, want exit 1", args, got.err)
		}
	}
}

func TestLogLevelFromFlagAndVariables(t *testing.T) {
	tests := []struct {
		args []string
		env  map[string]string
		want slog.Level
	}{
		{nil, nil, slog.LevelInfo},
		{nil, map[string]string{"LOG_LEVEL": "debug"}, slog.LevelDebug},
		{nil, map[string]string{"LOG_LEVEL": "debug", "MCPO_LOG_LEVEL": "Warning"}, slog.LevelWarn},
		{[]string{"--log-level", "critical"}, map[string]string{"LOG_LEVEL": "debug"}, levelCritical},
	}
	for _, tt := range tests {
		got := invoke(t, tt.env, append(tt.args, "--", "c")...)
		if got.err != nil {
			t.Fatalf("%q: %v", tt.args, got.err)
		}
		if h := got.served.Log.Handler(); !h.Enabled(t.Context(), tt.want) || h.Enabled(t.Context(), tt.want-1) {
			t.Errorf("%q with %v does not log from %v on", tt.args, tt.env, tt.want)
		}
	}
}

// TestSecretsAreNotPrinted holds even where somebody logs all options.
func TestSecretsAreNotPrinted(t *testing.T) {
	got := invoke(t, nil, "--api-key", "top-secret", "--", "c")
	if got.served.APIKey != config.Secret("top-secret") {
		t.Fatal("the key is not the one given")
	}
	var log bytes.Buffer
	newLogger(&log, slog.LevelInfo, "text").Info("starting", "options", *got.served)
	if logged := log.String() + invoke(t, nil, "--help").stdout; strings.Contains(logged, "top-secret") {
		t.Errorf("the key is shown: %s", logged)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
