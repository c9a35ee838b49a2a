package app

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestUnreadAnswers: who does not take an answer loses the connection; who
// does gets all of it.
func TestUnreadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		per  time.Duration
		read bool
	}{"unread": {50 * time.Millisecond, false}, "read": {time.Minute, true}} {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer inner.Close()
		peer, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		conn, err := timedListener{inner, c.per}.Accept()
		if err != nil {
			t.Fatal(err)
		}
		const size = 64 << 20 // more than the sockets hold
		got := make(chan int64, 1)
		if c.read {
			go func() {
				n, _ := io.Copy(io.Discard, peer)
				got <- n
			}()
		}
		n, err := conn.Write(make([]byte, size))
		conn.Close()
		if !c.read && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %d bytes were written, %v", name, n, err)
		}
		if c.read && (err != nil || n != size || <-got != size) {
			t.Errorf("%s: %d bytes were written, %v", name, n, err)
		}
	}
}
