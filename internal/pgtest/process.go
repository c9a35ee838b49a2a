package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// missingError says that PostgreSQL is not installed here.
type missingError struct{ where string }

// Error implements error.
func (e *missingError) Error() string {
	return "needs the programs initdb and postgres (Debian's package postgresql), which are neither in the PATH nor in " + e.where
}

func asMissing(err error, missing **missingError) bool { return errors.As(err, missing) }

// programs is the folder of PostgreSQL's programs. Debian keeps them out of the
// PATH, in a folder for each version.
func programs() (string, error) {
	const debian = "/usr/lib/postgresql/*/bin"
	found, err := filepath.Glob(debian)
	if err != nil {
		return "", err
	}
	slices.Sort(found)
	slices.Reverse(found)
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, filepath.Dir(path))
	}
	for _, dir := range found {
		_, initdb := os.Stat(filepath.Join(dir, "initdb"))
		_, postgres := os.Stat(filepath.Join(dir, "postgres"))
		if initdb == nil && postgres == nil {
			return dir, nil
		}
	}
	return "", &missingError{debian}
}

// watchman runs postgres and ends it with the signal that it is told, or with
// SIGQUIT once whoever started it is gone, however that ended. Then it takes
// the folder away, too.
const watchman = `dir=$1; shift
"$@" </dev/null & pid=$!
read -r signal || signal=
kill -s "${signal:-QUIT}" "$pid"; kill -s CONT "$pid"
wait "$pid"
[ -n "$signal" ] || rm -rf "$dir"`

// keeper is the watchman of one run of a server.
type keeper struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// run starts postgres and waits until it answers.
func (s *Server) run() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	listen := ""
	if s.tcp {
		listen = "127.0.0.1"
	}
	cmd := exec.Command("/bin/sh", "-c", watchman, "sh", s.dir,
		filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir, "-p", strconv.Itoa(s.port), "-c", "listen_addresses="+listen)
	if !s.durable {
		cmd.Args = append(cmd.Args,
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB", "-c", "autovacuum=off", "-c", "jit=off")
	}
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = s.dir, attributes(), log, log
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.keeper = &keeper{cmd, in}
	return s.untilReady()
}

func (s *Server) untilReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, err := query(ctx, s.DSN(), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("it does not answer: %w; it said:\n%s", err, said)
		case <-time.After(pause):
		}
	}
}

// Stop shuts the server down: it ends all connections, and its socket is gone
// when Stop returns.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.Resume(t)
	if s.keeper == nil {
		return
	}
	if _, err := io.WriteString(s.keeper.in, "INT\n"); err != nil {
		t.Fatalf("stopping PostgreSQL: %v", err)
	}
	_ = s.keeper.cmd.Wait() // with the status of postgres, whatever it is
	s.keeper = nil
}

// Continue starts a server again that was stopped, with all its databases.
func (s *Server) Continue(t testing.TB) {
	t.Helper()
	if s.keeper != nil {
		return
	}
	if err := s.run(); err != nil {
		t.Fatalf("starting PostgreSQL again: %v", err)
	}
}

// end stops the server for good and removes its folder.
func (s *Server) end() {
	signalAll(s.paused, false)
	if s.keeper != nil {
		_ = s.keeper.in.Close()
		_ = s.keeper.cmd.Wait()
	}
	_ = s.remove()
}

// remove takes the folder away, and tells what came between.
func (s *Server) remove() string {
	if err := os.RemoveAll(s.dir); err != nil {
		return "; " + err.Error()
	}
	return ""
}

// Pause halts all processes of the server, as a machine does that hangs: its
// socket takes connections, and nothing answers.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		t.Fatalf("pausing PostgreSQL: %v", err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		t.Fatalf("pausing PostgreSQL: %v", err)
	}
	signalAll([]int{postmaster}, true) // so that it starts no more
	children, err := childrenOf(postmaster)
	s.paused = append(children, postmaster)
	if err != nil {
		s.Resume(t)
		t.Fatalf("pausing PostgreSQL: %v", err)
	}
	signalAll(children, true)
}

// Resume lets a server go on that was paused.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	signalAll(s.paused, false)
	s.paused = nil
}

// childrenOf lists the processes that a process started and that are still
// there. PostgreSQL puts each into a group of its own.
func childrenOf(parent int) (children []int, err error) {
	statuses, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	if len(statuses) == 0 {
		return nil, errors.New("this system has no /proc to find its processes in")
	}
	for _, path := range statuses {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// The name, in parentheses, may hold anything; proc(5).
		rest := string(content[strings.LastIndexByte(string(content), ')')+1:])
		if fields := strings.Fields(rest); len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		children = append(children, pid)
	}
	return children, nil
}
