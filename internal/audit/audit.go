// Package audit writes down who did what: a line of JSON for each login, each
// refused renewal of one, each disconnection and each call.
//
// The walk of an entry: its values, which may be a stranger's, are cut to a
// length and become one line of JSON, which no value can end; the line goes to
// the end of the file in one write. The file is only ever appended to, so that
// several processes may share it, and is opened anew when it was moved away.
//
// The package owns the file. An entry has no room for arguments, results or
// tokens.
package audit

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Event is what an entry is about.
type Event string

// The events.
const (
	// Login is the end of a login, well or not.
	Login Event = "login"
	// RefreshRefused is an authorization server that renews a login no more.
	RefreshRefused Event = "refresh_refused"
	// Disconnect is a login that was given up here.
	Disconnect Event = "disconnect"
	// Call is a tool call, refused ones included.
	Call Event = "call"
)

// Entry is one event. What is not known, or does not apply, is empty.
type Entry struct {
	Event Event
	// Caller names who it was, as caller.ID does.
	Caller string
	Server string
	Tool   string
	// Outcome is the status of the answer, or a word such as ok.
	Outcome string
	// Duration is how long it took; 0 is left out.
	Duration  time.Duration
	RequestID string
}

// line is an entry as it is written.
type line struct {
	Time      string  `json:"time"` // RFC 3339, UTC, with milliseconds
	Event     Event   `json:"event"`
	Caller    string  `json:"caller,omitempty"`
	Server    string  `json:"server,omitempty"`
	Tool      string  `json:"tool,omitempty"`
	Outcome   string  `json:"outcome"`
	Duration  float64 `json:"duration_ms,omitempty"`
	RequestID string  `json:"request_id,omitempty"`
}

// maxValue is how many bytes of a value are written.
const maxValue = 300

// bytes is the line for an event at a time, with its line break.
func (e Entry) bytes(at time.Time) ([]byte, error) {
	b, err := json.Marshal(line{
		Time: at.UTC().Format("2006-01-02T15:04:05.000Z"), Event: e.Event, Caller: cut(e.Caller), Server: cut(e.Server), Tool: cut(e.Tool),
		Outcome: cut(e.Outcome), Duration: float64(e.Duration.Microseconds()) / 1000, RequestID: cut(e.RequestID),
	})
	return append(b, '\n'), err
}

func cut(s string) string { return s[:min(len(s), maxValue)] }

// Log is an open audit log. It is safe for concurrent use. A nil Log writes
// nothing.
type Log struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	file   *os.File // nil when it was closed
	failed bool     // the last write did
	broken bool     // the file ends within a line
}

// Open opens the file, or makes it, readable by its owner only. log is told,
// once, when writing fails. An empty path gives a nil Log.
func Open(path string, log *slog.Logger) (*Log, error) {
	if path == "" {
		return nil, nil
	}
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	return &Log{path: path, log: log, file: file}, nil
}

func open(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	return file, nil
}

// Reopen opens the file anew, after it was moved away. If that fails the old one
// stays in use, and log is told.
func (l *Log) Reopen() {
	if l == nil {
		return
	}
	file, err := open(l.path)
	if err != nil {
		l.log.Error("the audit log cannot be opened again; the old file stays in use", "error", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		file.Close()
		return
	}
	l.file.Close()
	l.file, l.failed, l.broken = file, false, false
}

// Write adds an entry. It does not fail: what cannot be written is lost, and log
// is told of the first such entry in a row.
func (l *Log) Write(e Entry) {
	if l == nil {
		return
	}
	b, err := e.bytes(time.Now())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	if l.broken { // as where the disk was full: what follows is no part of that line
		b = append([]byte{'\n'}, b...)
	}
	n := 0
	if err == nil {
		n, err = l.file.Write(b)
	}
	if n > 0 {
		l.broken = n < len(b)
	}
	if err != nil && !l.failed {
		l.log.Error("the audit log cannot be written; what happens now is missing in it", "error", err)
	}
	l.failed = err != nil
}

// Close closes the file. What comes after is not written.
func (l *Log) Close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}
