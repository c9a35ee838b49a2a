package e2e

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// comparison is one call that both mcpos get.
type comparison struct {
	server, tool, body string
	// differs is empty where both must answer alike: the same status, and the
	// same JSON to the last digit.
	differs difference
}

// difference says why mcpo answers otherwise, and what both answer then. A body
// is given by a part of it, after FOLDER was replaced.
type difference struct {
	reason       string
	ours, python answer
}

// The reasons for answering otherwise than mcpo 0.0.20.
const (
	emptyBody    = "a body that is empty or null is an object without arguments, and the first argument that is missing is named"
	everyKeyword = "every keyword of the tool's schema is checked, so that the caller learns what is wrong before the server is asked"
	ownBytes     = "a result keeps the server's own bytes; it is not pressed through the output schema, which makes 1 into 1.0"
	allContent   = "content of every kind is answered with; audio, resource links and embedded resources are lost otherwise"
	sentence     = "every error has a message that a model or a person can act on"
	namedTwice   = "a name that is given twice is refused: the server might read the one that was not checked"
	noNumber     = "true and false are no numbers; numbers in strings are taken as before"
	wording      = "an error tells the same value at the same place to be wrong, in the words of JSON Schema and not in those of pydantic"
	plainError   = "a tool's own error text is the message, and not Python's way to write it inside another text"
)

func differs(reason string, status int, body string, pythonStatus int, pythonBody string) difference {
	return difference{reason, answer{status, body}, answer{pythonStatus, pythonBody}}
}

// comparisons is every call of the differential test, and with it the one table
// of the differences that are intended.
func comparisons() []comparison {
	same := difference{}
	return []comparison{
		{"everything", "echo", `{"message":"hi"}`, same},
		{"everything", "echo", `{"message":"héllo ☃ 😀 \"q\" \\ \n\ttab"}`, same},
		{"everything", "echo", `{"message":""}`, same},
		{"everything", "echo", `{"message":"a","message":"b"}`, differs(namedTwice, 422, `appears twice`, 200, `"Echo: b"`)},
		{"everything", "echo", `{}`, same},
		{"everything", "echo", `{"message":5}`, same},
		{"everything", "echo", `{"message":null}`, same},
		{"everything", "echo", `{"message":["x"]}`, same},
		{"everything", "echo", `{"message":"x","extra":1}`, same},
		{"everything", "echo", `[]`, differs(wording, 422, `"dict_type","loc":["body"],"msg":"Input should be a valid dictionary`, 422, `"model_attributes_type","loc":["body"]`)},
		{"everything", "echo", `"x"`, differs(wording, 422, `"dict_type","loc":["body"],"msg":"Input should be a valid dictionary`, 422, `"model_attributes_type","loc":["body"]`)},
		{"everything", "echo", `{"message":`, same},
		{"everything", "echo", `{"message":"x"} trailing`, same},
		{"everything", "echo", ``, differs(emptyBody, 422, `"loc":["body","message"]`, 422, `"loc":["body"],`)},
		{"everything", "echo", `null`, differs(emptyBody, 422, `"loc":["body","message"]`, 422, `"loc":["body"],`)},
		{"everything", "get-sum", `{"a":1,"b":2}`, same},
		{"everything", "get-sum", `{"a":"1.5","b":2}`, same},
		{"everything", "get-sum", `{"a":true,"b":2}`, differs(noNumber, 422, `"float_type","loc":["body","a"]`, 200, `"The sum of 1 and 2 is 3."`)},
		{"everything", "get-sum", `{"a":"x","b":2}`, same},
		{"everything", "get-tiny-image", `{}`, same},
		{"everything", "get-annotated-message", `{"messageType":"success","includeImage":true}`, same},
		{"everything", "get-annotated-message", `{"messageType":"nonsense"}`, differs(everyKeyword, 422, `"loc":["body","messageType"]`, 500, `Unexpected error`)},
		{"everything", "get-structured-content", `{"location":"New York"}`, differs(ownBytes, 200, `33`, 200, `33.0`)},
		{"everything", "get-resource-links", `{"count":2}`, differs(allContent, 200, `"type":"resource_link"`, 200, `"Here are 2 resource links`)},
		{"everything", "get-resource-reference", `{"resourceType":"Text","resourceId":1}`, differs(allContent, 200, `Resource 1: This is a plaintext resource`, 200, `Embedded resource not supported yet.`)},
		{"everything", "no-such-tool", `{}`, differs(sentence, 404, `{"detail":{"message":"`, 404, `{"detail":"Not Found"}`)},
		{"memory", "read_graph", `{}`, same},
		{"memory", "create_entities", `{"entities":[{"name":"n","entityType":"t","observations":["o"]}]}`, same},
		{"memory", "create_entities", `{"entities":[{"name":"n"}]}`, same},
		{"memory", "open_nodes", `{"names":["n"]}`, same},
		{"memory", "add_observations", `{"observations":[{"entityName":"missing","contents":["x"]}]}`, differs(plainError, 500, `{"detail":{"message":"Entity with name missing not found"}}`, 500, `"Unexpected error"`)},
		{"filesystem", "read_text_file", `{"path":"FOLDER/hello.txt"}`, same},
		{"filesystem", "read_text_file", `{"path":"FOLDER/none.txt"}`, differs(plainError, 500, `{"detail":{"message":"ENOENT: no such file`, 500, `"Unexpected error"`)},
		{"filesystem", "read_media_file", `{"path":"FOLDER/sound.wav"}`, differs(allContent, 200, `"data:audio/wav;base64,UklGRg=="`, 200, `[]`)},
		{"filesystem", "read_media_file", `{"path":"FOLDER/hello.txt"}`, differs(allContent, 200, `base64,aGVsbG8gZmlsZQo=`, 200, `"Embedded resource not supported yet."`)},
		{"filesystem", "list_directory", `{"path":"FOLDER"}`, same},
		{"filesystem", "list_directory_with_sizes", `{"path":"FOLDER","sortBy":"colour"}`, differs(everyKeyword, 422, `"loc":["body","sortBy"]`, 500, `"Unexpected error"`)},
		{"time", "convert_time", `{"source_timezone":"UTC","time":"16:30","target_timezone":"Asia/Tokyo"}`, same},
		{"time", "convert_time", `{"time":"16:30"}`, same},
		{"time", "get_current_time", `{"timezone":"Mars/Base"}`, differs(plainError, 500, `{"detail":{"message":"Error executing tool`, 500, `"Unexpected error"`)},
		{"git", "git_log", `{"repo_path":"FOLDER","max_count":1}`, same},
		{"git", "git_log", `{"repo_path":"FOLDER","max_count":"1"}`, same},
		{"git", "git_branch", `{"repo_path":"FOLDER","branch_type":"local"}`, same},
		{"git", "git_branch", `{"repo_path":"FOLDER","branch_type":"local","contains":null}`, same},
		{"git", "git_show", `{"repo_path":"FOLDER","revision":"nope"}`, differs(plainError, 500, `{"detail":{"message":"Error executing tool`, 500, `"Unexpected error"`)},
		{"sequential-thinking", "sequentialthinking", `{"thought":"t","nextThoughtNeeded":true,"thoughtNumber":1,"totalThoughts":2}`, differs(ownBytes, 200, `"thoughtNumber": 1,`, 200, `"thoughtNumber":1.0,`)},
		{"sequential-thinking", "sequentialthinking", `{"thought":"t","nextThoughtNeeded":"false","thoughtNumber":"4","totalThoughts":5.0}`, differs(ownBytes, 200, `"thoughtNumber": 4,`, 200, `"thoughtNumber":4.0,`)},
		{"sequential-thinking", "sequentialthinking", `{"thought":"t","nextThoughtNeeded":true,"thoughtNumber":1.5,"totalThoughts":2}`, same},
		{"sequential-thinking", "sequentialthinking", `{"thought":"t","nextThoughtNeeded":true,"thoughtNumber":0,"totalThoughts":2}`, differs(everyKeyword, 422, `"loc":["body","thoughtNumber"]`, 500, `"Unexpected error"`)},
		{"sequential-thinking", "sequentialthinking", `{"thought":"t","nextThoughtNeeded":"maybe","thoughtNumber":5,"totalThoughts":5}`, differs(plainError, 500, `{"detail":{"message":"MCP error -32602: Input validation error`, 500, `"Unexpected error"`)},
		{"sequential-thinking", "sequentialthinking", `{}`, same},
	}
}

// TestDifferences gives the same calls to both mcpos, each before servers of
// its own that work on the same folders.
func TestDifferences(t *testing.T) {
	servers := map[string]serverConfig{
		"everything": everythingStdio(t), "filesystem": filesystem(t), "git": git(t),
		"time":                {"command": installed(t, "py/bin/mcp-server-time"), "args": []string{"--local-timezone=UTC"}},
		"sequential-thinking": {"command": nodeProgram(t, "mcp-server-sequential-thinking")},
	}
	// The two must not share what they remember.
	servers["memory"] = memory(t)
	python := startPython(t, "--config", configFile(t, servers))
	servers["memory"] = memory(t)
	ours := startOurs(t, "--config", configFile(t, servers))
	ours.ready(t)
	for _, c := range comparisons() {
		t.Run(c.server+"/"+c.tool, func(t *testing.T) {
			folder := folderOf(servers[c.server])
			path, body := "/"+c.server+"/"+c.tool, strings.ReplaceAll(c.body, "FOLDER", folder)
			c.judge(t, ours.mustCall(t, path, body), python.mustCall(t, path, body))
		})
	}
}

func (c comparison) judge(t *testing.T, ours, python answer) {
	t.Helper()
	if c.differs.reason == "" {
		ours.Body, python.Body = canonical(ours.Body), canonical(python.Body)
		if diff := cmp.Diff(python, ours); diff != "" {
			t.Errorf("%s is answered otherwise (-mcpo 0.0.20 +ours):\n%s", c.body, diff)
		}
		return
	}
	for _, side := range []struct {
		name      string
		got, want answer
	}{{"mcpo", ours, c.differs.ours}, {"mcpo 0.0.20", python, c.differs.python}} {
		if side.got.Status != side.want.Status || !strings.Contains(side.got.Body, side.want.Body) {
			t.Errorf("%s answered %s with %d %s, want %d with %s (%s)", side.name, c.body,
				side.got.Status, side.got.Body, side.want.Status, side.want.Body, c.differs.reason)
		}
	}
}

// canonical sorts the keys and drops the spaces of JSON; numbers stay as they
// were written.
func canonical(body string) string {
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return body
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return body
	}
	return strings.TrimSpace(b.String())
}
