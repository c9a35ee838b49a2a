package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"
)

const (
	// keptOfOversized is how much of the beginning and of the end of an event
	// that is too large is kept, to find the id in it.
	keptOfOversized = 4 << 10
	// maxEventID bounds an event's id, which has to fit a header. A longer one
	// is taken for none.
	maxEventID = 1 << 10
)

// event is one block of an event stream (WHATWG HTML, "Server-sent events").
type event struct {
	// name is the event field; "" means message.
	name string
	// data is the data lines joined by line feeds. It is the receiver's to
	// keep. An event without data only carries an id or a retry time.
	data []byte
}

// eventReader cuts a stream of text/event-stream into events. Unlike a
// browser it also returns events without data, and when a stream ends cleanly
// after a whole line it returns the event that this line belongs to.
type eventReader struct {
	in  *bufio.Reader
	max int // bytes of one event's data, or of one line

	// lastID is the id of the last event that was returned, which a request
	// to resume the stream names; "" means none.
	lastID string
	// retry is how long the server wants clients to wait before they connect
	// again; 0 means that it did not say.
	retry time.Duration

	begun  bool   // past the byte order mark
	skipLF bool   // the last line ended in CR, so that LF belongs to it
	long   []byte // the part of the current line that left the buffer of in

	current event
	filled  bool   // current holds a field
	id      string // of the current event or one before
	over    bool   // current exceeded max; its data is only beginning and end
}

func newEventReader(r io.Reader, max int) *eventReader {
	return &eventReader{in: bufio.NewReaderSize(r, 8<<10), max: max}
}

// next returns the next event. The error is io.EOF at the stream's clean end.
// With ErrReplyTooLarge comes an event of which only beginning and end are
// kept; the stream can be read on.
func (r *eventReader) next() (event, error) {
	for {
		line, err := r.line()
		if errors.Is(err, ErrReplyTooLarge) {
			r.oversize(line)
			continue
		}
		if err != nil {
			if errors.Is(err, io.EOF) && r.filled && len(r.long) == 0 {
				// It may be all of the event or not, so it has no id to resume from.
				r.id = r.lastID
				return r.dispatch()
			}
			return event{}, err
		}
		if len(line) > 0 {
			r.field(line)
		} else if r.filled {
			return r.dispatch()
		}
	}
}

// dispatch ends the current event.
func (r *eventReader) dispatch() (event, error) {
	e, over := r.current, r.over
	r.current, r.filled, r.over = event{}, false, false
	r.lastID = r.id
	if over {
		return e, ErrReplyTooLarge
	}
	return e, nil
}

// field takes one line that is not empty into the current event.
func (r *eventReader) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		r.data(value)
	case "event":
		r.current.name = string(value)
	case "id":
		if len(value) > maxEventID || bytes.IndexByte(value, 0) >= 0 {
			return
		}
		r.id = string(value)
	case "retry":
		ms, err := strconv.ParseUint(string(value), 10, 31)
		if err != nil {
			return
		}
		r.retry = time.Duration(ms) * time.Millisecond
	default: // comments, whose name is empty, and fields of the future
		return
	}
	r.filled = true
}

// data adds a line of data to the current event.
func (r *eventReader) data(value []byte) {
	switch {
	case r.over || len(r.current.data)+len(value) >= r.max:
		r.oversize(value)
	case r.current.data != nil:
		r.current.data = append(append(r.current.data, '\n'), value...)
	case r.long != nil && len(value) > 0: // value is part of it, and a large value is not copied again
		r.current.data, r.long = value, nil
	default:
		r.current.data = append(make([]byte, 0, len(value)), value...)
	}
}

// oversize cuts the current event, with part added, to its beginning and end.
func (r *eventReader) oversize(part []byte) {
	r.current.data = ends(append(r.current.data, part...))
	r.over, r.filled, r.long = true, true, nil
}

// ends is the beginning and the end of b, in memory of its own where that
// lets go of a large one.
func ends(b []byte) []byte {
	if len(b) <= 2*keptOfOversized {
		return b
	}
	return append(bytes.Clone(b[:keptOfOversized]), b[len(b)-keptOfOversized:]...)
}

// line returns the next line without its end, which is CR, LF or both. It is
// valid until the next call. Of a line that exceeds max only the beginning and
// the end come, with ErrReplyTooLarge.
func (r *eventReader) line() ([]byte, error) {
	r.long = nil
	var over error
	for {
		if _, err := r.in.Peek(1); err != nil {
			return nil, err
		}
		window, _ := r.in.Peek(r.in.Buffered())
		if r.skipLF {
			r.skipLF = false
			if window[0] == '\n' {
				r.in.Discard(1)
				continue
			}
		}
		if !r.begun {
			r.begun = true
			if r.byteOrderMark() {
				continue
			}
		}
		end := lineEnd(window)
		part := window[:max(end, 0)]
		if end < 0 {
			part = window
		}
		if r.long == nil && end >= 0 && over == nil && len(part) <= r.max {
			r.ended(window, end)
			return part, nil
		}
		if cap(r.long)-len(r.long) < len(part) {
			r.long = slices.Grow(r.long, max(len(part), min(len(r.long), 16<<20)))
		}
		r.long = append(r.long, part...)
		if over != nil || len(r.long) > r.max {
			over, r.long = ErrReplyTooLarge, ends(r.long)
		}
		if end < 0 {
			r.in.Discard(len(window))
			continue
		}
		r.ended(window, end)
		return r.long, over
	}
}

// ended moves in past the line that ends at window[end].
func (r *eventReader) ended(window []byte, end int) {
	r.skipLF = window[end] == '\r'
	r.in.Discard(end + 1)
}

// byteOrderMark skips one at the stream's beginning.
func (r *eventReader) byteOrderMark() bool {
	const mark = "\uFEFF"
	// Peek waits for more bytes only where those that came begin the mark.
	for n := 1; n <= len(mark); n++ {
		if start, err := r.in.Peek(n); err != nil || string(start) != mark[:n] {
			return false
		}
	}
	r.in.Discard(len(mark))
	return true
}

// lineEnd is the index of the first CR or LF in b, or -1.
func lineEnd(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}
