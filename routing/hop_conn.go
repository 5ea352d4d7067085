package routing

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"
	"time"
)

var (
	errLongHead = fmt.Errorf("the head of the answer is over %d bytes", maxHead)
	errSwitches = errors.New("the MCP server changes the protocol, unasked")
)

// hopConn is a connection of a hop. It is one request's at a time.
type hopConn struct {
	net.Conn
	hop   *hop
	r     *bufio.Reader
	abort func()
	probe probe
	used  bool      // it may have been idle, and its server may have closed it
	since time.Time // it has been idle

	// Of the request that has it:
	said  int   // bytes of it that were written
	heard int64 // bytes of the answer that came
	room  int64 // how many more may come; below zero: any number
}

func newHopConn(h *hop, conn net.Conn) (*hopConn, error) {
	c := &hopConn{Conn: conn, hop: h, abort: func() { _ = conn.Close() }}
	c.r = bufio.NewReader(c)
	return c, c.probe.of(conn)
}

// Read is for the reader, and counts. The head of an answer has a limit.
func (c *hopConn) Read(p []byte) (int, error) {
	if c.room == 0 {
		return 0, errLongHead
	}
	if c.room > 0 {
		p = p[:min(int64(len(p)), c.room)]
	}
	n, err := c.Conn.Read(p)
	c.heard += int64(n)
	if c.room > 0 {
		c.room -= int64(n)
	}
	return n, err
}

// alive tells whether an idle connection can take a request: its server has
// neither closed it nor said anything unasked.
func (c *hopConn) alive() bool { return c.probe.silent() }

// roundTrip writes a request and reads the head of its answer. The connection
// goes back to the hop when the answer's body has been read; if it fails, or
// the context ends before that, it is closed.
func (c *hopConn) roundTrip(ctx context.Context, req *http.Request, message []byte) (*http.Response, error) {
	c.said, c.heard = 0, 0
	stop := context.AfterFunc(ctx, c.abort)
	n, wrote := c.Write(message)
	c.said = n
	var res *http.Response
	var err error
	// A server may answer before it has read everything, and close.
	if n > 0 {
		res, err = c.answer(ctx, req)
	}
	if err != nil || n == 0 {
		stop()
		_ = c.Close()
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case wrote != nil:
			return nil, fmt.Errorf("write the request: %w", wrote)
		}
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	body := &hopBody{ReadCloser: res.Body, left: res.ContentLength, ctx: ctx, conn: c, stop: stop, last: wrote != nil || res.Close}
	if res.Body == http.NoBody {
		body.end(wasRead)
	} else {
		res.Body = body
	}
	return res, nil
}

// answer reads heads until it has that of the real answer. Informational ones
// (RFC 9110 §15.2) go to who wants them.
func (c *hopConn) answer(ctx context.Context, req *http.Request) (*http.Response, error) {
	trace := httptrace.ContextClientTrace(ctx)
	c.room = maxHead
	if _, err := c.r.Peek(1); errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil { // whoever reads again is told of an end, and not why
		return nil, err
	}
	if res := plainAnswer(c.r, req); res != nil {
		c.room = -1
		if res.ContentLength == 0 {
			res.Body = http.NoBody
		}
		return res, nil
	}
	for {
		res, err := http.ReadResponse(c.r, req)
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, errSwitches
		case res.StatusCode >= http.StatusOK || res.StatusCode < http.StatusContinue: // what is no status is for others to refuse
			c.room = -1
			return res, nil
		}
		if trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header)); err != nil {
				return nil, err
			}
			c.room = maxHead // it has been passed on, so it takes no room here
		}
	}
}

// hopBody is the body of an answer. At its end the connection is free.
type hopBody struct {
	io.ReadCloser                 // nil: left bytes of the connection
	left          int64           // to come, where it is nil
	ctx           context.Context //nolint:containedctx // it is the request's, and so is this
	conn          *hopConn
	stop          func() bool
	last          bool // the connection is for no other request
	over          atomic.Int32
}

// What a body is over by.
const (
	wasRead = iota + 1
	wasLeft
)

// Read reads on.
func (b *hopBody) Read(p []byte) (int, error) {
	switch b.over.Load() {
	case wasRead:
		return 0, io.EOF
	case wasLeft:
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.end(wasRead)
	default:
		if b.ctx.Err() != nil {
			err = context.Cause(b.ctx)
		}
		b.end(wasLeft)
	}
	return n, err
}

func (b *hopBody) read(p []byte) (int, error) {
	if b.ReadCloser != nil {
		return b.ReadCloser.Read(p)
	}
	n, err := b.conn.r.Read(p[:min(int64(len(p)), b.left)])
	switch b.left -= int64(n); {
	case b.left == 0:
		err = io.EOF
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close lets go of the connection: what has not been read by now never will be.
// It may be called while another goroutine reads, which ends that.
func (b *hopBody) Close() error {
	b.end(wasLeft)
	return nil
}

func (b *hopBody) end(by int32) {
	if !b.over.CompareAndSwap(0, by) {
		return
	}
	if undisturbed := b.stop(); by == wasRead && undisturbed && !b.last && b.conn.r.Buffered() == 0 {
		b.conn.hop.put(b.conn)
		return
	}
	_ = b.conn.Close()
}
