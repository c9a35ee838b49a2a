package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readEvents reads all events as "name|data".
func readEvents(r *eventReader) (events []string, err error) {
	for {
		e, err := r.next()
		if err != nil && !errors.Is(err, ErrReplyTooLarge) {
			return events, err
		}
		text := e.name + "|" + string(e.data)
		if err != nil {
			text = "too large " + text
		}
		events = append(events, text)
	}
}

func TestEvents(t *testing.T) {
	tests := []struct {
		name, stream string
		want         []string
		lastID       string
		retry        time.Duration
	}{
		{name: "a message", stream: "data: {}\n\n", want: []string{"|{}"}},
		{name: "a name", stream: "event: endpoint\ndata: /x\n\n", want: []string{"endpoint|/x"}},
		{name: "CRLF", stream: "event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", want: []string{"a|1", "|2"}},
		{name: "CR", stream: "event: a\rdata: 1\r\rdata: 2\r\r", want: []string{"a|1", "|2"}},
		{name: "a byte order mark", stream: "\uFEFFdata: 1\n\n", want: []string{"|1"}},
		{name: "comments and unknown fields", stream: ": ping\n\n:\n\nfoo: 1\nbar\n\ndata: 1\n\n", want: []string{"|1"}},
		{name: "lines of data", stream: "data: 1\ndata:2\ndata\ndata:  3\n\n", want: []string{"|1\n2\n\n 3"}},
		{name: "a priming event", stream: "id: 7\ndata:\n\n", want: []string{"|"}, lastID: "7"},
		{name: "an id that stays", stream: "id: 7\ndata: 1\n\ndata: 2\n\n", want: []string{"|1", "|2"}, lastID: "7"},
		{name: "an id with NUL", stream: "id: 7\n\nid: 8\x00\ndata: 1\n\n", want: []string{"|", "|1"}, lastID: "7"},
		{name: "an id of an event that did not end", stream: "id: 7\ndata: 1\n\nid: 8", want: []string{"|1"}, lastID: "7"},
		{name: "an id that is too long", stream: "id: 7\n\nid: " + strings.Repeat("8", 1025) + "\ndata: 1\n\n", want: []string{"|", "|1"}, lastID: "7"},
		{name: "retry", stream: "retry: 50\n\nretry: x\n\nretry: -1\n\n", want: []string{"|"}, retry: 50 * time.Millisecond},
		{name: "the end after a line", stream: "id: 1\n\nid: 2\ndata: 1\n", want: []string{"|", "|1"}, lastID: "1"},
		{name: "the end within an event", stream: "id: 1\n\nid: 2\ndata: 1\nda", want: []string{"|"}, lastID: "1"},
		{name: "the end within a line", stream: "data: 1", want: nil},
		{name: "nothing", stream: "", want: nil},
	}
	for _, test := range tests {
		for name, reader := range map[string]io.Reader{
			"at once":      strings.NewReader(test.stream),
			"byte by byte": iotest.OneByteReader(strings.NewReader(test.stream)),
		} {
			t.Run(test.name+" "+name, func(t *testing.T) {
				r := newEventReader(reader, MaxMessage)
				got, err := readEvents(r)
				if err != io.EOF {
					t.Errorf("the end is %v, want io.EOF", err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if r.lastID != test.lastID || r.retry != test.retry {
					t.Errorf("lastID %q, retry %v; want %q, %v", r.lastID, r.retry, test.lastID, test.retry)
				}
			})
		}
	}
}

func TestEventsAreReturnedBeforeTheStreamGoesOn(t *testing.T) {
	for _, stream := range []string{"data: 1\n\n", "data: 1\r\n\r\n", "data: 1\r\r"} {
		in, out := io.Pipe()
		go io.WriteString(out, stream) // and no more
		e, err := newEventReader(in, MaxMessage).next()
		if err != nil || string(e.data) != "1" {
			t.Errorf("%q: event %q, error %v", stream, e.data, err)
		}
		in.Close()
	}
}

func TestEventOfManyBuffers(t *testing.T) {
	want := strings.Repeat("0123456789", 10_000)
	r := newEventReader(strings.NewReader("data: "+want+"\r\ndata: "+want+"\r\n\r\ndata: x\n\n"), MaxMessage)
	got, _ := readEvents(r)
	if diff := cmp.Diff([]string{"|" + want + "\n" + want, "|x"}, got); diff != "" {
		t.Error("a large event was changed")
	}
}

func TestOversizedEvent(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	for name, stream := range map[string]string{
		"one line":   "data: {\"id\":5," + big + "}\n\ndata: next\n\n",
		"many lines": "data: {\"id\":5,\n" + strings.Repeat("data: 0123456789012345\n", 5000) + "data: }\n\ndata: next\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := newEventReader(strings.NewReader(stream), 50_000)
			e, err := r.next()
			if !errors.Is(err, ErrReplyTooLarge) || !bytes.Contains(e.data, []byte(`{"id":5,`)) || !bytes.HasSuffix(e.data, []byte("}")) {
				t.Fatalf("error %v, %d bytes: %.20q…", err, len(e.data), e.data)
			}
			if len(e.data) > 3*keptOfOversized {
				t.Errorf("%d bytes are kept", len(e.data))
			}
			if e, err := r.next(); err != nil || string(e.data) != "next" {
				t.Errorf("then came %q, error %v", e.data, err)
			}
		})
	}
}

// FuzzEvents holds the reader against a plain one that splits the whole text,
// and against itself when bytes come one at a time.
func FuzzEvents(f *testing.F) {
	f.Add("event: endpoint\r\ndata: /x\r\n\r\n: c\rid: 1\rretry: 5\r\rdata:a\ndata:b\n\n")
	f.Add("\uFEFFdata: 1\n\ndata")
	f.Fuzz(func(t *testing.T, stream string) {
		got, err := readEvents(newEventReader(strings.NewReader(stream), 1<<20))
		if err != io.EOF {
			t.Fatal(err)
		}
		slow, _ := readEvents(newEventReader(iotest.OneByteReader(strings.NewReader(stream)), 1<<20))
		if diff := cmp.Diff(got, slow); diff != "" {
			t.Errorf("byte by byte differs:\n%s", diff)
		}
		if diff := cmp.Diff(plainEvents(stream), got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		readEvents(newEventReader(strings.NewReader(stream), 4)) // must end
	})
}

// plainEvents reads events the way the specification words it.
func plainEvents(stream string) (events []string) {
	stream = strings.TrimPrefix(stream, "\uFEFF")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(stream, "\n")
	rest := lines[len(lines)-1]
	lines = lines[:len(lines)-1]
	var name string
	var data []string
	filled := false
	flush := func() {
		if filled {
			events = append(events, name+"|"+strings.Join(data, "\n"))
		}
		name, data, filled = "", nil, false
	}
	for _, line := range lines {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			flush()
		case field == "data":
			data, filled = append(data, value), true
		case field == "event":
			name, filled = value, true
		case field == "id" && !strings.Contains(value, "\x00") && len(value) <= maxEventID:
			filled = true
		case field == "retry" && value != "" && strings.Trim(value, "0123456789") == "" && len(strings.TrimLeft(value, "0")) < 10:
			filled = true
		}
	}
	if rest == "" {
		flush()
	}
	return events
}
