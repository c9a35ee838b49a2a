package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"

	"mcpo/internal/mcptest"
)

// TestMain makes the test binary into the programs that scripts may start:
// mcpo, a well-behaved MCP server, and one that gives up with words of regret.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"mcpo":      main,
		"mcpserver": serveStdio,
		"brokenserver": func() {
			fmt.Fprintln(os.Stderr, "first words\nno database at hand")
			os.Exit(4)
		},
	})
}

// TestScripts runs testdata/*.txt: how mcpo is spoken to, and what it says.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			address, err := freeAddress()
			env.Setenv("ADDRESS", address)
			// Under the race detector every program would end a second late.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("PORT", address[len("127.0.0.1:"):])
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await},
	})
}

func serveStdio() {
	if err := mcptest.NewServer(mcptest.Options{}).Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// await is the script command "await URL": it goes on once the URL answers 200.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await URL")
	}
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if answer, err := http.Get(args[0]); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s does not answer 200", args[0])
		}
	}
}
