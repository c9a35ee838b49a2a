package openapi

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLogin(t *testing.T) {
	info := Info{Title: "t", Version: "1", Login: &Login{OperationID: "connect_tickets", Summary: "Connect tickets", Description: "Show the link."}}
	meta := metaschema(t)
	for name, tools := range map[string][]Tool{"alone": nil, "with tools": named("a", "login", "Login", "connect_tickets", "logout")} {
		d := Build(info, tools)
		read := checkDocument(t, meta, d)
		checkOpenAPI(t, d.JSON)
		if params := read["connect_tickets"]; params == nil || len(params["properties"].(map[string]any)) != 0 || len(read) != len(tools)+1 {
			t.Errorf("%s: Open WebUI reads %v", name, read)
		}
		doc := decoded(t, d.JSON)
		want := decoded(t, []byte(`{"summary":"Connect tickets","description":"Show the link.","operationId":"connect_tickets"}`))
		op, _ := get(doc, "paths", "/login", "get").(map[string]any)
		if get(op, "responses", "200", "content") == nil || get(op, "responses", "401", "content") == nil {
			t.Errorf("%s: the answers are %v", name, op["responses"])
		}
		delete(op, "responses")
		if diff := cmp.Diff(want, any(op)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
		if !bytes.Contains(d.JSON, []byte(`"paths":{"/login":{"get":{`)) {
			t.Errorf("%s: the login does not come first: %.200s", name, d.JSON)
		}
		if d.Operations["login"] == nil != (tools == nil) || len(d.Operations) != len(tools) {
			t.Errorf("%s: the tools that can be called are %v", name, d.Operations)
		}
	}
}

// TestLoginBesideAToolOfItsName: they share a path and not a method.
func TestLoginBesideAToolOfItsName(t *testing.T) {
	d := Build(Info{Secured: true, Login: &Login{OperationID: "connect_x", Summary: "s"}}, named("b", "login"))
	doc := decoded(t, d.JSON)
	item, _ := get(doc, "paths", "/login").(map[string]any)
	if get(item, "post", "operationId") != "tool_login_post" || get(item, "get", "operationId") != "connect_x" || len(item) != 2 {
		t.Errorf("/login is %v", item)
	}
	if diff := cmp.Diff(get(item, "post", "security"), get(item, "get", "security")); diff != "" || get(item, "get", "security") == nil {
		t.Errorf("the tool is secured, the login otherwise:\n%s", diff)
	}
	if plain := Build(Info{Secured: true}, named("login")); get(decoded(t, plain.JSON), "paths", "/login", "get") != nil {
		t.Error("a login is shown that nobody asked for")
	}
}

func TestLoginIDs(t *testing.T) {
	long := strings.Repeat("x", 100)
	for wanted, want := range map[string]string{
		"connect_time": "connect_time", "connect_my-server": "connect_my-server", "connect_" + long[:56]: "connect_" + long[:56],
		"connect_" + long[:57]: "connect_" + long[:47] + "_*", "connect_a b": "connect_a_b_*", "connect_工具": "connect____*",
		"": "login_", "tool_a_post": "login_tool_a_post", "tool_" + long: "login_tool_" + long[:44] + "_*",
	} {
		got := loginID(wanted)
		start, hashed := strings.CutSuffix(want, "*")
		if !functionName.MatchString(got) || !strings.HasPrefix(got, start) || len(got) != len(start)+map[bool]int{true: 8}[hashed] {
			t.Errorf("%q becomes %q, want %q", wanted, got, want)
		}
	}
	if loginID("connect_a b") == loginID("connect_a c") || loginID("connect_"+long) == loginID("connect_"+long+"y") {
		t.Error("two servers share an id")
	}
}

// TestLoginIDDependsOnNoTool: a document may gain tools when its reader logs in,
// and ids must not change under a model.
func TestLoginIDDependsOnNoTool(t *testing.T) {
	for _, wanted := range []string{"tool_a_post", "connect_a", "login_tool_a_post"} {
		info := Info{Login: &Login{OperationID: wanted, Summary: "s"}}
		alone, beside := Build(info, nil), Build(info, named("a", "login_tool_a"))
		for _, d := range []*Document{alone, beside} {
			if _, err := readTools(d.JSON); err != nil {
				t.Error(err)
			}
		}
		id := func(d *Document) any { return get(decoded(t, d.JSON), "paths", "/login", "get", "operationId") }
		if id(alone) != id(beside) {
			t.Errorf("%q becomes %v alone, %v beside tools", wanted, id(alone), id(beside))
		}
	}
}
