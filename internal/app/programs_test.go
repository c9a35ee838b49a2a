//go:build unix

package app

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mcpo/internal/mcptest"
	"mcpo/internal/oauthtest"
)

// TestNoRequestStartsAProgram sends to every route, with every method, what would
// start a program if anything of it reached a shell or a configuration: after
// thousands of requests there are the children that the configuration names, each
// started once, and no trace of another (threats 28).
func TestNoRequestStartsAProgram(t *testing.T) {
	s, h := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t)
	starts, mark := filepath.Join(h.dir, "starts"), filepath.Join(h.dir, "mark")
	h.write(fmt.Sprintf(`"counted": {"command": "/bin/sh", "args": ["-c", %q, %q, %q]}`, `echo started >>"$1"; exec "$0"`, mcptest.BuildStdio(t), starts),
		guarded("lab", s.MCP, freePort(t), ""))
	m := run(t, Options{ConfigPath: h.path})
	m.await(200, "POST", "/counted/echo", `{"message":"x"}`)
	before := children(t)
	d := dice{rand.New(rand.NewPCG(28, 0)), mark}
	statuses := map[int]int{}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	for range 2000 {
		req, err := http.NewRequest(d.pick(d.methods()), m.url, strings.NewReader(d.body()))
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = d.path() // goes out as it is
		d.headers(req.Header)
		resp, err := client.Do(req)
		if err != nil {
			continue // not even HTTP
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		statuses[resp.StatusCode]++
	}
	if statuses[200] < 30 || statuses[404] < 30 || statuses[422] < 30 {
		t.Errorf("the requests do not reach much: %v", statuses)
	}
	m.await(200, "POST", "/counted/echo", `{"message":"x"}`)
	t.Logf("children %v, statuses %v", before, statuses)
	if text, err := os.ReadFile(starts); err != nil || string(text) != "started\n" {
		t.Errorf("the server's program was started so often: %q, %v", text, err)
	}
	if after := children(t); !slices.Equal(before, after) {
		t.Errorf("the children are %v, and were %v", after, before)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a request has left its mark")
	}
}

// dice make requests.
type dice struct {
	*rand.Rand
	mark string
}

func (d dice) pick(from []string) string { return from[d.IntN(len(from))] }

func (d dice) methods() []string {
	return []string{"GET", "POST", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONFIGURE"}
}

// evil is text that starts a program where it is not taken for text.
func (d dice) evil() string {
	touch := "touch " + d.mark
	return d.pick([]string{"; " + touch, "$(" + touch + ")", "`" + touch + "`", "| " + touch, "&& " + touch, "\n" + touch + "\n", "x'; " + touch + " #",
		`"; ` + touch + ` "`, "file:///bin/sh", "--command=" + touch, "${file:/bin/sh}", "/bin/sh", "../../../bin/sh", "-c", "() { :; }; " + touch, "%x0a" + touch})
}

func (d dice) path() string {
	segment := func() string {
		if d.IntN(3) == 0 {
			return strings.NewReplacer(" ", "%20", "\n", "%0A", "#", "%23", "?", "%3F").Replace(d.evil())
		}
		return d.pick([]string{"counted", "lab", "echo", "add_tool", "fail", "types", "docs", "openapi.json", "redoc", "login", "oauth", "lab/status",
			"connect", "callback", "connections", "disconnect", "healthz", "readyz", "api/config", "system", "metrics", "reload", "client-metadata.json", ""})
	}
	path := "/" + segment()
	switch d.IntN(4) {
	case 0:
		return "/counted/" + d.pick([]string{"echo", "add_tool", "fail", "types", "docs", "openapi.json"})
	case 1, 2:
		path = "/" + d.pick([]string{"counted", "lab", "oauth", "connections"}) + "/" + segment()
	}
	if d.IntN(4) == 0 {
		path += "/" + segment()
	}
	if d.IntN(3) == 0 {
		path += "?ticket=" + strings.NewReplacer(" ", "+", "\n", "%0A", "#", "%23").Replace(d.evil())
	}
	return path
}

func (d dice) body() string {
	evil, touch := strconv.Quote(d.evil()), strconv.Quote(d.mark)
	return d.pick([]string{
		"", d.evil(), `{"message":` + evil + `}`, `{"message":` + evil + `}`, `{"name":` + evil + `}`,
		`{"command":"touch","args":[` + touch + `]}`,
		`{"mcpServers":{"x":{"command":"touch","args":[` + touch + `]}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"command":"touch","args":[` + touch + `],"env":{"PATH":` + evil + `}}}`,
		`{"url":` + evil + `,"type":"stdio","command":` + evil + `}`, "callback_url=" + d.evil(), "csrf=x&ticket=" + d.evil(),
	})
}

func (d dice) headers(h http.Header) {
	line := strings.ReplaceAll(d.evil(), "\n", " ")
	h.Set("Content-Type", d.pick([]string{"application/json", "application/x-www-form-urlencoded", "text/plain", line}))
	h.Set(d.pick([]string{"User-Agent", "Authorization", "X-Forwarded-Host", "Cookie", "Origin", "Mcp-Session-Id", "X-Request-Id", "Traceparent", "Accept"}), line)
}

// children are the process ids of this process's children; none where the system
// does not list them.
func children(t *testing.T) (pids []string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return nil
	}
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		pids = append(pids, strings.Fields(string(text))...)
	}
	slices.Sort(pids)
	return pids
}
