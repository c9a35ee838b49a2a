package app

import (
	"net"
	"time"
)

// takeTime is how long a peer may take for a part of an answer before mcpo
// gives the connection up: answers that nobody reads would hold it for ever.
const takeTime = 30 * time.Second

// part is as much as a peer gets the time for, in bytes.
const part = 256 << 10

// timedListener gives writing on its connections a deadline.
type timedListener struct {
	net.Listener
	per time.Duration
}

// Accept implements net.Listener.
func (l timedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &timedConn{conn, l.per}, nil
}

type timedConn struct {
	net.Conn
	per time.Duration
}

// Write implements net.Conn.
func (c *timedConn) Write(b []byte) (int, error) {
	written := 0
	for {
		next := b[written:min(len(b), written+part)]
		if err := c.SetWriteDeadline(time.Now().Add(c.per)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(next)
		if written += n; err != nil || written == len(b) {
			return written, err
		}
	}
}
