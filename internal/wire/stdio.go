package wire

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	stdioQueue     = 64              // frames that wait for the child to read
	stdioGrace     = 2 * time.Second // between closing stdin and SIGTERM, and again before SIGKILL
	stdioDrainTime = time.Second     // for output still in the pipes once the child has exited
	stderrKept     = 12              // last lines that explain an exit
	stderrLineMax  = 4 << 10         // bytes of one line of standard error
)

// StdioOptions say which program to run.
type StdioOptions struct {
	Command string
	Args    []string
	// Env is the program's whole environment, as KEY=VALUE.
	Env []string
	// Dir is the working folder; "" means ours.
	Dir     string
	Handler Handler
	Log     *slog.Logger

	max int // instead of MaxMessage, for tests
}

// ExitError says that a child process ended, and with which last words.
type ExitError struct {
	// State is the exit in words, for example "exit status 1".
	State string
	// Stderr holds the last lines that the child wrote to standard error.
	Stderr []string
}

// Error implements error.
func (e *ExitError) Error() string {
	if len(e.Stderr) == 0 {
		return fmt.Sprintf("the server's process ended (%s) and wrote nothing to standard error", e.State)
	}
	return fmt.Sprintf("the server's process ended (%s); its last words: %s", e.State, strings.Join(e.Stderr, " | "))
}

// stdio is a Conn to a child process (MCP specification, Transports, stdio):
// one JSON-RPC message a line. Three goroutines serve it: one writes, one reads
// standard output, one reads standard error; they end with the child.
type stdio struct {
	cmd     *exec.Cmd
	stdin   *os.File
	handler Handler
	log     *slog.Logger
	max     int

	calls pending
	queue chan []byte

	reaped  chan struct{} // the child has ended
	exited  chan struct{} // and so have its descendants, and our readers
	done    chan struct{}
	ending  sync.Once
	closing chan struct{} // Close was called
	closed  sync.Once

	mu    sync.Mutex
	words []string // the last lines of standard error
}

// DialStdio starts the program. The child is not bound to ctx: it lives until
// Close, until it exits, or until mcpo dies.
func DialStdio(ctx context.Context, o StdioOptions) (Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &stdio{
		handler: o.Handler, log: o.Log, max: o.max,
		queue:  make(chan []byte, stdioQueue),
		reaped: make(chan struct{}), exited: make(chan struct{}), done: make(chan struct{}), closing: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.max == 0 {
		s.max = MaxMessage
	}
	if err := s.start(o); err != nil {
		return nil, err
	}
	return s, nil
}

// start makes the pipes and the process. The pipes are ours, not os/exec's,
// so that a write to a child that does not read can be given up.
func (s *stdio) start(o StdioOptions) error {
	var files [6]*os.File // stdin, stdout, stderr: read end, write end
	for i := 0; i < 6; i += 2 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(files[:i])
			return fmt.Errorf("making pipes: %w", err)
		}
		files[i], files[i+1] = r, w
	}
	widenPipe(files[2])
	s.cmd = exec.Command(o.Command, o.Args...)
	s.cmd.Env, s.cmd.Dir = o.Env, o.Dir
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = files[0], files[3], files[5]
	s.cmd.SysProcAttr = ownGroup()
	if err := s.cmd.Start(); err != nil {
		closeAll(files[:])
		return fmt.Errorf("starting %s: %w", o.Command, err)
	}
	closeAll([]*os.File{files[0], files[3], files[5]})
	s.stdin = files[1]
	go s.write()
	var readers sync.WaitGroup
	readers.Go(func() {
		s.readStdout(files[2])
		s.outlived()
	})
	readers.Go(func() { s.readStderr(files[4]) })
	go s.wait(files[2], files[4], &readers)
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// wait reaps the child, kills what it left behind in its process group, lets
// the readers finish, and then ends the conversation.
func (s *stdio) wait(stdout, stderr *os.File, readers *sync.WaitGroup) {
	state := "exit status 0"
	if err := s.cmd.Wait(); err != nil {
		state = err.Error()
	}
	close(s.reaped)
	killGroup(s.cmd.Process)
	// A descendant that left the group may hold the pipes open.
	deadline := time.Now().Add(stdioDrainTime)
	stdout.SetReadDeadline(deadline)
	stderr.SetReadDeadline(deadline)
	readers.Wait()
	closeAll([]*os.File{s.stdin, stdout, stderr})
	close(s.exited)
	s.end(&ExitError{State: state, Stderr: s.lastWords()})
}

// outlived ends a child that has closed its standard output but goes on
// living: it will never answer again.
func (s *stdio) outlived() {
	select {
	case <-s.reaped:
	case <-time.After(stdioGrace):
		s.log.Warn("the server closed its standard output without ending; it is killed")
		killGroup(s.cmd.Process)
	}
}

// end ends the conversation once, with the reason.
func (s *stdio) end(reason error) {
	s.ending.Do(func() {
		select {
		case <-s.closing:
			reason = ErrClosed
		default:
		}
		s.calls.fail(reason)
		close(s.done)
	})
}

// Call implements Conn.
func (s *stdio) Call(ctx context.Context, req Request) (Reply, error) {
	id, slot, err := s.calls.register()
	if err != nil {
		return Reply{}, notExecuted{err}
	}
	frame := make([]byte, 0, 64+len(req.Method)+len(req.Params))
	frame = appendRequest(frame, id, req.Method, req.Params)
	if err := s.enqueue(ctx, frame); err != nil {
		s.calls.forget(id)
		return Reply{}, notExecuted{err}
	}
	select {
	case o := <-slot:
		return o.reply, o.err
	case <-ctx.Done():
		if s.calls.forget(id) && req.Method != methodInitialize {
			s.tryEnqueue(appendNotification(nil, "notifications/cancelled", cancelParams(id)))
		}
		return Reply{}, context.Cause(ctx)
	}
}

// Notify implements Conn.
func (s *stdio) Notify(ctx context.Context, method string, params json.RawMessage) error {
	return s.enqueue(ctx, appendNotification(nil, method, params))
}

// SetProtocol implements Conn; on stdio the version shows nowhere.
func (s *stdio) SetProtocol(string) {}

// Done implements Conn.
func (s *stdio) Done() <-chan struct{} { return s.done }

// Err implements Conn.
func (s *stdio) Err() error {
	select {
	case <-s.done:
		return s.calls.reason()
	default:
		return nil
	}
}

// enqueue hands a frame to the writer, waiting while the child does not read.
func (s *stdio) enqueue(ctx context.Context, frame []byte) error {
	oneLine(frame)
	select {
	case s.queue <- append(frame, '\n'):
		return nil
	case <-s.exited:
		return s.calls.reason()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryEnqueue is for what may be lost: it never waits.
func (s *stdio) tryEnqueue(frame []byte) {
	oneLine(frame)
	select {
	case s.queue <- append(frame, '\n'):
	default:
	}
}

// write sends frames to the child. What has queued up meanwhile goes in one
// system call.
func (s *stdio) write() {
	defer s.stdin.Close()
	var batch []byte
	for {
		select {
		case frame := <-s.queue:
			batch = append(batch[:0], frame...)
		case <-s.closing:
			return
		case <-s.exited:
			return
		}
		for more := true; more && len(batch) < 64<<10; {
			select {
			case frame := <-s.queue:
				batch = append(batch, frame...)
			default:
				more = false
			}
		}
		if _, err := s.stdin.Write(batch); err != nil {
			// A child that no longer reads is of no use: end it, and wait says why.
			s.log.Debug("writing to the server failed", "error", err)
			terminateGroup(s.cmd.Process)
			select {
			case <-s.reaped:
			case <-time.After(stdioGrace):
				killGroup(s.cmd.Process)
			}
			return
		}
		if cap(batch) > 1<<20 {
			batch = nil
		}
	}
}

// readStdout hands each line to whom it belongs.
func (s *stdio) readStdout(r io.Reader) {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(in, s.max)
		switch {
		case errors.Is(err, ErrReplyTooLarge):
			if !s.calls.oversized(line) {
				s.log.Warn("the server sent a message that is too large; it is skipped", "limit_bytes", s.max)
			}
		case len(line) > 0:
			s.line(line)
		}
		if err != nil && !errors.Is(err, ErrReplyTooLarge) {
			return
		}
	}
}

// line handles one message, or a batch of them (2025-03-26).
func (s *stdio) line(line []byte) {
	messages, err := splitMessages(line)
	if err != nil {
		s.log.Warn("the server wrote a line to standard output that is no JSON-RPC message; it is skipped",
			"line", string(line[:min(len(line), 200)]))
		return
	}
	s.calls.dispatch(messages, s.handler, s.tryEnqueue)
}

// readLine reads up to the next newline and leaves it out. Of a line longer
// than limit it returns the first and the last 4 KiB with ErrReplyTooLarge.
func readLine(in *bufio.Reader, limit int) ([]byte, error) {
	var line, tail []byte
	over := false
	for {
		part, err := in.ReadSlice('\n')
		if err == nil {
			part = part[:len(part)-1]
		}
		switch {
		case over:
			tail = lastBytes(append(tail, part...), 4<<10)
		case len(line)+len(part) > limit:
			over = true
			tail = lastBytes(append(tail, part...), 4<<10)
			line = bytes.Clone(append(line, part...)[:min(4<<10, len(line)+len(part))])
		default:
			if cap(line)-len(line) < len(part) { // double it, which append does not do for long slices
				line = slices.Grow(line, max(len(part), len(line)))
			}
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if over && (err == nil || errors.Is(err, io.EOF)) {
			return append(line, tail...), ErrReplyTooLarge
		}
		return bytes.TrimSpace(line), err
	}
}

func lastBytes(b []byte, n int) []byte {
	return b[max(0, len(b)-n):]
}

// readStderr passes lines on to the log and keeps the last ones.
func (s *stdio) readStderr(r io.Reader) {
	in := bufio.NewReaderSize(r, stderrLineMax)
	for {
		part, more, err := in.ReadLine()
		if err != nil {
			return
		}
		line := strings.TrimSpace(strings.ToValidUTF8(string(part), "\uFFFD"))
		for more && err == nil {
			_, more, err = in.ReadLine()
		}
		if line == "" {
			continue
		}
		s.mu.Lock()
		s.words = append(s.words, line)
		if len(s.words) > stderrKept {
			s.words = s.words[1:]
		}
		s.mu.Unlock()
		if s.handler.Stderr != nil {
			s.handler.Stderr(line)
		}
	}
}

func (s *stdio) lastWords() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.words...)
}

// Close implements Conn: it closes the child's standard input, as the
// specification asks, then terminates and at last kills the whole group.
func (s *stdio) Close(ctx context.Context) error {
	s.closed.Do(func() {
		close(s.closing)
		s.stdin.SetWriteDeadline(time.Now()) // a blocked writer gives up
	})
	for _, step := range []func(*os.Process){terminateGroup, killGroup} {
		select {
		case <-s.exited:
			return nil
		case <-ctx.Done():
			killGroup(s.cmd.Process)
		case <-time.After(stdioGrace):
		}
		step(s.cmd.Process)
	}
	<-s.exited
	return nil
}
