package e2e

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mcpo/internal/mcptest"
)

// expectation is what one call to a real server must bring.
type expectation struct {
	tool, body string
	status     int
	contains   string // part of the answer's body
}

// realServer is a server of a registry, or of an SDK, and what is known of it.
type realServer struct {
	name    string
	config  func(t *testing.T) serverConfig
	expects []expectation
}

func realServers() []realServer {
	everything := []expectation{
		{"echo", `{"message":"hällo"}`, 200, `"Echo: hällo"`},
		{"get-sum", `{"a":40,"b":2}`, 200, "42"},
		{"get-tiny-image", `{}`, 200, `data:image/png;base64,`},
		{"echo", `{}`, 422, `"loc":["body","message"]`},
		{"no-such-tool", `{}`, 404, `"message"`},
	}
	sdk := []expectation{
		{"greet", `{"name":"you"}`, 200, `"hello you"`},
		{"greet", `{"name":"you","loud":"true"}`, 200, `"HELLO YOU"`},
		{"total", `{"numbers":[40,2]}`, 200, `"total":`},
		{"total", `{"numbers":"none"}`, 422, `"loc":["body","numbers"]`},
		{"fail", `{"reason":"on purpose"}`, 500, `{"detail":{"message":"`},
	}
	return []realServer{
		{"everything-stdio", everythingStdio, everything},
		{"everything-http", everythingHTTP, everything},
		{"everything-sse", everythingSSE, everything},
		{"memory", memory, []expectation{
			{"create_entities", `{"entities":[{"name":"mcpo","entityType":"program","observations":["is small"]}]}`, 200, `"mcpo"`},
			{"search_nodes", `{"query":"small"}`, 200, `"is small"`},
			{"create_entities", `{"entities":[{"name":"mcpo"}]}`, 422, `"entityType"`},
		}},
		{"filesystem", filesystem, []expectation{
			{"read_text_file", `{"path":"FOLDER/hello.txt"}`, 200, "hello file"},
			{"read_media_file", `{"path":"FOLDER/sound.wav"}`, 200, `"data:audio/wav;base64,UklGRg=="`},
			{"read_text_file", `{"path":"FOLDER/none.txt"}`, 500, "ENOENT"},
			{"list_directory_with_sizes", `{"path":"FOLDER","sortBy":"colour"}`, 422, `"sortBy"`},
		}},
		{"sequential-thinking", func(t *testing.T) serverConfig {
			return serverConfig{"command": nodeProgram(t, "mcp-server-sequential-thinking")}
		}, []expectation{
			{"sequentialthinking", `{"thought":"t","nextThoughtNeeded":"false","thoughtNumber":1,"totalThoughts":1}`, 200, `"thoughtNumber": 1`},
			{"sequentialthinking", `{"thought":"t","nextThoughtNeeded":true,"thoughtNumber":0,"totalThoughts":2}`, 422, `"thoughtNumber"`},
		}},
		{"time", func(t *testing.T) serverConfig {
			return serverConfig{"command": installed(t, "py/bin/mcp-server-time"), "args": []string{"--local-timezone=America/New_York"}}
		}, []expectation{
			{"convert_time", `{"source_timezone":"UTC","time":"16:30","target_timezone":"Asia/Tokyo"}`, 200, `"time_difference": "+9.0h"`},
			{"get_current_time", `{"timezone":"Mars/Base"}`, 500, "Mars/Base"},
		}},
		{"git", git, []expectation{
			{"git_log", `{"repo_path":"FOLDER","max_count":"1"}`, 200, "first commit"},
			{"git_branch", `{"repo_path":"FOLDER","branch_type":"local","contains":null}`, 200, "* main"},
			{"git_show", `{"repo_path":"FOLDER","revision":"nope"}`, 500, "nope"},
		}},
		{"python-sdk-1", func(t *testing.T) serverConfig { return pythonScript(t, "mcpo0020/bin/python") }, sdk},
		{"python-sdk-2", func(t *testing.T) serverConfig { return pythonScript(t, "py/bin/python") }, sdk},
		{"typescript-sdk", typescript, sdk},
	}
}

func everythingStdio(t *testing.T) serverConfig {
	return serverConfig{"command": nodeProgram(t, "mcp-server-everything"), "args": []string{"stdio"}}
}

func everythingHTTP(t *testing.T) serverConfig {
	return serverConfig{"type": "streamable-http", "url": everythingOn(t, "streamableHttp") + "/mcp"}
}

func everythingSSE(t *testing.T) serverConfig {
	return serverConfig{"type": "sse", "url": everythingOn(t, "sse") + "/sse"}
}

// everythingOn starts server-everything on a free port.
func everythingOn(t *testing.T, mode string) (base string) {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(nodeProgram(t, "mcp-server-everything"), mode)
	cmd.Env = append(os.Environ(), "PORT="+port)
	p := run(t, cmd, func(string) {})
	p.eventually(t, func() error {
		c, err := net.Dial("tcp", "localhost:"+port)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	return "http://localhost:" + port
}

func memory(t *testing.T) serverConfig {
	return serverConfig{"command": nodeProgram(t, "mcp-server-memory"),
		"env": map[string]string{"MEMORY_FILE_PATH": filepath.Join(t.TempDir(), "memory.jsonl")}}
}

func filesystem(t *testing.T) serverConfig {
	dir := t.TempDir()
	write(t, dir, "hello.txt", "hello file\n")
	write(t, dir, "sound.wav", "RIFF")
	return serverConfig{"command": nodeProgram(t, "mcp-server-filesystem"), "args": []string{dir}}
}

func git(t *testing.T) serverConfig {
	program := installed(t, "py/bin/mcp-server-git")
	dir := t.TempDir()
	write(t, dir, "a.txt", "hello\n")
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "a.txt"},
		{"-c", "user.name=Tester", "-c", "user.email=tester@example.org", "commit", "-q", "-m", "first commit"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return serverConfig{"command": program, "args": []string{"--repository", dir}}
}

func pythonScript(t *testing.T, interpreter string) serverConfig {
	return serverConfig{"command": installed(t, interpreter), "args": []string{testdata(t, "server.py")}}
}

func typescript(t *testing.T) serverConfig {
	installed(t, "npm/node_modules/@modelcontextprotocol/sdk")
	return serverConfig{"command": "node", "args": []string{testdata(t, "server.mjs"), filepath.Join(toolsFolder(), "npm")}}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// folderOf is the last argument of a server, which is the folder it works on.
func folderOf(c serverConfig) string {
	args, _ := c["args"].([]string)
	if len(args) == 0 {
		return ""
	}
	return args[len(args)-1]
}

// TestRealServers puts one mcpo before each server that strangers wrote.
func TestRealServers(t *testing.T) {
	for _, s := range realServers() {
		t.Run(s.name, func(t *testing.T) {
			config := s.config(t)
			check(t, s, config)
		})
	}
}

// TestGoServers does the same with servers of the Go SDK, which need nothing
// from a registry.
func TestGoServers(t *testing.T) {
	expects := []expectation{
		{"echo", `{"message":"hällo"}`, 200, `"hällo"`},
		{"add", `{"a":40,"b":"2"}`, 200, "42"},
		{"structured", `{}`, 200, `{"ratio":1.0,"id":9007199254740993}`},
		{"types", `{}`, 200, `"data:audio/wav;base64,UklGRg=="`},
		{"fail", `{"message":"on purpose"}`, 500, `{"detail":{"message":"on purpose"}}`},
		{"echo", `{}`, 422, `"loc":["body","message"]`},
		{"no-such-tool", `{}`, 404, `"message"`},
	}
	for _, s := range []realServer{
		{"stdio", func(t *testing.T) serverConfig {
			return serverConfig{"command": mcptest.BuildStdio(t), "args": []string{"--garbage", "--page-size", "2"}}
		}, expects},
		{"http", func(t *testing.T) serverConfig {
			return serverConfig{"type": "streamable-http", "url": mcptest.StartHTTP(t, mcptest.Options{PageSize: 2})}
		}, expects},
		{"http-json", func(t *testing.T) serverConfig {
			return serverConfig{"type": "http", "url": mcptest.StartHTTP(t, mcptest.Options{JSONResponse: true})}
		}, expects},
		{"http-stateless", func(t *testing.T) serverConfig {
			return serverConfig{"type": "http", "url": mcptest.StartHTTP(t, mcptest.Options{Stateless: true})}
		}, expects},
		{"sse", func(t *testing.T) serverConfig {
			return serverConfig{"type": "sse", "url": mcptest.StartSSE(t, mcptest.Options{})}
		}, expects},
		{"url-without-type", func(t *testing.T) serverConfig {
			return serverConfig{"url": mcptest.StartSSE(t, mcptest.Options{})}
		}, expects},
	} {
		t.Run(s.name, func(t *testing.T) { check(t, s, s.config(t)) })
	}
}

// check starts mcpo before the server, looks into its document, and calls.
func check(t *testing.T, s realServer, config serverConfig) {
	t.Helper()
	p := startOurs(t, "--config", configFile(t, map[string]serverConfig{s.name: config}))
	p.ready(t)
	tools := documentedTools(t, p, "/"+s.name)
	for _, e := range s.expects {
		if e.status != 404 && !tools[e.tool] {
			t.Errorf("openapi.json does not have %s", e.tool)
		}
		got := p.mustCall(t, "/"+s.name+"/"+e.tool, strings.ReplaceAll(e.body, "FOLDER", folderOf(config)))
		if got.Status != e.status || !strings.Contains(got.Body, e.contains) {
			t.Errorf("%s %s: got %d %s, want %d with %s", e.tool, e.body, got.Status, got.Body, e.status, e.contains)
		}
	}
}

// documentedTools reads the paths of an OpenAPI document, whose operations must
// have distinct ids.
func documentedTools(t *testing.T, p *proxy, mount string) map[string]bool {
	t.Helper()
	var d struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	if err := p.got(mount+"/openapi.json", &d); err != nil {
		t.Fatal(err)
	}
	if d.OpenAPI != "3.1.0" {
		t.Errorf("the document says it is OpenAPI %q", d.OpenAPI)
	}
	tools, ids := map[string]bool{}, map[string]string{}
	for path, operations := range d.Paths {
		tools[strings.TrimPrefix(path, "/")] = true
		var op struct{ OperationID string }
		if err := json.Unmarshal(operations["post"], &op); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if other, taken := ids[op.OperationID]; taken {
			t.Errorf("%s and %s share the operation id %s", path, other, op.OperationID)
		}
		ids[op.OperationID] = path
	}
	return tools
}
