package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcpo/internal/store"
	"mcpo/internal/storetest"
)

// The tests of this file start this test's program again, as other processes
// that share a store. What such a process does is named in the environment.
const (
	roleVariable = "STORE_TEST_ROLE"
	dirVariable  = "STORE_TEST_DIR"
)

func TestMain(m *testing.M) {
	role, other := roles()[os.Getenv(roleVariable)]
	if !other {
		os.Exit(m.Run())
	}
	s, err := openShared(os.Getenv(dirVariable))
	if err == nil {
		err = role(context.Background(), s)
	}
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// openShared opens the store that is shared: in a folder, or by a DSN.
func openShared(where string) (storetest.Store, error) {
	log := slog.New(slog.DiscardHandler)
	if !strings.HasPrefix(where, "postgres:") {
		return store.Open(store.Options{Dir: where, Log: log})
	}
	return store.OpenPostgres(context.Background(), optionsOf(where, log, firstSecret).Lease(shortLease))
}

const (
	processes = 4
	rounds    = 25
)

func roles() map[string]func(context.Context, storetest.Store) error {
	return map[string]func(context.Context, storetest.Store) error{
		"hold":  holdLock,
		"count": countUp,
		"take":  takeTickets,
		"write": writeOn,
		"begin": begin,
	}
}

// holdLock locks and waits until it is killed, or its standard input ends.
func holdLock(ctx context.Context, s storetest.Store) error {
	if _, _, err := s.Lock(ctx, grant("notes", "ada")); err != nil {
		return err
	}
	fmt.Println("locked")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// countUp adds to a number in a record, as refreshing a grant does.
func countUp(ctx context.Context, s storetest.Store) error {
	for range rounds {
		if err := countOnce(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func countOnce(ctx context.Context, s storetest.Store) error {
	_, unlock, err := s.Lock(ctx, grant("notes", "ada"))
	if err != nil {
		return err
	}
	defer unlock()
	r, err := s.Get(ctx, grant("notes", "ada"))
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(r.Value))
	if err != nil {
		return err
	}
	r.Value = []byte(strconv.Itoa(n + 1))
	if err := s.Put(ctx, r); err != nil {
		return err
	}
	_, err = s.Sweep(ctx)
	return err
}

// takeTickets takes every ticket and prints those it got.
func takeTickets(ctx context.Context, s storetest.Store) error {
	for i := range rounds {
		switch r, err := s.Take(ctx, ticket(i)); {
		case err == nil:
			fmt.Printf("%s\n", r.Value)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	return nil
}

func ticket(i int) store.Key { return store.Key{Kind: store.Tickets, Name: strconv.Itoa(i)} }

// writeOn replaces a record by longer and shorter ones until it is killed.
func writeOn(ctx context.Context, s storetest.Store) error {
	for i := 0; ; i++ {
		value := strings.Repeat(strconv.Itoa(i%10), 1+i%3*10_000)
		if err := s.Put(ctx, store.Record{Key: grant("notes", "ada"), Value: []byte(value)}); err != nil {
			return err
		}
		fmt.Println("written")
	}
}

// begin opens an empty folder together with others, and leaves a record.
func begin(ctx context.Context, s storetest.Store) error {
	name := strconv.Itoa(os.Getpid())
	return s.Put(ctx, store.Record{Key: grant("notes", name), Value: []byte(name)})
}

// process is another process that shares a store.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	end   func() // of its standard input
}

// start starts a process. It is killed when the test ends.
func start(t *testing.T, role, dir string) *process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
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
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return &process{cmd, bufio.NewScanner(out), func() { in.Close() }}
}

// wait reads what the process says and returns it with the end.
func (p *process) wait(t *testing.T) (said []string) {
	t.Helper()
	for p.lines.Scan() {
		said = append(said, p.lines.Text())
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("a process: %v, it said %q", err, said)
	}
	return said
}

// hear waits for n lines, all of them the same.
func (p *process) hear(t *testing.T, n int, want string) {
	t.Helper()
	for range n {
		if !p.lines.Scan() || p.lines.Text() != want {
			t.Fatalf("a process said %q, %v; want %q", p.lines.Text(), p.lines.Err(), want)
		}
	}
}

// startAll starts processes that do the same, and returns what all of them said.
func startAll(t *testing.T, role, dir string) (said []string) {
	t.Helper()
	var all []*process
	for range processes {
		all = append(all, start(t, role, dir))
	}
	for _, p := range all {
		said = append(said, p.wait(t)...)
	}
	return said
}

func TestProcessesLockEachOtherOut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, grant("notes", "ada"), "0")
	startAll(t, "count", dir)
	wantValue(t, s, grant("notes", "ada"), strconv.Itoa(processes*rounds))
}

func TestAKilledProcessFreesItsLock(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, end := range []func(*process){
		func(p *process) { _ = p.cmd.Process.Kill() },
		func(p *process) { p.end() },
	} {
		p := start(t, "hold", dir)
		p.hear(t, 1, "locked")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, _, err := s.Lock(ctx, grant("notes", "ada")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Lock of what another process holds: %v, want DeadlineExceeded", err)
		}
		cancel()
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		end(p)
		_, unlock, err := s.Lock(t.Context(), grant("notes", "ada"))
		if err != nil {
			t.Fatal(err)
		}
		unlock()
	}
}

func TestOneProcessTakes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var want []string
	for i := range rounds {
		if err := s.Put(t.Context(), store.Record{Key: ticket(i), Value: []byte(strconv.Itoa(i))}); err != nil {
			t.Fatal(err)
		}
		want = append(want, strconv.Itoa(i))
	}
	got := startAll(t, "take", dir)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the tickets %q were taken, want each of %q once", got, want)
	}
}

// TestKilledWhileWriting kills a process amid its writes: what is found then is
// one of the records it wrote, whole.
func TestKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	for n := range 10 {
		p := start(t, "write", dir)
		p.hear(t, n+1, "written")
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()

		s := open(t, dir)
		r, err := s.Get(t.Context(), grant("notes", "ada"))
		if err != nil || len(r.Value)%10_000 != 1 || strings.Trim(string(r.Value), string(r.Value[:1])) != "" {
			t.Fatalf("Get = %d bytes, %v", len(r.Value), err)
		}
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if got := files(t, dir); len(got) != 1 {
			t.Errorf("the folder holds %q, want one record", got)
		}
	}
}

func TestProcessesMakeOneKey(t *testing.T) {
	for range 5 {
		dir := t.TempDir()
		startAll(t, "begin", dir)
		found, err := open(t, dir).List(t.Context(), store.Grants)
		if err != nil || len(found) != processes {
			t.Fatalf("List = %d records, %v; want %d", len(found), err, processes)
		}
	}
}
