package openapi

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// named makes tools that have a name only.
func named(names ...string) []Tool {
	var tools []Tool
	for _, n := range names {
		tools = append(tools, Tool{Name: n})
	}
	return tools
}

// ids gives the operation id of each path.
func ids(t *testing.T, d *Document) map[string]string {
	t.Helper()
	doc := decoded(t, d.JSON)
	paths, _ := get(doc, "paths").(map[string]any)
	got := map[string]string{}
	for path := range paths {
		got[path], _ = get(doc, "paths", path, "post", "operationId").(string)
	}
	return got
}

func TestDocument(t *testing.T) {
	d := Build(Info{Title: "time", Description: "d", Version: "1.0", ServerURL: "/time", Secured: true}, []Tool{tool(t, `{"name":"get_now","title":"",
		"description":"Tells the time","inputSchema":{"type":"object","properties":{"zone":{"type":"string"}},"required":["zone"]},
		"annotations":{"readOnlyHint":true},"icons":[{"src":"a:b"}],"_meta":{"k":1.0}}`)})
	doc := decoded(t, d.JSON)
	want := decoded(t, []byte(`{"summary":"Get Now","description":"Tells the time","operationId":"tool_get_now_post","requestBody":{"required":true,
		"content":{"application/json":{"schema":{"type":"object","properties":{"zone":{"type":"string"}},"required":["zone"]}}}},
		"security":[{"HTTPBearer":[]}],"x-mcp-annotations":{"readOnlyHint":true},"x-mcp-icons":[{"src":"a:b"}],"x-mcp-meta":{"k":1.0}}`))
	post, _ := get(doc, "paths", "/get_now", "post").(map[string]any)
	delete(post, "responses")
	if diff := cmp.Diff(want, any(post)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	want = decoded(t, []byte(`{"openapi":"3.1.0","info":{"title":"time","description":"d","version":"1.0"},"servers":[{"url":"/time"}],
		"components":{"securitySchemes":{"HTTPBearer":{"type":"http","scheme":"bearer"}}}}`))
	top := doc.(map[string]any)
	delete(top, "paths")
	for name := range get(want).(map[string]any) {
		if name == "components" {
			continue
		}
		if diff := cmp.Diff(get(want, name), top[name]); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	if get(top, "components", "securitySchemes", "HTTPBearer", "scheme") != "bearer" {
		t.Errorf("components: %v", top["components"])
	}
	if !bytes.HasPrefix(d.JSON, []byte(`{"openapi":"3.1.0"`)) || len(d.ETag) < 10 || d.ETag[0] != '"' {
		t.Errorf("ETag %s, %.40s", d.ETag, d.JSON)
	}
}

func TestOperationIDs(t *testing.T) {
	long := strings.Repeat("x", 200)
	tools := named("plain", "a-b", "a_b", "a b", "grüße", "工具", "", long, long+"y", strings.Repeat("z", 54), strings.Repeat("z", 55), "Plain", "docs", "a/b?c#d%e")
	d := Build(Info{}, tools)
	got := ids(t, d)
	seen := map[string]bool{}
	for path, id := range got {
		if !functionName.MatchString(id) || seen[id] {
			t.Errorf("%.40s has the id %q", path, id)
		}
		seen[id] = true
	}
	if len(got) != len(tools) {
		t.Errorf("%d paths for %d tools", len(got), len(tools))
	}
	if id := got["/plain"]; id != "tool_plain_post" {
		t.Errorf("plain has the id %q", id)
	}
	if id := got["/"+strings.Repeat("z", 54)]; id != "tool_"+strings.Repeat("z", 54)+"_post" {
		t.Errorf("an id of 64 characters became %q", id)
	}
	slices.Reverse(tools)
	if diff := cmp.Diff(got, ids(t, Build(Info{}, tools))); diff != "" {
		t.Errorf("ids depend on the order:\n%s", diff)
	}
}

// A tool whose plain id is what another's hash gives takes nobody's id.
func TestOperationIDsOfAToolThatForgesAnother(t *testing.T) {
	before := ids(t, Build(Info{}, named("a-b", "a_b")))
	forged := strings.TrimPrefix(before["/a-b"], "tool_")
	tools := named("a-b", "a_b", strings.TrimSuffix(forged, "_post"), forged, strings.Repeat("q", 100))
	seen := map[string]bool{}
	for path, id := range ids(t, Build(Info{}, tools)) {
		if seen[id] {
			t.Errorf("%s shares the id %s", path, id)
		}
		seen[id] = true
	}
}

func TestPathsAreOneSegment(t *testing.T) {
	names := []string{"a/b", "..", ".", "a?b", "a#b", "a%2fb", "a/../b", "a:b", "{a}", "a b", "ü", "", "%2E%2E", "a\\b", "a\nb", "a;b=c", "openapi.json", "\u2028"}
	for path := range ids(t, Build(Info{}, named(names...))) {
		segment := strings.TrimPrefix(path, "/")
		if strings.ContainsAny(segment, "/?#{} \\\n") || segment == "." || segment == ".." {
			t.Errorf("%q is no single segment", path)
		}
		name, err := url.PathUnescape(segment)
		if err != nil || !slices.Contains(names, name) {
			t.Errorf("%q stands for %q, %v", path, name, err)
		}
		if u, err := url.Parse("http://h" + path); err != nil || u.EscapedPath() != path {
			t.Errorf("a client asks for %v instead of %q, %v", u, path, err)
		}
	}
}

func TestOfTwoToolsWithOneNameTheFirstCounts(t *testing.T) {
	d := Build(Info{}, []Tool{{Name: "x", Description: "first"}, {Name: "x", Description: "second"}})
	if got := get(decoded(t, d.JSON), "paths", "/x", "post", "description"); got != "first" || len(d.Warnings) != 1 {
		t.Errorf("%v is shown, warnings %q", got, d.Warnings)
	}
}

func TestDocumentIsStable(t *testing.T) {
	tools := awkward(t)
	a, b := Build(Info{Title: "t"}, tools), Build(Info{Title: "t"}, tools)
	if !bytes.Equal(a.JSON, b.JSON) || a.ETag != b.ETag || !bytes.Equal(a.Gzip, b.Gzip) {
		t.Error("two documents of the same tools differ")
	}
	if c := Build(Info{Title: "u"}, tools); c.ETag == a.ETag {
		t.Error("another document has the same ETag")
	}
}

func TestDocumentWithoutTools(t *testing.T) {
	d := Build(Info{Title: "t", Version: "1"}, nil)
	checkOpenAPI(t, d.JSON)
	if len(d.Operations) != 0 || len(d.Warnings) != 0 {
		t.Errorf("%v, %q", d.Operations, d.Warnings)
	}
}

func TestParseTool(t *testing.T) {
	for _, bad := range []string{``, `5`, `{}`, `{"name":5}`, `{"Name":"a"}`, `[]`, `{"name":"a"`} {
		if got, err := ParseTool(json.RawMessage(bad)); err == nil {
			t.Errorf("ParseTool(%s) = %+v", bad, got)
		}
	}
	got := tool(t, `{"name":"a","NAME":"b","description":null,"inputSchema":{"b":1.0,"a":9007199254740993},"outputSchema":null}`)
	if got.Name != "a" || got.Description != "" || string(got.InputSchema) != `{"b":1.0,"a":9007199254740993}` || got.OutputSchema != nil {
		t.Errorf("ParseTool = %+v", got)
	}
	if got := tool(t, "{\"name\":\"a\",\"description\":\"\xff\\ud800\"}"); got.Description != "\uFFFD\uFFFD" {
		t.Errorf("a description that is no Unicode: %q", got.Description)
	}
}
