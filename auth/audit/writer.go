package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

const (
	batchSize   = 64 << 10 // bytes that are written at once
	gatherTime  = 2 * time.Millisecond
	maxTorn     = 16 << 10        // bytes of half a line that are kept
	signTime    = 5 * time.Second // for a signature and its key to be kept
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 5 * time.Second
	complainAll = time.Minute
)

// A writer chains the lines. There is one, so that there is one order.
type writer struct {
	log  *Log
	file *os.File // nil: there is only out
	out  io.Writer

	chain   string
	after   string // the hash of the line that the chain began after
	seq     uint64
	prev    []byte // the hash of the last line
	covered uint64 // the last line that is signed, or that a signature is in

	batch    []byte // chained, not yet written
	timer    *time.Timer
	deadline time.Time
	failed   bool // since the last write
	said     time.Time
}

func newWriter(l *Log) (*writer, error) {
	w := &writer{log: l, out: l.o.Out, timer: time.NewTimer(gatherTime)}
	if l.o.Path == "" {
		w.begin(tail{})
		return w, nil
	}
	f, t, err := openFile(l.o.Path)
	if err != nil {
		return nil, err
	}
	w.file, w.out = f, f
	w.begin(t)
	return w, nil
}

// begin starts a chain behind what is there.
func (w *writer) begin(t tail) {
	w.chain, w.seq, w.prev, w.after, w.covered = strings.ToLower(rand.Text()[:16]), 0, w.prev[:0], "", 0
	var about []slog.Attr
	if t.line != nil {
		before, ok := parseLine(t.line)
		w.prev, w.after = append(w.prev, before.hash...), before.hash
		if ok {
			about = append(about, slog.String("after_chain", before.chain), slog.Uint64("after_seq", before.seq))
		}
	}
	if len(t.torn) > 0 {
		about = append(about, slog.Any("torn", t.torn[:min(len(t.torn), maxTorn)]))
	}
	w.event(ChainBegun, about...)
}

// event chains an event of the chain itself.
func (w *writer) event(e Event, attrs ...slog.Attr) {
	w.chainLine(appendEvent(nil, w.log.o.Now(), e, attrs))
}

// chainLine gives an event its place, and puts it into the batch.
func (w *writer) chainLine(text []byte) {
	w.seq++
	start := len(w.batch)
	w.batch = appendPlace(w.batch, w.chain, w.seq, w.prev)
	w.batch = appendSeal(append(w.batch, text...), start)
	w.named(w.batch)
	w.batch = append(w.batch, '\n')
}

// named remembers the hash at the end of a line, for the next.
func (w *writer) named(line []byte) {
	end := len(line) - len(`"}`)
	w.prev = append(w.prev[:0], line[end-2*sha256.Size:end]...)
}

// run writes until the log is closed, and then what is left.
func (w *writer) run() {
	defer close(w.log.done)
	w.write()
	for {
		select {
		case e := <-w.log.queue:
			if e.work == nil {
				w.gather()
			}
			w.take(e)
		case <-w.log.stop:
			w.end()
			return
		}
	}
}

// gather lets a line wait for those behind it: to write each by itself would
// cost a busy gateway more than everything else about it.
func (w *writer) gather() {
	w.timer.Reset(gatherTime)
	select {
	case <-w.timer.C:
	case <-w.log.stop:
	}
}

// take handles an entry and those behind it, as many as are written at once.
func (w *writer) take(e *entry) {
	for {
		if e.work != nil {
			w.write()
			e.result <- e.work(w)
		} else {
			w.chainLine(e.text)
			entries.Put(e)
		}
		if len(w.batch) >= batchSize {
			break
		}
		select {
		case e = <-w.log.queue:
			continue
		default:
		}
		break
	}
	w.write()
}

// end writes what waits, within the grace, and says what could not be.
func (w *writer) end() {
	w.deadline = time.Now().Add(w.log.o.Grace)
	for len(w.log.queue) > 0 {
		w.take(<-w.log.queue)
	}
	w.event(ChainEnded)
	w.write()
	if err := w.sign(); err != nil && w.log.o.Sign != nil {
		w.log.o.Log.Warn("the end of the audit log is not signed", "cause", err)
	}
	w.log.lost.Add(int64(len(w.log.queue))) // whoever came after the end
	if w.file != nil {
		if err := errors.Join(w.file.Sync(), w.file.Close()); err != nil {
			w.log.o.Log.Error("close the audit log", "cause", err)
		}
	}
}

// write writes the batch, however long that takes: callers wait when the queue
// is full. Only the end of the program ends it sooner.
func (w *writer) write() {
	for pause := firstRetry; len(w.batch) > 0; pause = min(2*pause, lastRetry) {
		n, err := w.out.Write(w.batch)
		w.batch = w.batch[:copy(w.batch, w.batch[n:])]
		if err == nil && len(w.batch) > 0 {
			err = io.ErrShortWrite
		}
		if err == nil {
			break
		}
		if !w.patient(pause, err) {
			w.giveUp(err)
			return
		}
	}
	if w.failed {
		w.failed = false
		w.log.o.Log.Warn("audit events are written again")
	}
	if cap(w.batch) > 4*batchSize {
		w.batch = nil
	}
}

// patient waits before the next try, and complains.
func (w *writer) patient(pause time.Duration, cause error) bool {
	if !w.failed || time.Since(w.said) > complainAll {
		w.failed, w.said = true, time.Now()
		w.log.o.Log.Error("audit events cannot be written; they are kept, and requests wait once too many are", "waiting", len(w.log.queue), "cause", cause)
	}
	if !w.deadline.IsZero() {
		if time.Now().Add(pause).After(w.deadline) {
			return false
		}
		time.Sleep(pause)
		return true
	}
	select {
	case <-time.After(pause):
	case <-w.log.stop:
		w.deadline = time.Now().Add(w.log.o.Grace)
	}
	return true
}

// giveUp counts what is lost with the batch.
func (w *writer) giveUp(cause error) {
	lost := strings.Count(string(w.batch), "\n")
	w.log.lost.Add(int64(lost))
	w.batch = w.batch[:0]
	w.log.o.Log.Error("audit events are lost: the program ends and they cannot be written", "lines", lost, "cause", cause)
}

// sign adds a line that signs all lines before it.
func (w *writer) sign() error {
	if w.log.o.Sign == nil || w.covered == w.seq {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), signTime)
	defer cancel()
	now := w.log.o.Now().UTC()
	s := signed{Chain: w.chain, Seq: w.seq + 1, Prev: string(w.prev), Time: now.Format(time.RFC3339Nano)}
	payload, err := s.payload()
	if err != nil {
		return err
	}
	jws, err := w.log.o.Sign(ctx, payload)
	if err != nil {
		return fmt.Errorf("sign the audit log: %w", err)
	}
	line := s.line(string(jws))
	w.seq, w.covered = s.Seq, s.Seq
	w.named(line)
	w.batch = append(append(w.batch, line...), '\n')
	w.write()
	if w.log.o.Keep == nil {
		return nil
	}
	return w.log.o.Keep(ctx, Head{Chain: w.chain, Seq: w.seq, Line: string(w.prev), After: w.after, Time: now})
}

// reopen goes on in the file that is at the path now.
func (w *writer) reopen() error {
	f, t, err := openFile(w.log.o.Path)
	if err != nil {
		return err
	}
	if same(w.file, f) {
		return f.Close()
	}
	last := string(w.prev)
	w.event(FileClosed)
	w.write()
	if err := w.sign(); err != nil {
		w.log.o.Log.Warn("the end of an audit file is not signed", "cause", err)
	}
	closed := errors.Join(w.file.Sync(), w.file.Close())
	w.file, w.out = f, f
	if t.line != nil { // it has a past of its own
		w.begin(t)
	} else {
		w.event(FileOpened, slog.Uint64("after_seq", w.seq))
	}
	w.log.o.Log.Info("the audit log goes on in another file", "path", w.log.o.Path, "after", last)
	w.write()
	return closed
}

func same(a, b *os.File) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
