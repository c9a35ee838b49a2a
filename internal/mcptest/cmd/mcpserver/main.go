// Command mcpserver is the MCP server of package mcptest on its standard
// streams, with flags that make it misbehave as real servers do.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcpo/internal/mcptest"
)

// sleeper is the argument that makes this program the child of itself.
const sleeper = "--sleep-for-ever"

func main() {
	if len(os.Args) == 2 && os.Args[1] == sleeper {
		time.Sleep(time.Hour)
		return
	}
	var f faults
	var o mcptest.Options
	child := flag.Bool("child", false, "start a child that never ends by itself, and print its process id to standard error")
	flag.DurationVar(&f.delay, "delay", 0, "wait so long before the first message is read")
	flag.BoolVar(&f.garbage, "garbage", false, "write lines that are no JSON to standard output, between the messages")
	flag.BoolVar(&f.ignoreInitialize, "ignore-initialize", false, "never answer initialize and server/discover")
	flag.StringVar(&f.crashOn, "crash-on", "", "exit with status 3, without an answer, when the tool of this `name` is called")
	flag.StringVar(&o.Name, "name", "", "introduce as `name`")
	flag.IntVar(&o.PageSize, "page-size", 0, "list so many tools on a page")
	flag.Parse()

	if *child {
		if err := startChild(); err != nil {
			fail(err)
		}
	}
	s := mcptest.NewServer(o)
	s.AddReceivingMiddleware(f.crash)
	if err := s.Run(context.Background(), &faultyTransport{f}); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "mcpserver:", err)
	os.Exit(1)
}

// startChild leaves standard output to the child as well, as npx does, so that
// the pipe stays open when this process alone is killed.
func startChild() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the program: %w", err)
	}
	c := exec.Command(self, sleeper)
	c.Stdout = os.Stdout
	if err := c.Start(); err != nil {
		return fmt.Errorf("starting the child: %w", err)
	}
	fmt.Fprintf(os.Stderr, "child %d\n", c.Process.Pid)
	return nil
}

// crash is a middleware that ends the process on a call of the chosen tool.
func (f faults) crash(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if r, ok := req.(*mcp.CallToolRequest); ok && f.crashOn != "" && r.Params.Name == f.crashOn {
			fmt.Fprintln(os.Stderr, "mcpserver: crashing as told")
			os.Exit(3)
		}
		return next(ctx, method, req)
	}
}
