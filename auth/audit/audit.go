// Package audit is the record of who was allowed what: one JSON line for each
// event, apart from the log, each with the hash of the line before it.
//
// It promises that every event is whole, in order and written, or that whoever
// brings it waits; that nobody can put a secret in it by passing one whole, as
// attributes are made by name here; and that a line which was changed, cut,
// inserted or moved is found by Verify, as far as a signature covers it. It
// makes no signatures and knows no keys: it is given both. It does not know what
// the events mean to the rest of the program.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// Event names what happened.
type Event string

// The events.
const (
	ClientRegistered Event = "client_registered"
	ConsentAsked     Event = "consent_asked"
	ConsentGiven     Event = "consent_given"
	ConsentDenied    Event = "consent_denied"
	SigninOK         Event = "signin_ok"
	SigninRefused    Event = "signin_refused"
	PasskeyAdded     Event = "passkey_added"
	PasskeyRemoved   Event = "passkey_removed"
	PasskeyRefused   Event = "passkey_refused"
	CodeIssued       Event = "code_issued"
	TokenIssued      Event = "token_issued"
	TokenRefreshed   Event = "token_refreshed"
	GrantEnded       Event = "grant_ended"
	GrantReplayed    Event = "grant_replayed"
	KeyMade          Event = "key_made"
	CallAllowed      Event = "call_allowed"
	CallDenied       Event = "call_denied"
	LimitExceeded    Event = "limit_exceeded"
	Reloaded         Event = "configuration_reloaded"
)

// The events of the chain itself.
const (
	ChainBegun  Event = "chain_begun"  // a process starts
	ChainEnded  Event = "chain_ended"  // it stops in order
	ChainSigned Event = "chain_signed" // the lines up to here are its own
	FileClosed  Event = "file_closed"  // the chain goes on in another file
	FileOpened  Event = "file_opened"  // it came from another file
)

// Options of a Log.
type Options struct {
	Path string    // the file to append to; empty: Out
	Out  io.Writer // where there is no file
	Now  func() time.Time
	Log  *slog.Logger

	// Sign makes a JWS of a payload; nil: nothing is signed. Keep is then told
	// of every head that was signed, so that a file that ends before it is known
	// to be cut; it may be nil.
	Sign func(ctx context.Context, payload []byte) (jws []byte, err error)
	Keep func(ctx context.Context, h Head) error

	// Queue is how many events may wait to be written; default 1024. Whoever
	// brings one more waits as well.
	Queue int
	// Grace is how long Close tries to write what waits; default 5 s.
	Grace time.Duration
}

// Log writes events. Its methods may be called concurrently.
type Log struct {
	o      Options
	queue  chan *entry
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when nothing is written anymore
	closed atomic.Bool
	waited atomic.Int64 // nanoseconds that callers have spent waiting
	lost   atomic.Int64
}

// Open begins a chain: in the file after what is there, or on its own.
func Open(o Options) (*Log, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Queue <= 0 {
		o.Queue = 1024
	}
	if o.Grace <= 0 {
		o.Grace = 5 * time.Second
	}
	l := &Log{o: o, queue: make(chan *entry, o.Queue), stop: make(chan struct{}), done: make(chan struct{})}
	w, err := newWriter(l)
	if err != nil {
		return nil, err
	}
	go w.run()
	return l, nil
}

// Record writes one event. It returns when the event is in line to be written,
// and waits as long as the line is full: none is dropped.
func (l *Log) Record(_ context.Context, e Event, attrs ...slog.Attr) {
	one := entries.Get().(*entry)
	one.text = appendEvent(one.text[:0], l.o.Now(), e, attrs)
	l.put(one)
}

// put hands an entry to the writer.
func (l *Log) put(e *entry) {
	select {
	case l.queue <- e:
		return
	default:
	}
	began := time.Now()
	select {
	case l.queue <- e:
	case <-l.done:
		l.lost.Add(1)
	}
	l.waited.Add(int64(time.Since(began)))
}

// Waiting is how many events are in line to be written.
func (l *Log) Waiting() int { return len(l.queue) }

// Waited is how long callers have waited for a place in the line, all together.
func (l *Log) Waited() time.Duration { return time.Duration(l.waited.Load()) }

// errClosed answers who comes too late.
var errClosed = errors.New("the audit log is closed")

// do lets the writer do something between two events.
func (l *Log) do(ctx context.Context, work func(*writer) error) error {
	e := &entry{work: work, result: make(chan error, 1)}
	select {
	case l.queue <- e:
	case <-l.done:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-e.result:
		return err
	case <-l.done:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Flush returns once everything that was recorded before is written.
func (l *Log) Flush(ctx context.Context) error {
	return l.do(ctx, func(*writer) error { return nil })
}

// Sign signs the head of the chain, if there is anything that is not signed.
func (l *Log) Sign(ctx context.Context) error {
	if l.o.Sign == nil {
		return nil
	}
	return l.do(ctx, func(w *writer) error { return w.sign() })
}

// Reopen goes on in the file that is at the path now, if it is another one than
// before: whoever rotates files moves the old one away first. An error leaves the
// old file in use.
func (l *Log) Reopen(ctx context.Context) error {
	if l.o.Path == "" {
		return nil
	}
	return l.do(ctx, func(w *writer) error { return w.reopen() })
}

// Close writes what waits, ends the chain and signs it.
func (l *Log) Close() error {
	if l.closed.Swap(true) {
		<-l.done
		return nil
	}
	close(l.stop)
	<-l.done
	if n := l.lost.Load(); n > 0 {
		return fmt.Errorf("audit: %d events could not be written", n)
	}
	return nil
}

// The attributes of events. Their keys are the same in every event.

// Host is the public host.
func Host(h string) slog.Attr { return slog.String("host", h) }

// Client is who asked.
func Client(id string) slog.Attr { return slog.String("client_id", id) }

// Subject is the user.
func Subject(sub string) slog.Attr { return slog.String("sub", sub) }

// Grant is what was agreed to.
func Grant(id string) slog.Attr { return slog.String("grant", id) }

// Scope is what was asked, granted or lacking.
func Scope(scopes []string) slog.Attr { return slog.String("scope", strings.Join(scopes, " ")) }

// Cause is why something was refused.
func Cause(err error) slog.Attr { return slog.String("cause", err.Error()) }

// Text is anything else; value must not be a secret.
func Text(key, value string) slog.Attr { return slog.String(key, value) }

// Count is a number.
func Count(key string, n int64) slog.Attr { return slog.Int64(key, n) }

// Milliseconds is how long something took.
func Milliseconds(key string, d time.Duration) slog.Attr {
	return slog.Float64(key, float64(d.Microseconds())/1000)
}
