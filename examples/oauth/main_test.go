package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcpo/internal/mcptest"
	"mcpo/internal/oauthtest"
)

// TestLogin does what the example says.
func TestLogin(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the example is ended by a signal, which Windows does not have")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	t.Setenv("BROWSER", "true")
	base := start(t, ctx)
	status, answer := post(t, ctx, base+"/test-oauth/whoami")
	var refused struct {
		Detail struct {
			AuthorizationURL string `json:"authorization_url"`
		} `json:"detail"`
	}
	if err := json.Unmarshal([]byte(answer), &refused); err != nil || status != http.StatusUnauthorized {
		t.Fatalf("before the login: %d %s", status, answer)
	}
	page, err := oauthtest.Browse(ctx, refused.Detail.AuthorizationURL, oauthtest.BrowseOptions{User: "bob"})
	if err != nil || page.Status != http.StatusOK {
		t.Fatalf("the login ended at %s with %d, %v:\n%s", page.URL, page.Status, err, page.Body)
	}
	if status, answer := post(t, ctx, base+"/test-oauth/whoami"); status != http.StatusOK || answer != `"bob"` {
		t.Errorf("after the login: %d %s", status, answer)
	}
}

// start runs the example until the test ends, and answers with where mcpo is.
func start(t *testing.T, ctx context.Context) (base string) {
	t.Helper()
	example := exec.Command(mcptest.Build(t, "mcpo/examples/oauth"))
	out, err := example.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := example.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = example.Process.Signal(syscall.SIGTERM)
		if err := example.Wait(); err != nil {
			t.Errorf("the example ended with %v", err)
		}
	})
	found := make(chan string, 1)
	go func() {
		place := regexp.MustCompile(`^mcpo is at (\S+)\.`)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := place.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
		close(found)
	}()
	select {
	case base = <-found:
	case <-ctx.Done():
	}
	if base == "" {
		t.Fatal("the example does not say where mcpo is")
	}
	return base
}

func post(t *testing.T, ctx context.Context, to string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}
