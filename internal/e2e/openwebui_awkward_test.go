package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOpenWebUIAwkward has tools with every awkward schema and name that mcpo's
// own tests know of. Open WebUI reads them all, gives its model what the
// document says, and loses no other server by them.
func TestOpenWebUIAwkward(t *testing.T) {
	w := startWebUI(t)
	tools := awkwardTools(t)
	const awkward, plain = "My server, v2.0 (Größe)", "plain"
	p := startOurs(t, "--config", configFile(t, map[string]serverConfig{
		awkward: {"type": "http", "url": serveTools(t, tools)},
		plain:   {"type": "http", "url": serveTools(t, []json.RawMessage{json.RawMessage(`{"name":"one","inputSchema":{"type":"object"}}`)})},
	}))
	p.ready(t)
	both := []connection{connect(p, "My%20server,%20v2.0%20(Gr%C3%B6%C3%9Fe)", "none", ""), connect(p, plain, "none", "")}
	lists := w.list(t, both...)
	if len(lists) != 2 || len(lists[0].Specs) != len(tools) || len(lists[1].Specs) != 1 {
		t.Fatalf("Open WebUI has %d servers, want 2: %+v", len(lists), lists)
	}
	l := lists[0]
	for _, s := range l.Specs {
		if !modelSafe.MatchString(s.Name) {
			t.Errorf("no model takes a tool by the name %q", s.Name)
		}
		if diff := cmp.Diff(l.documented(t, s.Name), s.Parameters.Properties); diff != "" {
			t.Errorf("properties of %s (-document +read):\n%s", s.Name, diff)
		}
	}
	talk := chat{webUI: w, who: person{ID: "1", Role: "admin"}, tools: both[:1]}
	specs := talk.specs(t)
	if len(specs) != len(tools) {
		t.Errorf("the model is told of %d tools, want %d", len(specs), len(tools))
	}
	for _, s := range specs {
		for name, property := range s.Parameters.Properties {
			keepsTypes(t, s.Name+"."+name, property, l.documented(t, s.Name)[name])
		}
	}
	const given = `{"$ref":"a","anyOf":["b"],"items":3,"properties":{"c":[1.5,null]},"type":"d"}`
	got := talk.call(t, "tool_properties_named_like_keywords_post", given)
	if diff := cmp.Diff(arguments(t, `{"properties_named_like_keywords":`+given+`}`), arguments(t, got.Text)); diff != "" || got.Failed {
		t.Errorf("what reached the server (-model +server):\n%s%s", diff, got.everything())
	}
	for _, name := range awkwardNames() {
		called := false
		for path, methods := range l.OpenAPI.Paths {
			if unescaped, err := url.PathUnescape(path); err != nil || unescaped != "/"+name {
				continue
			}
			called = true
			got := talk.call(t, methods["post"].OperationID, "{}")
			if reached := arguments(t, got.Text); reached[name] == nil {
				t.Errorf("the call of %q at %s ended at %v", name, path, reached)
			}
		}
		if !called {
			t.Errorf("the document does not have %q", name)
		}
	}
}

// awkwardNames are names that tools may have and paths or models may not. None
// is ".." itself: Open WebUI's HTTP library takes that out of an address, also
// when it is escaped.
func awkwardNames() []string {
	long := strings.Repeat("long_name_", 12)
	return []string{"with.dots", "with spaces", "größe", "大小", "a/b", `a\b`, "A_b", "a_B", long + "1", long + "2", "?q=1#x", "%2e%2e", "...", "{braces}"}
}

// documented are the properties that the document has for a tool.
func (l listed) documented(t *testing.T, operationID string) map[string]map[string]any {
	t.Helper()
	for _, methods := range l.OpenAPI.Paths {
		for _, op := range methods {
			if op.OperationID == operationID {
				return op.RequestBody.Content["application/json"].Schema.Properties
			}
		}
	}
	t.Fatalf("the document has no operation %q", operationID)
	return nil
}

// keepsTypes finds where Open WebUI, for want of a type, made a schema a string.
func keepsTypes(t *testing.T, where string, read, documented any) {
	t.Helper()
	r, _ := read.(map[string]any)
	d, ok := documented.(map[string]any)
	if !ok {
		t.Errorf("%s is the schema %v", where, documented)
		return
	}
	if r["type"] == "string" && d["type"] == nil && d["anyOf"] == nil {
		t.Errorf("%s became a string: %v", where, d)
	}
	if d["anyOf"] != nil {
		return // without null, it may be any of its members
	}
	if items, ok := d["items"]; ok {
		keepsTypes(t, where+"[]", r["items"], items)
	}
	within, _ := r["properties"].(map[string]any)
	properties, _ := d["properties"].(map[string]any)
	for name, p := range properties {
		keepsTypes(t, where+"."+name, within[name], p)
	}
}

// awkwardTools are the tools that the tests of package openapi have, and some
// with awkward names.
func awkwardTools(t *testing.T) (tools []json.RawMessage) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "openapi", "testdata", "awkward.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "{") {
			tools = append(tools, json.RawMessage(line))
		}
	}
	for _, name := range awkwardNames() {
		tool, err := json.Marshal(map[string]any{"name": name, "inputSchema": map[string]any{"type": "object"}})
		if err != nil {
			t.Fatal(err)
		}
		tools = append(tools, tool)
	}
	return tools
}

// serveTools serves tools as they are, valid or not; each repeats its name and
// arguments.
func serveTools(t *testing.T, tools []json.RawMessage) (at string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			ID     json.RawMessage
			Method string
			Params struct {
				ProtocolVersion, Name string
				Arguments             json.RawMessage
			}
		}
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Errorf("reading what mcpo asks: %v", err)
		}
		answer := map[string]any{"jsonrpc": "2.0", "id": asked.ID}
		switch asked.Method {
		case "initialize":
			answer["result"] = map[string]any{"protocolVersion": asked.Params.ProtocolVersion,
				"capabilities": map[string]any{"tools": map[string]any{}}, "serverInfo": map[string]string{"name": "awkward", "version": "1"}}
		case "tools/list":
			answer["result"] = map[string]any{"tools": tools}
		case "tools/call":
			text := fmt.Sprintf("{%q:%s}", asked.Params.Name, asked.Params.Arguments)
			answer["result"] = map[string]any{"content": []map[string]any{{"type": "text", "text": text}}}
		default:
			answer["error"] = map[string]any{"code": -32601, "message": fmt.Sprintf("no method %s", asked.Method)}
		}
		if asked.ID == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Errorf("answering mcpo: %v", err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}
