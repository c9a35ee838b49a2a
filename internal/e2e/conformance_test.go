package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mcpo/internal/mcptest"
)

// TestConformance runs mcpo as the client in the scenarios of the MCP
// project's own conformance suite that need no login: the handshake, a call,
// and the resumption of a stream after the time that the server asked for.
func TestConformance(t *testing.T) {
	suite := nodeProgram(t, "conformance")
	script, err := filepath.Abs("testdata/conformance-client.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, scenario := range []string{"initialize", "tools_call", "sse-retry"} {
		t.Run(scenario, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, suite, "client", "--command", script, "--scenario", scenario)
			cmd.Dir = t.TempDir() // it leaves a report there
			cmd.Env = append(os.Environ(), "MCPO="+mcptest.Build(t, "mcpo/cmd/mcpo"), "MCPO_PORT="+freePort(t))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
