package main

import (
	"io"
	"sync"
)

// maxUnwritten bounds, in bytes, the lines that wait to be written.
const maxUnwritten = 1 << 20

// logWriter takes the writing of log lines out of the way of calls: lines
// that arrive while others are being written go together in the next write.
// Nothing is held back: a line is written as soon as the one before it is. When
// the reader of the log is too slow, whoever logs waits for it.
type logWriter struct {
	to   io.Writer
	mu   sync.Mutex
	some *sync.Cond // lines, room, or the end
	buf  []byte     // whole lines that wait
	end  bool
	done chan struct{}
}

// newLogWriter starts writing to w. Close flushes and ends it.
func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to, done: make(chan struct{})}
	w.some = sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write implements io.Writer for one whole line.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.buf) > maxUnwritten && !w.end {
		w.some.Wait()
	}
	if w.end {
		return w.to.Write(line)
	}
	w.buf = append(w.buf, line...)
	w.some.Broadcast()
	return len(line), nil
}

func (w *logWriter) run() {
	defer close(w.done)
	var batch []byte
	for {
		w.mu.Lock()
		for len(w.buf) == 0 && !w.end {
			w.some.Wait()
		}
		batch, w.buf = w.buf, batch[:0]
		ended := w.end && len(batch) == 0
		w.some.Broadcast()
		w.mu.Unlock()
		if ended {
			return
		}
		_, _ = w.to.Write(batch) // there is no other place to complain
	}
}

// Close writes what waits. Later lines are written directly.
func (w *logWriter) Close() {
	w.mu.Lock()
	w.end = true
	w.some.Broadcast()
	w.mu.Unlock()
	<-w.done
}
