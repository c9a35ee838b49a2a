package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"mcpo/internal/mcptest"
)

// TestConformance runs mcpo as the client in the scenarios of the MCP
// project's own conformance suite: the handshake, a call, the resumption of a
// stream after the time that the server asked for, and all kinds of logins of
// people (those of machines are not what mcpo is for).
func TestConformance(t *testing.T) {
	for _, scenario := range []string{"initialize", "tools_call", "sse-retry"} {
		t.Run(scenario, func(t *testing.T) { conform(t, scenario) })
	}
	for _, scenario := range []string{
		"metadata-default", "metadata-var1", "metadata-var2", "metadata-var3", "basic-cimd", "pre-registration",
		"scope-from-www-authenticate", "scope-from-scopes-supported", "scope-omitted-when-undefined", "scope-step-up", "scope-retry-limit",
		"offline-access-scope", "offline-access-not-supported", "resource-mismatch",
		"token-endpoint-auth-basic", "token-endpoint-auth-post", "token-endpoint-auth-none",
		"2025-03-26-oauth-metadata-backcompat", "2025-03-26-oauth-endpoint-fallback",
	} {
		t.Run(scenario, func(t *testing.T) {
			more := []string{"CALLBACK_PORT=" + freePort(t)}
			switch scenario {
			case "basic-cimd":
				more = append(more, `OAUTH=, "client_metadata_url": "https://conformance-test.local/client-metadata.json"`)
			case "pre-registration":
				more = append(more, `OAUTH=, "client_metadata": `+preregistered(t))
			case "resource-mismatch": // never connects
				more = append(more, "PATIENCE=5")
			}
			conform(t, "auth/"+scenario, more...)
		})
	}
}

// preregistered is the registration by hand that the suite expects of its
// scenario; it tells every client in the environment, and always the same.
func preregistered(t *testing.T) string {
	t.Helper()
	c, err := json.Marshal(map[string]string{"client_id": "pre-registered-client", "client_secret": "pre-registered-secret"})
	if err != nil {
		t.Fatal(err)
	}
	return string(c)
}

// conform runs one scenario. The suite needs a newer Node.js than systems have.
func conform(t *testing.T, scenario string, more ...string) {
	arch := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	node := installed(t, "npm/node_modules/node-linux-"+arch+"/bin/node")
	suite := installed(t, "npm/node_modules/@modelcontextprotocol/conformance/dist/index.js")
	script, err := filepath.Abs("testdata/conformance-client.sh")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, suite, "client", "--command", script, "--scenario", scenario)
	cmd.Dir = t.TempDir() // it leaves a report there
	cmd.Env = append(append(os.Environ(), "MCPO="+mcptest.Build(t, "mcpo/cmd/mcpo"), "MCPO_PORT="+freePort(t)), more...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "0 failed") {
		t.Errorf("%v\n%s", err, out)
	}
}
