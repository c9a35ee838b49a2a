package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// webUI is Open WebUI's own code between a chat and a tool server, in a process
// that answers one line with one line: testdata/openwebui.py says how.
type webUI struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
}

// webUIKey is the WEBUI_SECRET_KEY of every Open WebUI here.
const webUIKey = "the-session-key-of-this-open-webui"

// startWebUI starts it with more in its environment.
func startWebUI(t *testing.T, more ...string) *webUI {
	t.Helper()
	cmd := exec.Command(installed(t, "owui/bin/python"), testdata(t, "openwebui.py"))
	cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1,localhost", "WEBUI_SECRET_KEY="+webUIKey)
	cmd.Env = append(cmd.Env, more...)
	log := &bytes.Buffer{}
	cmd.Stderr, cmd.WaitDelay = log, time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("openwebui.py: %v", err)
		}
		if t.Failed() {
			t.Logf("output of openwebui.py:\n%s", log)
		}
	})
	return &webUI{cmd: cmd, in: in, answers: json.NewDecoder(out)}
}

// ask puts one question; the answer goes to v.
func (w *webUI) ask(t *testing.T, question, v any) {
	t.Helper()
	line, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(patience, func() { _ = w.cmd.Process.Kill() }).Stop()
	if _, err := fmt.Fprintf(w.in, "%s\n", line); err != nil {
		t.Fatalf("asking Open WebUI: %v", err)
	}
	if err := w.answers.Decode(v); err != nil {
		t.Fatalf("Open WebUI did not answer: %v", err)
	}
}

// connection is a tool server as Open WebUI's administrator enters it.
type connection map[string]any

// connect enters a server of mcpo. auth is none, bearer or session.
func connect(p *proxy, server, auth, key string) connection {
	return connection{
		"type": "openapi", "url": p.base + "/" + server, "path": "openapi.json", "spec_type": "url",
		"auth_type": auth, "key": key, "headers": nil,
		"config": map[string]any{"enable": true},
		"info":   map[string]string{"id": server, "name": server, "description": ""},
	}
}

// person is somebody who uses Open WebUI; a connection without grants is for
// administrators, so all are.
type person struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
	Role  string `json:"role"`
}

// toolSpec is a tool as the model is told of it.
type toolSpec struct {
	Name, Description string
	Parameters        parameters
}

type parameters struct {
	Type       string
	Properties map[string]map[string]any
	Required   []string
}

// listed is what Open WebUI keeps of a tool server for everybody.
type listed struct {
	ID      string
	OpenAPI struct {
		Paths map[string]map[string]operation
	}
	Specs []toolSpec
}

type operation struct {
	OperationID string
	RequestBody struct {
		Content map[string]struct{ Schema parameters }
	}
}

// operationID is the name that the model has for the tool at a path.
func (l listed) operationID(path string) string {
	for _, op := range l.OpenAPI.Paths[path] {
		return op.OperationID
	}
	return ""
}

// list reads the documents as for the whole instance, which has no user then.
func (w *webUI) list(t *testing.T, of ...connection) []listed {
	t.Helper()
	var a struct{ Servers []listed }
	w.ask(t, map[string]any{"do": "list", "connections": of}, &a)
	return a.Servers
}

// session signs a person in, and gives the token that their browser has then.
// life is how long it is good for, "-1" for ever.
func (w *webUI) session(t *testing.T, who person, life string) string {
	t.Helper()
	var a struct{ Token string }
	w.ask(t, map[string]any{"do": "session", "user": who, "life": life}, &a)
	return a.Token
}

// chat is a person's conversation. Its credential is whatever it came with: the
// token of their browser, or an API key.
type chat struct {
	*webUI
	who        person
	credential string
	tools      []connection
}

// outcome is what a call brings.
type outcome struct {
	Sent   map[string]any // the arguments that were left
	Text   string         // what the model reads
	Failed bool           // whether the chat shows the call as failed
	Files  []struct{ Type, URL, Content string }
}

// said is the text in which a server's error is without the packing.
func (o outcome) said() string {
	var packed struct{ Error string }
	if json.Unmarshal([]byte(o.Text), &packed) == nil && packed.Error != "" {
		return packed.Error
	}
	return o.Text
}

// everything is all that comes out, for the log and for looking into it.
func (o outcome) everything() string {
	parts := []string{o.said()}
	for _, f := range o.Files {
		parts = append(parts, f.Type+" "+f.URL+f.Content)
	}
	return strings.Join(parts, "\n")
}

// specs are the tools that the model is told of.
func (c chat) specs(t *testing.T) []toolSpec {
	t.Helper()
	var a struct{ Tools []toolSpec }
	c.ask(t, c.question(), &a)
	return a.Tools
}

// call has the model call a tool with arguments in JSON.
func (c chat) call(t *testing.T, name, arguments string) outcome {
	t.Helper()
	q := c.question()
	q["name"], q["arguments"] = name, arguments
	var a struct{ Call outcome }
	c.ask(t, q, &a)
	return a.Call
}

func (c chat) question() map[string]any {
	return map[string]any{"do": "chat", "connections": c.tools, "user": c.who, "credential": c.credential}
}
