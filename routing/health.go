package routing

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// Health is what was last seen of an MCP server. It decides nothing: every
// request is passed on.
type Health struct {
	Known bool // it was heard of at all
	Up    bool
	Since time.Time
	Cause string // of being down
}

// monitor keeps the Health of one route.
type monitor struct {
	state atomic.Pointer[Health]
	heard atomic.Bool // since the last Probe
}

// Health says how the MCP server is.
func (r *Route) Health() Health {
	if h := r.monitor.state.Load(); h != nil {
		return *h
	}
	return Health{}
}

// seen notes that the server answered, or why it did not. Most of the time
// nothing changes, and nothing is written.
func (r *Route) seen(err error) {
	if !r.monitor.heard.Load() {
		r.monitor.heard.Store(true)
	}
	was := r.monitor.state.Load()
	if was != nil && was.Up == (err == nil) {
		return
	}
	h := &Health{Known: true, Up: err == nil, Since: r.options.Now()}
	if err != nil {
		h.Cause = err.Error()
	}
	if r.monitor.state.CompareAndSwap(was, h) && was != nil {
		r.options.Log.Info("the MCP server's health changed", "host", r.Host, "endpoint", r.Endpoint(), "up", h.Up, "cause", h.Cause)
	}
}

// Probe looks after a server that nobody has called since the last Probe, by
// connecting to it: that is no request, so the server sees none.
func (r *Route) Probe(ctx context.Context) {
	if !r.Proxied || r.monitor.heard.Swap(false) && r.Health().Up {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout+handshakeTimeout)
	defer cancel()
	if err := r.connect(ctx); ctx.Err() != context.Canceled {
		r.seen(err)
		r.monitor.heard.Store(false)
	}
}

func (r *Route) connect(ctx context.Context) error {
	conn, err := r.transport.DialContext(ctx, "tcp", r.upstream.address())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was opened to see that it opens
	if r.upstream.scheme != "https" {
		return nil
	}
	c := r.transport.TLSClientConfig.Clone()
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(r.upstream.address())
	}
	if err := tls.Client(conn, c).HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	return nil
}
