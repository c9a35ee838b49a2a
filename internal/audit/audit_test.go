package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// opened is an audit log in a folder of its own, and what it says to the log.
func opened(t *testing.T, path string) (*Log, *bytes.Buffer) {
	t.Helper()
	said := &bytes.Buffer{}
	l, err := Open(path, slog.New(slog.NewTextHandler(said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, said
}

// lines are the entries of a file, each checked to be JSON.
func lines(t *testing.T, path string) (all []map[string]any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(raw)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil || !strings.HasSuffix(text, "\n") {
			t.Fatalf("%q is no line of JSON: %v", text, err)
		}
		all = append(all, m)
	}
	return all
}

func TestEntry(t *testing.T) {
	e := Entry{Event: Call, Caller: "user:1", Server: "notes", Tool: "add", Outcome: "200", Duration: 1500 * time.Microsecond, RequestID: "r-1"}
	b, err := e.bytes(time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.FixedZone("", 3600)))
	const want = `{"time":"2026-01-02T02:04:05.006Z","event":"call","caller":"user:1","server":"notes","tool":"add","outcome":"200","duration_ms":1.5,"request_id":"r-1"}` + "\n"
	if err != nil || string(b) != want {
		t.Errorf("%s%v, want\n%s", b, err, want)
	}
	b, _ = Entry{Event: Login, Outcome: "ok"}.bytes(time.Time{})
	if string(b) != `{"time":"0001-01-01T00:00:00.000Z","event":"login","outcome":"ok"}`+"\n" {
		t.Errorf("the least entry is %s", b)
	}
}

// TestValuesForgeNoLines: whatever a name holds, an entry is one line of JSON
// (threats 31).
func TestValuesForgeNoLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l, _ := opened(t, path)
	evil := []string{"a\n{\"event\":\"login\"}", "\r\n", "\u2028\u2029", "\"}", "\x00\x1b[2J", "\xff\xfe", strings.Repeat("é", 5000)}
	for _, v := range evil {
		l.Write(Entry{Event: Call, Caller: v, Server: v, Tool: v, Outcome: v, RequestID: v})
	}
	all := lines(t, path)
	if len(all) != len(evil) {
		t.Fatalf("%d entries are %d lines", len(evil), len(all))
	}
	for i, m := range all {
		if m["event"] != "call" || len(m["tool"].(string)) > maxValue+2 {
			t.Errorf("%q became %v", evil[i], m)
		}
	}
	raw, _ := os.ReadFile(path)
	if bytes.ContainsAny(raw, "\r\x00\x1b\u2028") {
		t.Errorf("control characters were written: %q", raw)
	}
}

// TestAppends: what is there stays, for the owner's eyes only, and many may
// write at once.
func TestAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	first, _ := opened(t, path)
	second, _ := opened(t, path)
	var all sync.WaitGroup
	for i := range 50 {
		for _, l := range []*Log{first, second} {
			all.Go(func() { l.Write(Entry{Event: Call, Outcome: fmt.Sprint(i)}) })
		}
	}
	all.Wait()
	if got := len(lines(t, path)); got != 100 {
		t.Errorf("%d of 100 entries are there", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	path, moved := filepath.Join(dir, "audit.log"), filepath.Join(dir, "audit.log.1")
	l, said := opened(t, path)
	l.Write(Entry{Event: Call, Outcome: "1"})
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	l.Write(Entry{Event: Call, Outcome: "2"})
	l.Reopen()
	l.Write(Entry{Event: Call, Outcome: "3"})
	if a, b := lines(t, moved), lines(t, path); len(a) != 2 || len(b) != 1 || b[0]["outcome"] != "3" {
		t.Errorf("before: %v\nafter: %v", a, b)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Reopen() // cannot be
	if !strings.Contains(said.String(), "the old file stays in use") {
		t.Errorf("said %q", said)
	}
	l.Close()
	l.Reopen()
	l.Write(Entry{Event: Call})
}

// TestFailures: an audit log that cannot be opened is an error, and one that
// cannot be written says so once.
func TestFailures(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "no", "such", "folder"), nil); err == nil || !strings.HasPrefix(err.Error(), "opening the audit log: ") {
		t.Errorf("Open: %v", err)
	}
	none, err := Open("", nil)
	if none != nil || err != nil {
		t.Errorf("without a path: %v, %v", none, err)
	}
	none.Write(Entry{})
	none.Reopen()
	none.Close()

	path := filepath.Join(t.TempDir(), "audit.log")
	l, said := opened(t, path)
	l.file.Close()
	for range 3 {
		l.Write(Entry{Event: Call})
	}
	if n := strings.Count(said.String(), "cannot be written"); n != 1 {
		t.Errorf("said %d times: %s", n, said)
	}
	l.Reopen()
	l.broken = true // the disk was full within a line
	l.Write(Entry{Event: Call, Outcome: "after"})
	raw, _ := os.ReadFile(path)
	if !bytes.HasPrefix(raw, []byte("\n{")) {
		t.Errorf("after half a line: %q", raw)
	}
}
