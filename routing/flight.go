package routing

import (
	"context"
	"errors"
	"net/http"
	"time"

	"mcp-oauth2-proxy/routing/mcp"
)

// A flight is a question under way.
type flight struct {
	began time.Time
	stamp int
	done  chan struct{}
}

// wait asks, and asks once more if the answer was under way before the copy
// was declared old.
func (k *keeper) wait(ctx context.Context, most time.Duration) {
	deadline := time.Now().Add(most)
	for range 2 {
		f := k.ask()
		timer := time.NewTimer(min(time.Until(deadline), most-time.Since(f.began)))
		select {
		case <-f.done:
			timer.Stop()
		case <-timer.C:
			k.complain(ctx, errors.New("it takes too long to answer"))
			return
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if k.route.options.Now().Before(k.held.Load().until) {
			return
		}
	}
}

// ask starts a question, or joins the one under way.
func (k *keeper) ask() *flight {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight == nil {
		k.flight = &flight{began: time.Now(), stamp: k.stamp, done: make(chan struct{})}
		go k.fly(k.flight)
	}
	return k.flight
}

// fly belongs to nobody in particular, so nobody's leaving ends it.
func (k *keeper) fly(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), firstTime)
	defer cancel()
	r := k.route
	l, err := mcp.List(ctx, &http.Client{Transport: r.transport}, r.upstream.endpoint, r.own)
	if err != nil {
		k.complain(ctx, err)
	}
	if le := (*mcp.ListError)(nil); err == nil || errors.As(err, &le) && le.Definite {
		r.seen(nil) // it answered, whatever it said
	} else {
		r.seen(err)
	}
	news := k.land(f, l, err)
	close(f.done)
	if news != nil {
		if err := k.saver.save(*news); err != nil {
			k.complain(ctx, err)
		}
	}
}

// land makes an answer the copy, or lets the last good one live on.
func (k *keeper) land(f *flight, l *mcp.Listing, err error) (news *Catalogue) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flight = nil
	h := *k.held.Load()
	last := shortest
	if err == nil {
		c := clean(l)
		last = lifetime(l.TTL)
		h.known, h.cause = true, nil
		h.adopt(c, k.route.config.ScopesSet)
		news = &c
	} else {
		h.cause = err
		var le *mcp.ListError
		if !h.known && errors.As(err, &le) && le.Definite {
			h.known, last = true, life
		}
	}
	now := k.route.options.Now()
	h.until = now.Add(last)
	h.soon = now.Add(last * 4 / 5)
	if f.stamp != k.stamp {
		h.until, h.soon = time.Time{}, time.Time{}
	}
	k.held.Store(&h)
	return news
}

// adopt takes over what a server said, but for the scopes where the
// configuration has its own.
func (h *held) adopt(c Catalogue, ownScopes bool) {
	if ownScopes {
		c.Scopes = h.catalogue.Scopes
	}
	if version := c.Version(); version != h.version {
		h.catalogue, h.version, h.index = c, version, newIndex(c)
	}
}

func lifetime(ttl time.Duration) time.Duration {
	if ttl <= 0 {
		return life
	}
	return min(max(ttl, shortest), longest)
}

// complain logs at most one line a minute.
func (k *keeper) complain(ctx context.Context, err error) {
	if k.noise.Allow() {
		k.route.options.Log.WarnContext(ctx, "the MCP server's tools and scopes could not be renewed; the last copy stays",
			"host", k.route.Host, "endpoint", k.route.Endpoint(), "known", k.held.Load().known, "cause", err)
	}
}
