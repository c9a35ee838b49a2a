package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// faults is what the flags asked for.
type faults struct {
	delay            time.Duration
	garbage          bool
	ignoreInitialize bool
	crashOn          string
}

// faultyTransport is the SDK's transport on the standard streams, with faults
// between it and the server.
type faultyTransport struct{ faults }

// Connect implements mcp.Transport.
func (t *faultyTransport) Connect(ctx context.Context) (mcp.Connection, error) {
	time.Sleep(t.delay)
	if t.garbage {
		fmt.Println("Welcome to a server that talks on standard output!")
	}
	c, err := new(mcp.StdioTransport).Connect(ctx)
	return &faultyConn{c, t.faults}, err
}

type faultyConn struct {
	mcp.Connection
	faults
}

// Read implements mcp.Connection.
func (c *faultyConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	for {
		m, err := c.Connection.Read(ctx)
		if r, ok := m.(*jsonrpc.Request); ok && c.ignoreInitialize &&
			(r.Method == "initialize" || r.Method == "server/discover") {
			continue
		}
		return m, err
	}
}

// Write implements mcp.Connection.
func (c *faultyConn) Write(ctx context.Context, m jsonrpc.Message) error {
	if c.garbage {
		fmt.Fprint(os.Stdout, "[debug] about to write\n{\"unfinished\":\n\n[1,2]\n")
	}
	return c.Connection.Write(ctx, m)
}
