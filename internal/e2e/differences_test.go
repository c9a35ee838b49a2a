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

// comparisons is every call of the differential test, and with it the one table
// of the differences that are intended.
func comparisons() []comparison {
	same := difference{}
	return []comparison{
		{"everything", "echo", `{"message":"hi"}`, same},
		{"everything", "echo", `{"message":"héllo ☃ 😀 \"q\" \\ \n\ttab"}`, same},
		{"everything", "echo", `{"message":""}`, same},
		{"everything", "echo", `{"message":"a","message":"b"}`, same},
		{"everything", "echo", `{}`, same},
		{"everything", "echo", `{"message":5}`, same},
		{"everything", "echo", `{"message":null}`, same},
		{"everything", "echo", `{"message":["x"]}`, same},
		{"everything", "echo", `{"message":"x","extra":1}`, same},
		{"everything", "echo", `[]`, same},
		{"everything", "echo", `"x"`, same},
		{"everything", "echo", `{"message":`, same},
		{"everything", "echo", `{"message":"x"} trailing`, same},
		{"everything", "echo", ``, same},
		{"everything", "echo", `null`, same},
		{"everything", "get-sum", `{"a":1,"b":2}`, same},
		{"everything", "get-sum", `{"a":"1.5","b":2}`, same},
		{"everything", "get-sum", `{"a":true,"b":2}`, same},
		{"everything", "get-sum", `{"a":"x","b":2}`, same},
		{"everything", "get-tiny-image", `{}`, same},
		{"everything", "get-annotated-message", `{"messageType":"success","includeImage":true}`, same},
		{"everything", "get-annotated-message", `{"messageType":"nonsense"}`, same},
		{"everything", "get-structured-content", `{"location":"New York"}`, same},
		{"everything", "get-resource-links", `{"count":2}`, same},
		{"everything", "get-resource-reference", `{"resourceType":"Text","resourceId":1}`, same},
		{"everything", "no-such-tool", `{}`, same},
		{"memory", "read_graph", `{}`, same},
		{"memory", "create_entities", `{"entities":[{"name":"n","entityType":"t","observations":["o"]}]}`, same},
		{"memory", "create_entities", `{"entities":[{"name":"n"}]}`, same},
		{"memory", "open_nodes", `{"names":["n"]}`, same},
		{"memory", "add_observations", `{"observations":[{"entityName":"missing","contents":["x"]}]}`, same},
		{"filesystem", "read_text_file", `{"path":"FOLDER/hello.txt"}`, same},
		{"filesystem", "read_text_file", `{"path":"FOLDER/none.txt"}`, same},
		{"filesystem", "read_media_file", `{"path":"FOLDER/sound.wav"}`, same},
		{"filesystem", "read_media_file", `{"path":"FOLDER/hello.txt"}`, same},
		{"filesystem", "list_directory", `{"path":"FOLDER"}`, same},
		{"filesystem", "list_directory_with_sizes", `{"path":"FOLDER","sortBy":"colour"}`, same},
		{"time", "convert_time", `{"source_timezone":"UTC","time":"16:30","target_timezone":"Asia/Tokyo"}`, same},
		{"time", "convert_time", `{"time":"16:30"}`, same},
		{"time", "get_current_time", `{"timezone":"Mars/Base"}`, same},
		{"git", "git_log", `{"repo_path":"FOLDER","max_count":1}`, same},
		{"git", "git_log", `{"repo_path":"FOLDER","max_count":"1"}`, same},
		{"git", "git_branch", `{"repo_path":"FOLDER","branch_type":"local"}`, same},
		{"git", "git_branch", `{"repo_path":"FOLDER","branch_type":"local","contains":null}`, same},
		{"git", "git_show", `{"repo_path":"FOLDER","revision":"nope"}`, same},
		{"sequential-thinking", "sequentialthinking", `{"thought":"t","nextThoughtNeeded":true,"thoughtNumber":1,"totalThoughts":2}`, same},
		{"sequential-thinking", "sequentialthinking", `{"thought":"t","nextThoughtNeeded":"false","thoughtNumber":"4","totalThoughts":true}`, same},
		{"sequential-thinking", "sequentialthinking", `{"thought":"t","nextThoughtNeeded":true,"thoughtNumber":1.5,"totalThoughts":2}`, same},
		{"sequential-thinking", "sequentialthinking", `{"thought":"t","nextThoughtNeeded":true,"thoughtNumber":0,"totalThoughts":2}`, same},
		{"sequential-thinking", "sequentialthinking", `{"thought":"t","nextThoughtNeeded":"maybe","thoughtNumber":5,"totalThoughts":5}`, same},
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
