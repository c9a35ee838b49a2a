package store_test

import (
	"fmt"
	"net"
	"testing"

	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// frozen is a host that takes connections and never says anything, as one that
// hangs.
func frozen(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// TestHostThatHangs: of the several hosts of a DSN one that hangs keeps nobody from
// the next.
func TestHostThatHangs(t *testing.T) {
	server := pgtest.StartWith(t, pgtest.Options{TCP: true})
	dsn := server.NewDatabase(t)
	for _, hosts := range []int{1, 2} {
		t.Run(fmt.Sprint(hosts), func(t *testing.T) {
			addresses := server.Addr()
			for range hosts {
				addresses = frozen(t) + "," + addresses
			}
			s := openHasty(t, pgtest.At(t, dsn, addresses))
			eventually(t, "the last host is found", func() bool { return s.Health() == nil })
			putIn(t, s, grant("notes", "ada"), "token")
			heard := make(chan struct{}, 1)
			s.Watch(func(key store.Key) {
				select {
				case heard <- struct{}{}:
				default:
				}
			})
			<-heard
		})
	}
}
