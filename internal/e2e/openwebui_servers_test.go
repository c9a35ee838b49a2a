package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestOpenWebUI has one Open WebUI with one mcpo, and all real servers behind
// it: one document that does not convert loses them all.
func TestOpenWebUI(t *testing.T) {
	installed(t, "owui")
	configs, connections := map[string]serverConfig{}, []connection{}
	var servers []realServer
	for _, s := range realServers() {
		if s.name == "everything-http" || s.name == "everything-sse" {
			continue // the same tools as everything-stdio
		}
		configs[s.name] = s.config(t)
		servers = append(servers, s)
	}
	p := startOurs(t, "--config", configFile(t, configs), "--api-key", "the key", "--strict-auth")
	p.ready(t)
	for _, s := range servers {
		connections = append(connections, connect(p, s.name, "bearer", "the key"))
	}
	w := startWebUI(t)
	lists := w.list(t, connections...)
	if len(lists) != len(servers) {
		t.Fatalf("Open WebUI has %d of %d servers", len(lists), len(servers))
	}
	all := chat{webUI: w, who: person{ID: "1", Role: "admin"}, tools: connections}
	total := 0
	for i, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			one := all
			one.tools = connections[i : i+1]
			total += compareTools(t, lists[i], one.specs(t), configs[s.name])
			callTools(t, one, lists[i], s, folderOf(configs[s.name]))
		})
	}
	if n := len(all.specs(t)); n != total {
		t.Errorf("a chat with all servers has %d tools, want %d", n, total)
	}
}

// modelSafe is what the providers of models take as a tool's name.
var modelSafe = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// compareTools finds every tool of the server in what the model is told, and
// gives their number.
func compareTools(t *testing.T, l listed, specs []toolSpec, config serverConfig) int {
	t.Helper()
	byName := map[string]toolSpec{}
	for _, s := range specs {
		if !modelSafe.MatchString(s.Name) {
			t.Errorf("no model takes a tool by the name %q", s.Name)
		}
		byName[s.Name] = s
	}
	tools := askServer(t, config)
	if len(byName) != len(tools) || len(l.Specs) != len(tools) {
		t.Errorf("the model has %d tools, the list %d; the server has %d", len(byName), len(l.Specs), len(tools))
	}
	for _, tool := range tools {
		got, ok := byName[l.operationID("/"+tool.Name)]
		if !ok {
			t.Errorf("the model is not told of %s", tool.Name)
			continue
		}
		if got.Description != tool.Description {
			t.Errorf("%s is described with %q, want %q", tool.Name, got.Description, tool.Description)
		}
		want, _ := tool.InputSchema.(map[string]any)
		compareParameters(t, tool.Name, want, got.Parameters)
	}
	return len(tools)
}

// compareParameters wants the model to know of each property what the server
// says of it. Open WebUI itself takes null out of anyOf, and default null away.
func compareParameters(t *testing.T, tool string, schema map[string]any, got parameters) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	want, have := slices.Sorted(maps.Keys(properties)), slices.Sorted(maps.Keys(got.Properties))
	if diff := cmp.Diff(want, have); diff != "" || got.Type != "object" {
		t.Errorf("properties of %s, which is a %s (-server +model):\n%s", tool, got.Type, diff)
	}
	var required []string
	names, _ := schema["required"].([]any)
	for _, name := range names {
		required = append(required, name.(string))
	}
	slices.Sort(required)
	slices.Sort(got.Required)
	if diff := cmp.Diff(required, got.Required, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what %s requires (-server +model):\n%s", tool, diff)
	}
	for name, p := range properties {
		property, _ := p.(map[string]any)
		for _, keyword := range []string{"type", "description", "enum", "minimum", "maximum", "pattern", "items"} {
			said, ok := property[keyword]
			if diff := cmp.Diff(said, got.Properties[name][keyword]); ok && diff != "" {
				t.Errorf("%s of %s.%s (-server +model):\n%s", keyword, tool, name, diff)
			}
		}
	}
}

// callTools makes the calls that every real server is tried with.
func callTools(t *testing.T, c chat, l listed, s realServer, folder string) {
	t.Helper()
	for _, e := range s.expects {
		if e.status == 404 {
			continue // no model can call what it is not told of
		}
		body := strings.ReplaceAll(e.body, "FOLDER", folder)
		got := c.call(t, l.operationID("/"+e.tool), body)
		if diff := cmp.Diff(arguments(t, body), got.Sent); diff != "" {
			t.Errorf("%s: arguments that were lost (-model +sent):\n%s", e.tool, diff)
		}
		// A text comes without its quotes to the model.
		contains := e.contains
		if e.status < 400 {
			contains = strings.Trim(contains, `"`)
		}
		failure := strings.HasPrefix(got.said(), fmt.Sprintf("HTTP error %d: ", e.status))
		if got.Failed != (e.status >= 400) || got.Failed != failure || !strings.Contains(got.everything(), contains) {
			t.Errorf("%s %s: the model reads %s (failed: %t), want %d with %s", e.tool, body, got.everything(), got.Failed, e.status, contains)
		}
	}
}

func arguments(t *testing.T, body string) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// askServer lists the tools of the server itself.
func askServer(t *testing.T, config serverConfig) (tools []*mcp.Tool) {
	t.Helper()
	args, _ := config["args"].([]string)
	cmd := exec.Command(config["command"].(string), args...)
	env, _ := config["env"].(map[string]string)
	cmd.Env = os.Environ()
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	// Like mcpo, it offers nothing of its own: some tools are for who does.
	client := mcp.NewClient(&mcp.Implementation{Name: "e2e"}, &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}})
	session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for tool, err := range session.Tools(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		tools = append(tools, tool)
	}
	return tools
}
