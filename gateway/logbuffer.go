package gateway

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// maxLogged bounds what waits to be written to the log, in bytes.
const maxLogged = 1 << 20

// A logBuffer lets nobody wait for the log: lines are written in the background,
// in order and whole, as soon as what they go to takes them. Where it takes
// nothing, a pipe that nobody reads, lines are dropped and counted.
type logBuffer struct {
	w       io.Writer
	wake    chan struct{} // holds one while there is something to write
	done    chan struct{}
	dropped atomic.Int64

	mu      sync.Mutex
	waiting []byte
	writing int // bytes that are being written
	closed  bool
}

func newLogBuffer(w io.Writer) *logBuffer {
	b := &logBuffer{w: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go b.run()
	return b
}

// Write takes one line. It never blocks, and never fails: a log must not stop
// what it tells of.
func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	if b.closed { // the last words of what ends later than the log
		b.mu.Unlock()
		b.flushed()
		return b.w.Write(line)
	}
	defer b.mu.Unlock()
	if len(b.waiting)+b.writing+len(line) > maxLogged {
		b.dropped.Add(1)
		return len(line), nil
	}
	b.waiting = append(b.waiting, line...)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return len(line), nil
}

// Dropped is how many lines were never written.
func (b *logBuffer) Dropped() int64 { return b.dropped.Load() }

// run writes what has come since it last wrote, all at once.
func (b *logBuffer) run() {
	defer close(b.done)
	var out []byte
	for range b.wake {
		b.mu.Lock()
		out, b.waiting = b.waiting, out[:0]
		b.writing = len(out)
		b.mu.Unlock()
		if _, err := b.w.Write(out); err != nil {
			b.dropped.Add(int64(bytes.Count(out, []byte{'\n'})))
		}
		b.mu.Lock()
		b.writing = 0
		b.mu.Unlock()
	}
}

// lastWords is how long the log may take to be written when the program ends.
const lastWords = 2 * time.Second

// Close writes what waits.
func (b *logBuffer) Close() error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if first {
		close(b.wake)
	}
	if !b.flushed() {
		return errors.New("the log does not take its last lines")
	}
	return nil
}

// flushed waits for run to end.
func (b *logBuffer) flushed() bool {
	select {
	case <-b.done:
		return true
	case <-time.After(lastWords):
		return false
	}
}
