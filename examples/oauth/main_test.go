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
	place := regexp.MustCompile(`(?m)^mcpo is at (\S+)\.`).FindStringSubmatch(start(t, ctx))
	if place == nil {
		t.Fatal("the example does not say where mcpo is")
	}
	to := place[1] + "/test-oauth/whoami"
	page, err := oauthtest.Browse(ctx, linkIn(t, ctx, to, ""), oauthtest.BrowseOptions{User: "bob"})
	if err != nil || page.Status != http.StatusOK {
		t.Fatalf("the login ended at %s with %d, %v:\n%s", page.URL, page.Status, err, page.Body)
	}
	if status, answer := post(t, ctx, to, ""); status != http.StatusOK || answer != `"bob"` {
		t.Errorf("after the login: %d %s", status, answer)
	}
}

// TestTwoPeople does what the example says of them: two links, two logins, two
// answers.
func TestTwoPeople(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the example is ended by a signal, which Windows does not have")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	t.Setenv("BROWSER", "true")
	shown := regexp.MustCompile(`curl -X POST (\S+) -H 'Authorization: (Bearer \S+)'   # (\w+)`).FindAllStringSubmatch(start(t, ctx), -1)
	if len(shown) != 2 {
		t.Fatalf("the example shows the calls of %d people", len(shown))
	}
	links := map[string]bool{}
	for _, call := range shown {
		to, token, name := call[1], call[2], call[3]
		link := linkIn(t, ctx, to, token)
		links[link] = true
		page, err := oauthtest.Browse(ctx, link, oauthtest.BrowseOptions{User: name})
		if err != nil || page.Status != http.StatusOK {
			t.Fatalf("the login of %s ended at %s with %d, %v:\n%s", name, page.URL, page.Status, err, page.Body)
		}
	}
	if len(links) != 2 {
		t.Error("two people are given one link")
	}
	for _, call := range shown {
		if status, answer := post(t, ctx, call[1], call[2]); status != http.StatusOK || answer != `"`+call[3]+`"` {
			t.Errorf("%s is answered %d %s", call[3], status, answer)
		}
	}
}

// linkIn makes a call that is refused, and gives the link in the answer.
func linkIn(t *testing.T, ctx context.Context, to, token string) string {
	t.Helper()
	status, answer := post(t, ctx, to, token)
	var refused struct {
		Detail struct {
			AuthorizationURL string `json:"authorization_url"`
		} `json:"detail"`
	}
	if err := json.Unmarshal([]byte(answer), &refused); err != nil || status != http.StatusUnauthorized {
		t.Fatalf("before the login: %d %s", status, answer)
	}
	return refused.Detail.AuthorizationURL
}

// start runs the example until the test ends, and answers with what it says
// once mcpo is there.
func start(t *testing.T, ctx context.Context) (says string) {
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
	said := make(chan string, 1)
	go func() {
		defer close(said)
		var all strings.Builder
		for lines := bufio.NewScanner(out); lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
			if strings.HasPrefix(lines.Text(), "Ctrl-C ends everything") {
				said <- all.String()
			}
		}
	}()
	select {
	case says = <-said:
	case <-ctx.Done():
	}
	if says == "" {
		t.Fatal("the example does not say what to do")
	}
	return says
}

func post(t *testing.T, ctx context.Context, to, authorization string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
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
