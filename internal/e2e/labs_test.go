package e2e

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mcpo/internal/oauthtest"
)

// labKind is an authorization server that strangers wrote, with an MCP server
// that takes its tokens.
type labKind struct {
	name string
	// command gives the program that serves the MCP server on port and, if that
	// is apart, the authorization server on authPort.
	command func(t *testing.T) *exec.Cmd
	// urls gives the URLs of the MCP server and of the authorization server.
	urls      func(port, authPort string) (mcp, issuer string)
	deny      func(t *testing.T, link string) oauthtest.Page // nil if nobody is asked
	refreshes bool
	offline   bool // may want to be asked for offline_access
	revokes   bool
	whoami    probe // a call, without the server's name; the answer has the name "alice"
}

func (k labKind) asksSomebody() bool       { return k.deny != nil }
func (k labKind) givesRefreshTokens() bool { return k.refreshes }
func (k labKind) knowsOfflineAccess() bool { return k.offline }

func labKinds() []labKind {
	return []labKind{
		{
			name:    "oidc-provider",
			command: func(t *testing.T) *exec.Cmd { return nodeLab(t, "oidc-provider.mjs") },
			urls: func(port, authPort string) (string, string) {
				return "http://127.0.0.1:" + port + "/mcp", "http://127.0.0.1:" + authPort + "/oidc"
			},
			deny:      cancel,
			refreshes: true, offline: true, revokes: true,
			whoami: probe{"/whoami", `{}`},
		},
		{
			name: "python-sdk",
			command: func(t *testing.T) *exec.Cmd {
				return exec.Command(installed(t, "py/bin/python"), testdata(t, "labs/python.py"))
			},
			urls: func(port, _ string) (string, string) {
				return "http://127.0.0.1:" + port + "/mcp", "http://127.0.0.1:" + port
			},
			deny: func(t *testing.T, link string) oauthtest.Page {
				return browse(t, link, oauthtest.BrowseOptions{Deny: true})
			},
			refreshes: true, revokes: true,
			whoami: probe{"/whoami", `{}`},
		},
		{
			name:    "typescript-sdk",
			command: typescriptExample,
			urls: func(port, authPort string) (string, string) {
				return "http://localhost:" + port + "/mcp", "http://localhost:" + authPort
			},
			whoami: probe{"/greet", `{"name":"alice"}`},
		},
	}
}

// cancel follows the link that oidc-provider has in the place of a button.
func cancel(t *testing.T, link string) oauthtest.Page {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	shown := browse(t, link, oauthtest.BrowseOptions{Jar: jar, StopAtForm: true})
	found := regexp.MustCompile(`href="([^"]+/abort)"`).FindStringSubmatch(shown.Body)
	if found == nil {
		t.Fatalf("the page has nothing to cancel with: %s", shown.Body)
	}
	return browse(t, found[1], oauthtest.BrowseOptions{Jar: jar})
}

// nodeLab runs a script of ours as if it lay beside the installed packages.
func nodeLab(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	installed(t, "npm/node_modules/oidc-provider")
	dir := t.TempDir()
	if err := os.Symlink(installed(t, "npm/node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(testdata(t, "labs/"+script))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, script, string(text))
	return exec.Command("node", filepath.Join(dir, script))
}

// typescriptExample runs what the TypeScript SDK shows to those who want to
// protect a server: it approves by itself and gives no refresh token.
func typescriptExample(t *testing.T) *exec.Cmd {
	t.Helper()
	example := installed(t, "npm/node_modules/@modelcontextprotocol/sdk/dist/esm/examples/server/simpleStreamableHttp.js")
	return exec.Command("node", "--import", "file://"+filepath.ToSlash(testdata(t, "labs/requests.mjs")),
		example, "--oauth", "--oauth-strict")
}

// lab is such a server that runs. What it counts begins anew with every start.
type lab struct {
	labKind
	*proxy
	mcp, issuer string
	env         []string
}

// start runs the lab on free ports until the test ends. env is ACCESS_TTL=1 and
// the like.
func (k labKind) start(t *testing.T, env ...string) *lab {
	t.Helper()
	port, authPort := freePort(t), freePort(t)
	l := &lab{labKind: k, env: append(env, "MCP_PORT="+port, "MCP_AUTH_PORT="+authPort)}
	l.mcp, l.issuer = k.urls(port, authPort)
	l.run(t)
	return l
}

// run starts the process and waits until both servers answer.
func (l *lab) run(t *testing.T) {
	t.Helper()
	cmd := l.command(t)
	cmd.Env = append(os.Environ(), l.env...)
	l.proxy = run(t, cmd, func(string) {})
	t.Cleanup(l.proxy.kill)
	for _, url := range []string{l.mcp, l.issuer} {
		l.eventually(t, func() error {
			resp, err := http.Get(url)
			if err == nil {
				_ = resp.Body.Close()
			}
			return err
		})
	}
}

// restart has the lab forget everybody: it keeps all in memory.
func (l *lab) restart(t *testing.T) {
	t.Helper()
	l.kill()
	l.run(t)
}

// kill ends the process at once: politely, some wait for mcpo to hang up.
func (p *proxy) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// What a lab counts.
const (
	registrations = "registered"
	logins        = "granted authorization_code"
	refreshes     = "granted refresh_token"
	revocations   = "revoked"
	reuses        = "reused a refresh token"
)

// count tells how often something happened since the lab was started.
func (l *lab) count(what string) int {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	n := 0
	for _, line := range l.out.lines {
		if strings.TrimSpace(line) == "lab: "+what {
			n++
		}
	}
	return n
}

// counts waits until something happened so often, and fails if it happened more
// often.
func (l *lab) counts(t *testing.T, what string, want int) {
	t.Helper()
	l.eventually(t, func() error {
		if got := l.count(what); got < want {
			return fmt.Errorf("the lab says %d times %q, want %d", got, what, want)
		}
		return nil
	})
	if got := l.count(what); got != want {
		t.Errorf("the lab says %d times %q, want %d", got, what, want)
	}
}
