// Package pgtest runs a real PostgreSQL server for tests: that of the system's
// package, in a folder of its own, on a Unix socket.
//
//	a test ── Start or Shared ──▶ initdb, postgres
//	       ── NewDatabase ──────▶ an empty database, and a role that owns it
//	       ── Stop, Pause, SQL ─▶ what goes wrong with databases
//
// It stands outside the house: only tests import it.
package pgtest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// patience bounds every wait; it is long, for it is met by failures only.
	patience = 60 * time.Second
	// pause is the time between two looks at something that is under way.
	pause = 10 * time.Millisecond

	admin       = "mcpo" // the superuser
	defaultPort = 5432   // which is no more than a part of the socket's name
)

// Options say what a server has beside its Unix socket.
type Options struct {
	// TCP makes it listen at a port of 127.0.0.1 too.
	TCP bool
	// Durable makes it write as it does for an operator: what it has answered
	// outlives a power failure. Tests do without, for it takes longer.
	Durable bool
}

// Server is a running PostgreSQL server. No goroutine belongs to it.
type Server struct {
	bin, dir  string // the folders of its programs, and of its data and socket
	port      int
	tcp       bool
	durable   bool
	databases atomic.Int32

	keeper *keeper // nil while the server is stopped
	paused []int   // the processes that Pause stopped
}

// Start starts a server that ends with the test. It skips the test where
// PostgreSQL is not installed, unless MCPO_TEST_FULL=1 asks for every test.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, Options{})
}

// StartWith is Start with options.
func StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := start(o)
	mustHave(t, err)
	t.Cleanup(s.end)
	return s
}

// Shared is a server that all tests of a test binary share, each in databases of
// its own. It ends with the binary. Nobody stops or pauses it.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	mustHave(t, err)
	return s
}

// shared starts the shared server when it is first wanted.
var shared = sync.OnceValues(func() (*Server, error) { return start(Options{}) })

func mustHave(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if missing := (*missingError)(nil); asMissing(err, &missing) && os.Getenv("MCPO_TEST_FULL") != "1" {
		t.Skip(err)
	}
	t.Fatalf("starting PostgreSQL: %v", err)
}

// start makes a folder with an empty cluster and runs a server on it.
func start(o Options) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	// Not a test's own folder: its path may be too long for a socket, and closed
	// to the user that the server runs as.
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, port: defaultPort, tcp: o.TCP, durable: o.Durable}
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("%w%s", err, s.remove())
	}
	if err := s.run(); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// prepare makes the cluster.
func (s *Server) prepare() error {
	if s.tcp {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.port = port
	}
	if err := giveAway(s.dir); err != nil {
		return err
	}
	initdb := exec.Command(filepath.Join(s.bin, "initdb"), "--pgdata", s.data(), "--username", admin, "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C")
	initdb.Dir, initdb.SysProcAttr = s.dir, attributes()
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// freePort names a port of the loopback interface that nobody has.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// DSN leads to the server's first database, as its superuser.
func (s *Server) DSN() string { return s.dsn(admin, "postgres") }

func (s *Server) dsn(role, database string) string {
	query := url.Values{"host": {s.dir}, "port": {strconv.Itoa(s.port)}}
	return (&url.URL{Scheme: "postgres", User: url.User(role), Host: "", Path: "/" + database, RawQuery: query.Encode()}).String()
}

// Addr is the host and port of a server with TCP.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// At changes a DSN to lead to the same database at another host and port, as
// that of a proxy.
func At(t testing.TB, dsn, addr string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.RawQuery = addr, "sslmode=disable"
	return u.String()
}

// NewDatabase makes an empty database and a role that owns it and is no
// superuser, and returns the DSN of the two, which have the same name.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("db%d", s.databases.Add(1))
	s.SQL(t, "CREATE ROLE "+name+" LOGIN")
	s.SQL(t, "CREATE DATABASE "+name+" OWNER "+name)
	return s.dsn(name, name)
}

// Name is the name of the database that a DSN leads to.
func Name(t testing.TB, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// SQL runs statements as the superuser, in the server's first database.
func (s *Server) SQL(t testing.TB, statements string) (rows []string) {
	t.Helper()
	return SQL(t, s.DSN(), statements)
}

// SQL runs statements and returns the rows of all of them, the columns joined
// by "|".
func SQL(t testing.TB, dsn, statements string) (rows []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	rows, err := query(ctx, dsn, statements)
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	return rows
}

func query(ctx context.Context, dsn, statements string) (rows []string, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	results, err := conn.PgConn().Exec(ctx, statements).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, result := range results {
		for _, row := range result.Rows {
			var columns []string
			for _, column := range row {
				columns = append(columns, string(column))
			}
			rows = append(rows, strings.Join(columns, "|"))
		}
	}
	return rows, nil
}
