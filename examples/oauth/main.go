// Command oauth shows a login from end to end with nothing but Go: it starts an
// authorization server with an MCP server behind it, puts mcpo before them with
// the configuration that it prints, and says what to try. Tokens live for 30
// seconds, so that they are refreshed while you watch. There is a server for the
// person at this machine, and one for two people of an Open WebUI. Ctrl-C ends
// all of it, and nothing of it is kept.
//
//	go run ./examples/oauth
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"mcpo/internal/oauthtest"
)

// The ports of a usual setup. Where one is taken, a free one does.
const (
	serverPort   = 8000
	mcpoPort     = 8080
	callbackPort = 3030
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { cancel(told{<-signals}) }()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "oauth:", err)
		os.Exit(1)
	}
}

// told is why the program ends.
type told struct{ os.Signal }

func (t told) Error() string { return "told to end: " + t.String() }

func run(ctx context.Context) error {
	port, err := freePort(serverPort)
	if err != nil {
		return err
	}
	protected, err := oauthtest.New(oauthtest.Options{
		Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Host: "localhost", AccessTTL: 30 * time.Second})
	if err != nil {
		return err
	}
	defer protected.Close()
	dir, err := os.MkdirTemp("", "mcpo-oauth-")
	if err != nil {
		return fmt.Errorf("making a folder for the tokens: %w", err)
	}
	defer os.RemoveAll(dir)
	key := rand.Text() + rand.Text()
	text, err := writeConfig(dir, protected, key)
	if err != nil {
		return err
	}
	fmt.Printf("An authorization server, and an MCP server behind it, are at %s.\nmcpo serves this configuration:\n\n%s\n\n", protected.Issuer, text)
	people, err := sessions(key, "alice", "bob")
	if err != nil {
		return err
	}
	mcpo, base, err := build(ctx, dir)
	if err != nil {
		return err
	}
	go announce(ctx, base, people)
	if err := mcpo.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("running mcpo: %w", err)
	}
	return nil
}

// freePort is the preferred port if nobody has it, or else any other.
func freePort(preferred int) (int, error) {
	for _, port := range []int{preferred, 0} {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return ln.Addr().(*net.TCPAddr).Port, ln.Close()
	}
	return 0, errors.New("no port of 127.0.0.1 is free")
}

// config is what a person would write by hand.
type config struct {
	Servers map[string]server `json:"mcpServers"`
	Storage storage           `json:"storage"`
}

type server struct {
	Type  string `json:"type"`
	URL   string `json:"url"`
	OAuth oauth  `json:"oauth"`
}

type oauth struct {
	ServerURL      string `json:"server_url"`
	StorageType    string `json:"storage_type"`
	CallbackPort   int    `json:"callback_port,omitempty"`
	WebUISecretKey string `json:"webui_secret_key,omitempty"`
}

type storage struct {
	Path string `json:"path"`
}

// writeConfig writes a configuration that keeps tokens in dir. key tells the
// people of an Open WebUI apart, at the second server.
func writeConfig(dir string, s *oauthtest.Server, key string) (text []byte, err error) {
	login := oauth{ServerURL: s.Issuer, StorageType: "file"}
	port, err := freePort(callbackPort)
	if err != nil {
		return nil, err
	}
	if port != callbackPort {
		login.CallbackPort = port
	}
	people := login
	people.WebUISecretKey = key
	text, err = json.MarshalIndent(config{
		Servers: map[string]server{
			"test-oauth": {Type: "streamable-http", URL: s.MCP, OAuth: login},
			"people":     {Type: "streamable-http", URL: s.Second, OAuth: people},
		},
		Storage: storage{Path: filepath.Join(dir, "storage")},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	if err := os.WriteFile(configPath(dir), text, 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return text, nil
}

func configPath(dir string) string { return filepath.Join(dir, "config_oauth.json") }

// build builds mcpo and answers with the command that serves the configuration,
// and with where it will be.
func build(ctx context.Context, dir string) (mcpo *exec.Cmd, base string, err error) {
	program := filepath.Join(dir, "mcpo")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "mcpo/cmd/mcpo").CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("building mcpo: %w\n%s", err, out)
	}
	number, err := freePort(mcpoPort)
	if err != nil {
		return nil, "", err
	}
	port := strconv.Itoa(number)
	mcpo = exec.CommandContext(ctx, program, "--config", configPath(dir), "--host", "127.0.0.1", "--port", port)
	mcpo.Stdin, mcpo.Stdout, mcpo.Stderr = os.Stdin, os.Stdout, os.Stderr
	mcpo.Cancel = func() error {
		// Ctrl-C reaches mcpo as well, and a second signal would cut it short.
		if by, ok := errors.AsType[told](context.Cause(ctx)); ok && by.Signal == os.Interrupt {
			return nil
		}
		return mcpo.Process.Signal(syscall.SIGTERM)
	}
	mcpo.WaitDelay = 15 * time.Second
	return mcpo, "http://localhost:" + port, nil
}

// announce waits until mcpo answers, so that the lines it prints work at once.
func announce(ctx context.Context, base string, people []session) {
	for !serves(ctx, base) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	fmt.Printf(`
mcpo is at %[1]s. If no browser opened by itself, open

  %[1]s/test-oauth/login

Sign in with any name, approve, and call a tool as that person:

  curl -X POST %[1]s/test-oauth/whoami
  curl %[1]s/test-oauth/add -H 'Content-Type: application/json' -d '{"a": 40, "b": 2}'

Tokens live for 30 seconds: call again later, and they have been refreshed. The
tool admin needs a permission more, which its first call asks for:

  curl -X POST %[1]s/test-oauth/admin

What is granted, and the button that takes it back:

  %[1]s/connections
%[2]s
Ctrl-C ends everything.
`, base, walk(base, people))
}

func serves(ctx context.Context, base string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
