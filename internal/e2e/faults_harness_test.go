package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcpo/internal/mcptest"
	"mcpo/internal/oauthtest"
)

// faulty is mcpo with toxiproxy on its ways: to "lab", an MCP server; to the
// authorization server of that; and perhaps to its database. Nothing is on the
// ways to "near", a server with an authorization server of its own, and to
// "open", which wants no logins.
type faulty struct {
	*proxy
	lab, near          *oauthtest.Server
	toLab, toAuthority *passage
	config             string
	runs               *runs
	http               *http.Client
}

// The limits that mcpo is started with, in seconds.
const (
	callTimeout    = 4
	connectTimeout = 4
)

// hang is longer than any call may take: a call waits ten seconds for a server
// that is being connected to, and then has its timeout. The rest is for slow
// machines.
const hang = (10+callTimeout)*time.Second + 20*time.Second

// fault makes the ways and starts mcpo. name is that of the ways in x. more is
// laid over the configuration.
func (x *toxiproxy) faulty(t *testing.T, name string, o oauthtest.Options, more map[string]any) *faulty {
	t.Helper()
	w := &faulty{runs: newRuns(), toLab: x.passage(t, name+"-lab", nowhere), toAuthority: x.passage(t, name+"-authority", nowhere)}
	o.SeparateOrigin, o.Public, o.PublicOther, o.Tools = true, w.toLab.url(), w.toAuthority.url(), w.runs.tool
	w.lab, w.near = oauthtest.Start(t, o), oauthtest.Start(t, oauthtest.Options{})
	w.toLab.lead(t, w.lab.Addr)
	w.toAuthority.lead(t, w.lab.OtherAddr)
	dir := t.TempDir()
	logins := map[string]any{"server_url": "auto"}
	config := map[string]any{
		"mcpServers": map[string]serverConfig{
			"lab":  {"type": "streamable-http", "url": w.lab.MCP, "oauth": logins},
			"near": {"type": "streamable-http", "url": w.near.MCP, "oauth": logins},
			"open": {"type": "streamable-http", "url": mcptest.StartHTTP(t, mcptest.Options{})},
		},
		"storage":  map[string]any{"path": filepath.Join(dir, "storage")},
		"identity": map[string]any{"forward_jwt_secret": forwardKey},
	}
	maps.Copy(config, more)
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "config.json", string(b))
	w.config = filepath.Join(dir, "config.json")
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	w.http = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	w.start(t)
	return w
}

// start starts mcpo, whose environment has CONNECTION_TIMEOUT already.
func (w *faulty) start(t *testing.T) {
	t.Helper()
	w.proxy = startOurs(t, "--config", w.config, "--api-key", replicasKey, "--call-timeout", fmt.Sprint(callTimeout))
}

// runs counts what the tool "run" of the lab did, by the id that it was told.
type runs struct {
	mu    sync.Mutex
	count map[string]int           // guarded by mu
	gates map[string]chan struct{} // of ids that wait for it; guarded by mu
	began chan struct{}            // closed and replaced when the tool begins; guarded by mu
}

func newRuns() *runs {
	return &runs{count: map[string]int{}, gates: map[string]chan struct{}{}, began: make(chan struct{})}
}

// work is what the tool is told. Its answer has size bytes more than it needs.
type work struct {
	ID   string `json:"id"`
	Size int    `json:"size"`
}

// answer is what the tool tells somebody.
func (j work) answer(user string) string {
	return user + " ran " + j.ID + " " + strings.Repeat("x", j.Size)
}

func (r *runs) tool(user string, s *mcp.Server) {
	mcp.AddTool(s, &mcp.Tool{Name: "run", Description: "Counts, and answers with who it runs for."},
		func(ctx context.Context, _ *mcp.CallToolRequest, j work) (*mcp.CallToolResult, any, error) {
			r.mu.Lock()
			r.count[j.ID]++
			gate := r.gates[j.ID]
			close(r.began)
			r.began = make(chan struct{})
			r.mu.Unlock()
			if gate != nil {
				select {
				case <-gate:
				case <-ctx.Done():
				}
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: j.answer(user)}}}, nil, nil
		})
}

// hold makes a run wait until release, which may be called again.
func (r *runs) hold(id string) (release func()) {
	gate := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gates[id] = gate
	return sync.OnceFunc(func() { close(gate) })
}

// of is how often the tool ran with an id.
func (r *runs) of(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count[id]
}

// await waits until the tool runs with an id.
func (r *runs) await(t *testing.T, id string) {
	t.Helper()
	late := time.After(patience)
	for {
		r.mu.Lock()
		count, began := r.count[id], r.began
		r.mu.Unlock()
		if count > 0 {
			return
		}
		select {
		case <-began:
		case <-late:
			t.Fatalf("%s does not begin", id)
		}
	}
}

// guest is somebody for whom Open WebUI calls, with accounts of the same name
// at lab and near.
type guest struct {
	at          *faulty
	name, proof string
}

// stranger signs calls for somebody, as Open WebUI does.
func (w *faulty) stranger(t *testing.T, name string) guest {
	t.Helper()
	return guest{w, name, proofOf(t, name)}
}

// guest is a stranger who has logged in everywhere.
func (w *faulty) guest(t *testing.T, name string) guest {
	t.Helper()
	g := w.stranger(t, name)
	for _, server := range []string{"lab", "near"} {
		a, err := g.call("/"+server+"/whoami", "{}")
		var body struct{ Detail asked }
		if bad := json.Unmarshal([]byte(a.Body), &body); err != nil || bad != nil || a.Status != http.StatusUnauthorized {
			t.Fatalf("%s is answered %d %s, want a link (%v)", name, a.Status, a.Body, err)
		}
		if shown := browse(t, body.Detail.URL, oauthtest.BrowseOptions{User: name}); shown.Status != http.StatusOK {
			t.Fatalf("the page after the login of %s has status %d and says: %s", name, shown.Status, shown.Body)
		}
		await(t, func() error { return g.whoami(server) })
	}
	return g
}

// call posts a body to a tool.
func (g guest) call(path, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*hang)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.at.base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+replicasKey)
	req.Header.Set("X-OpenWebUI-User-Jwt", g.proof)
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.at.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(bytes.TrimSpace(b))}, err
}

// whoami gives an error unless a server answers with the own name.
func (g guest) whoami(server string) error {
	a, err := g.call("/"+server+"/whoami", "{}")
	if err == nil && (a.Status != http.StatusOK || a.Body != `"`+g.name+`"`) {
		err = fmt.Errorf("the call of %s at %s was answered with %d %s", g.name, server, a.Status, a.Body)
	}
	return err
}

// echoes gives an error unless the server without logins answers.
func (g guest) echoes() error {
	a, err := g.call("/open/echo", `{"message":"`+g.name+`"}`)
	if err == nil && (a.Status != http.StatusOK || a.Body != `"`+g.name+`"`) {
		err = fmt.Errorf("the call of %s at open was answered with %d %s", g.name, a.Status, a.Body)
	}
	return err
}
