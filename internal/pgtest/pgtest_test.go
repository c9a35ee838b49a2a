package pgtest

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestServer(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := StartWith(t, Options{TCP: true})
	dsn := s.NewDatabase(t)
	SQL(t, dsn, "CREATE TABLE kept (a int, b text); INSERT INTO kept VALUES (1, 'x'), (2, 'y')")
	want := func(dsn string) {
		t.Helper()
		if got := SQL(t, dsn, "SELECT * FROM kept ORDER BY a"); len(got) != 2 || got[0] != "1|x" || got[1] != "2|y" {
			t.Fatalf("the rows are %q", got)
		}
	}
	want(At(t, dsn, s.Addr()))
	if got := SQL(t, dsn, "SELECT current_database(), current_user"); got[0] != Name(t, dsn)+"|"+Name(t, dsn) {
		t.Errorf("the database and its owner are %q", got)
	}

	s.Stop(t)
	if _, err := query(t.Context(), dsn, "SELECT 1"); err == nil {
		t.Error("it answers though it was stopped")
	}
	s.Continue(t)
	want(dsn)

	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	s.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused server answers %v", err)
	}
	s.Resume(t)
	want(dsn)
}

func TestEndedServersLeaveNothing(t *testing.T) {
	s, err := start(Options{})
	mustHave(t, err)
	s.Pause(t)
	s.end()
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
}
