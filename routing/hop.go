package routing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// sweepEvery is how long a connection that its server has closed may keep its
// descriptor, about.
const sweepEvery = 10 * time.Second

// A hop passes requests on to an MCP server that speaks plain HTTP/1.1, on the
// goroutine that asks: http.Transport has two more for each connection, and
// changing between the three costs more than all the checks of a call. It is for
// requests that are in memory as a whole, which are almost all; a body that is
// still to come, TLS and HTTP/2 are left to http.Transport.
//
// A request that was written is never written again, unless it is one that has
// no effect (RFC 9110 §9.2.1): whether a call is made twice is for the client to
// decide.
type hop struct {
	*http.Transport
	address string

	mu      sync.Mutex
	idle    []*hopConn     // the last used is the last
	waiting []chan arrival // who waits longest is the first
	sweep   *time.Timer
	closed  bool // what comes back is not kept
}

// An arrival is what a request that waits for a connection gets.
type arrival struct {
	conn *hopConn
	err  error
}

// A forwarder passes requests on.
type forwarder interface {
	http.RoundTripper
	CloseIdleConnections()
}

// newForwarder returns what is quickest for an MCP server.
func newForwarder(u upstream, t *http.Transport) forwarder {
	if u.scheme != "http" || !canProbe {
		return t
	}
	return &hop{Transport: t, address: u.address()}
}

// RoundTrip implements http.RoundTripper.
func (h *hop) RoundTrip(req *http.Request) (*http.Response, error) {
	m := newMessage(req)
	if m == nil {
		return h.Transport.RoundTrip(req)
	}
	defer m.free()
	ctx := req.Context()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c, err := h.connection(ctx)
	if err != nil {
		return nil, err
	}
	res, err := c.roundTrip(ctx, req, m.Bytes())
	if err == nil || !c.used || ctx.Err() != nil || c.heard > 0 || c.said > 0 && !repeatable(req) {
		return res, err
	}
	if c, err = h.dial(ctx); err != nil {
		return nil, err
	}
	return c.roundTrip(ctx, req, m.Bytes())
}

// repeatable tells whether a request may be sent again that a server may have
// received: one that asks and does nothing.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return req.Body == nil || req.Body == http.NoBody
	}
	return false
}

// connection returns one that is idle or else, whichever is there first, a new
// one or one that another request has done with: a server under load may be slow
// to take new ones, or never do.
func (h *hop) connection(ctx context.Context) (*hopConn, error) {
	for {
		c, place := h.take()
		if c == nil {
			var err error
			if c, err = h.wait(ctx, place); err != nil {
				return nil, err
			}
		}
		if !c.used || c.alive() {
			return c, nil
		}
		_ = c.Close()
	}
}

// wait connects, and returns what is there first. A connection that comes too
// late is for the next request.
func (h *hop) wait(ctx context.Context, place chan arrival) (*hopConn, error) {
	go func() {
		c, err := h.dial(context.WithoutCancel(ctx))
		switch {
		case h.leave(place):
			place <- arrival{c, err}
		case err == nil:
			h.put(c)
		}
	}()
	select {
	case a := <-place:
		if a.err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return a.conn, a.err
	case <-ctx.Done():
		if !h.leave(place) {
			if a := <-place; a.err == nil {
				h.put(a.conn)
			}
		}
		return nil, context.Cause(ctx)
	}
}

// leave gives up a place, if nobody has taken it to put a connection there.
func (h *hop) leave(place chan arrival) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.waiting, place)
	if i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
	}
	return i >= 0
}

func (h *hop) dial(ctx context.Context) (*hopConn, error) {
	conn, err := h.DialContext(ctx, "tcp", h.address)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	c, err := newHopConn(h, conn)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("use the connection: %w", err), conn.Close())
	}
	return c, nil
}

// take returns the connection that is idle since the shortest time, or a place
// to wait for one.
func (h *hop) take() (*hopConn, chan arrival) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := len(h.idle) - 1
	if last < 0 {
		place := make(chan arrival, 1)
		h.waiting = append(h.waiting, place)
		return nil, place
	}
	c := h.idle[last]
	h.idle[last] = nil
	h.idle = h.idle[:last]
	return c, nil
}

// put hands a connection on to who waits, or keeps it for the next request.
func (h *hop) put(c *hopConn) {
	c.used, c.since = true, time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) > 0 {
		h.waiting[0] <- arrival{conn: c} // there is room for it
		h.waiting = slices.Delete(h.waiting, 0, 1)
		return
	}
	if h.closed || len(h.idle) == maxIdle {
		_ = c.Close()
		return
	}
	h.idle = append(h.idle, c)
	switch {
	case h.sweep == nil:
		h.sweep = time.AfterFunc(sweepEvery, h.sweepIdle)
	case len(h.idle) == 1:
		h.sweep.Reset(sweepEvery)
	}
}

// sweepIdle lets go of what has been idle for long, and of what its server has
// closed.
func (h *hop) sweepIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.idle[:0]
	for _, c := range h.idle {
		if time.Since(c.since) < idleTime && c.alive() {
			kept = append(kept, c)
			continue
		}
		_ = c.Close()
	}
	clear(h.idle[len(kept):])
	if h.idle = kept; len(kept) > 0 {
		h.sweep.Reset(sweepEvery)
	}
}

// CloseIdleConnections closes what no request uses, now and from now on: it is
// called when a table was replaced.
func (h *hop) CloseIdleConnections() {
	h.mu.Lock()
	idle := h.idle
	h.idle, h.closed = nil, true
	h.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
	h.Transport.CloseIdleConnections()
}
