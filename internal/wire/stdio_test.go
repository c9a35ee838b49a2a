package wire

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcpo/internal/mcptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hurry bounds what has to happen; only a defect makes a test wait so long.
const hurry = 20 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	t.Cleanup(cancel)
	return ctx
}

// dialStdio runs our test server, closed with the test.
func dialStdio(t *testing.T, h Handler, args ...string) *stdio {
	t.Helper()
	conn, err := DialStdio(testContext(t), StdioOptions{
		Command: mcptest.BuildStdio(t), Args: args, Env: os.Environ(), Handler: h,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(testContext(t)) })
	return conn.(*stdio)
}

// script runs a shell script as a server: for what no real one would do.
func script(t *testing.T, h Handler, text string) *stdio { return limitedScript(t, h, 0, text) }

func limitedScript(t *testing.T, h Handler, max int, text string) *stdio {
	t.Helper()
	conn, err := DialStdio(testContext(t), StdioOptions{
		Command: "/bin/sh", Args: []string{"-c", text}, Env: os.Environ(), Handler: h, max: max,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(testContext(t)) })
	return conn.(*stdio)
}

func handshake(t *testing.T, conn Conn) *Session {
	t.Helper()
	s, err := Handshake(testContext(t), conn, Identity{"wire-test", "1"}, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStdioServesRealServer(t *testing.T) {
	s := handshake(t, dialStdio(t, Handler{}, "--page-size", "2"))
	if s.Info.Protocol != protocolLatest || s.Info.Name == "" {
		t.Errorf("info = %+v", s.Info)
	}
	tools, err := s.ListTools(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]Tool{}
	for _, tool := range tools {
		names[tool.Name] = tool
	}
	if len(names) < 5 {
		t.Fatalf("only %d tools over all pages", len(names))
	}
	reply, err := s.CallTool(testContext(t), names["echo"], json.RawMessage("{\n \"message\": \"hé\\n\"\r\n}"), nil, CallMeta{})
	if err != nil || reply.Error != nil || !strings.Contains(string(reply.Result), `hé\n`) {
		t.Errorf("echo = %s, %v, %v", reply.Result, reply.Error, err)
	}
}

// TestStdioKeepsBytes: what a server says comes back as the bytes it was.
func TestStdioKeepsBytes(t *testing.T) {
	result := `{"z":9007199254740993,"a":1.0,"nested":{"b":1e5,"a":[]},"unknown":"é\u00e9"}`
	conn := script(t, Handler{}, `read line; printf '%s\n' '{"result":`+strings.ReplaceAll(result, `\`, `\\`)+`,"id":1,"jsonrpc":"2.0"}'; read line`)
	reply, err := conn.Call(testContext(t), Request{Method: "tools/call"})
	if err != nil || strings.ReplaceAll(string(reply.Result), `\\`, `\`) != result {
		t.Errorf("reply = %s, %v", reply.Result, err)
	}
}

// TestStdioSkipsGarbage: a line that is no JSON-RPC message costs nobody
// anything (threats 26).
func TestStdioSkipsGarbage(t *testing.T) {
	s := handshake(t, dialStdio(t, Handler{}, "--garbage"))
	if _, err := s.ListTools(testContext(t)); err != nil {
		t.Error(err)
	}
}

// TestStdioBigReply: 100 MB cost nobody but the call concerned.
func TestStdioBigReply(t *testing.T) {
	if testing.Short() {
		t.Skip("needs some 400 MB of memory; leave -short out")
	}
	s := handshake(t, dialStdio(t, Handler{}))
	tool, _ := parseTool(json.RawMessage(`{"name":"big"}`))
	var wg sync.WaitGroup
	wg.Go(func() {
		reply, err := s.CallTool(testContext(t), tool, json.RawMessage(`{"bytes":100000000}`), nil, CallMeta{})
		if err != nil || len(reply.Result) < 100_000_000 {
			t.Errorf("big reply: %d bytes, %v", len(reply.Result), err)
		}
	})
	wg.Wait()
	if _, err := s.ListTools(testContext(t)); err != nil {
		t.Error(err)
	}
}

// TestStdioTooLarge: a reply beyond the limit fails the call that it answers,
// wherever its id stands, and no other (threats 26).
func TestStdioTooLarge(t *testing.T) {
	for name, format := range map[string]string{
		"id first": `{"id":1,"result":{"x":"%s"}}`, "id last": `{"result":{"x":"%s"},"id":1}`, "no id": `{"result":"%s"}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "reply")
			if err := os.WriteFile(path, []byte(fmt.Sprintf(format, strings.Repeat("x", 200<<10))+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			conn := limitedScript(t, Handler{}, 100<<10, `read go; cat '`+path+`'; read more; echo '{"id":2,"result":{}}'; read end`)
			if _, err := conn.Call(testContext(t), Request{Method: "a"}); !errors.Is(err, ErrReplyTooLarge) {
				t.Errorf("error = %v", err)
			}
			if _, err := conn.Call(testContext(t), Request{Method: "b"}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStdioCancel: a caller that goes away cancels upstream, and the
// conversation goes on (threats 26).
func TestStdioCancel(t *testing.T) {
	lines := make(chan string, 8)
	conn := script(t, Handler{Stderr: func(l string) { lines <- l }},
		`read a; echo "$a" >&2; read b; echo "$b" >&2; echo '{"id":1,"result":"late"}'; read c; echo '{"id":2,"result":{}}'; read end`)
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan error, 1)
	go func() {
		_, err := conn.Call(ctx, Request{Method: "tools/call"})
		done <- err
	}()
	<-lines
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || NotExecuted(err) {
		t.Errorf("error = %v", err)
	}
	if l := <-lines; !strings.Contains(l, `"notifications/cancelled"`) || !strings.Contains(l, `"requestId":1`) {
		t.Errorf("the server heard %s", l)
	}
	if _, err := conn.Call(testContext(t), Request{Method: "b"}); err != nil {
		t.Error(err)
	}
}

// TestStdioDoesNotRead: a child that does not read its input blocks no caller
// beyond the caller's own deadline.
func TestStdioDoesNotRead(t *testing.T) {
	conn := script(t, Handler{}, `exec sleep 3600`)
	params := json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(testContext(t))
	for range 2 * stdioQueue {
		wg.Go(func() { _, _ = conn.Call(ctx, Request{Method: "a", Params: params}) })
	}
	cancel()
	wg.Wait()
}

// TestStdioLastWords: a server that ends says why.
func TestStdioLastWords(t *testing.T) {
	conn := script(t, Handler{}, `echo "no such token" >&2; exit 7`)
	_, err := conn.Call(testContext(t), Request{Method: "initialize"})
	<-conn.Done()
	var exit *ExitError
	if !errors.As(conn.Err(), &exit) || exit.State != "exit status 7" || strings.Join(exit.Stderr, "") != "no such token" {
		t.Errorf("reason = %v; call: %v", conn.Err(), err)
	}
	if _, err := conn.Call(testContext(t), Request{Method: "x"}); !NotExecuted(err) {
		t.Errorf("a call after the end: %v", err)
	}
}

// TestStdioClosesItsOutput: a server that can never answer again is ended, and
// a call to it with it.
func TestStdioClosesItsOutput(t *testing.T) {
	conn := script(t, Handler{}, `exec >&-; while :; do sleep 1; done`)
	if _, err := conn.Call(testContext(t), Request{Method: "a"}); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v", err)
	}
}

// TestStdioClosesItsInput: a server that can be told nothing any more is ended
// too, even if it does not want to.
func TestStdioClosesItsInput(t *testing.T) {
	lines := make(chan string, 1)
	conn := script(t, Handler{Stderr: func(l string) { lines <- l }}, `trap "" TERM; exec <&-; echo ready >&2; while :; do sleep 1; done`)
	<-lines
	if _, err := conn.Call(testContext(t), Request{Method: "a"}); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v", err)
	}
}

// TestStdioIgnoresLongIDs: answers to requests with ids of any length would
// fill the memory while a server does not read them (threats 26).
func TestStdioIgnoresLongIDs(t *testing.T) {
	lines := make(chan string, 1)
	script(t, Handler{Stderr: func(l string) { lines <- l }}, `echo '{"id":"`+strings.Repeat("x", maxForeignID)+`","method":"ping"}'; `+
		`echo '{"id":"short","method":"ping"}'; read a; echo "$a" >&2; read end`)
	if l := <-lines; l != `{"jsonrpc":"2.0","id":"short","result":{}}` {
		t.Errorf("the first answer was %s", l)
	}
}

// TestStdioIgnoresTerm: a child that does not want to end is killed.
func TestStdioIgnoresTerm(t *testing.T) {
	lines := make(chan string, 1)
	conn := script(t, Handler{Stderr: func(l string) { lines <- l }}, `trap "" TERM; echo ready >&2; while :; do sleep 1; done`)
	<-lines
	if err := conn.Close(testContext(t)); err != nil {
		t.Error(err)
	}
	waitGone(t, conn.cmd.Process.Pid)
}

// TestStdioAnswersServerRequests: ping is answered, everything else is refused.
func TestStdioAnswersServerRequests(t *testing.T) {
	lines := make(chan string, 8)
	script(t, Handler{Stderr: func(l string) { lines <- l }},
		`echo '{"id":"p","method":"ping"}'; read a; echo "$a" >&2; echo '{"id":7,"method":"roots/list"}'; read b; echo "$b" >&2; read end`)
	if l := <-lines; l != `{"jsonrpc":"2.0","id":"p","result":{}}` {
		t.Errorf("ping was answered with %s", l)
	}
	if l := <-lines; !strings.Contains(l, `"id":7,"error":{"code":-32601`) {
		t.Errorf("roots/list was answered with %s", l)
	}
}

// TestStdioLeavesNoProcess: grandchildren are gone after Close, and after a
// kill of the child alone, as with npx and node (threats 28).
func TestStdioLeavesNoProcess(t *testing.T) {
	for _, end := range []string{"close", "kill"} {
		t.Run(end, func(t *testing.T) {
			lines := make(chan string, 8)
			conn := dialStdio(t, Handler{Stderr: func(l string) { lines <- l }}, "--child")
			handshake(t, conn)
			var pid int
			if _, err := fmt.Sscanf(<-lines, "child %d", &pid); err != nil {
				t.Fatal(err)
			}
			if end == "kill" {
				conn.cmd.Process.Kill()
				<-conn.Done()
			} else if err := conn.Close(testContext(t)); err != nil {
				t.Fatal(err)
			}
			waitGone(t, pid)
		})
	}
}

// waitGone waits until the process has ended. A zombie counts: nobody but its
// parent can take it away.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(hurry)
	for time.Now().Before(deadline) {
		if syscall.Kill(pid, 0) != nil || zombie(pid) {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func FuzzReadLine(f *testing.F) {
	f.Add([]byte("{\"id\":1}\n\nx"), 16)
	f.Add([]byte(strings.Repeat("y", 5000)+"\n{}\n"), 100)
	f.Fuzz(func(t *testing.T, data []byte, max int) {
		if max < 1 || max > 1<<16 {
			return
		}
		in := bufio.NewReaderSize(strings.NewReader(string(data)), 16)
		for {
			line, err := readLine(in, max)
			if len(line) > max && !errors.Is(err, ErrReplyTooLarge) {
				t.Fatalf("a line of %d bytes passed a limit of %d", len(line), max)
			}
			_, _ = guessID(line)
			if err != nil && !errors.Is(err, ErrReplyTooLarge) {
				return
			}
		}
	})
}
