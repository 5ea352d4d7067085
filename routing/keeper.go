package routing

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mcp-oauth2-proxy/routing/mcp"

	"golang.org/x/time/rate"
)

const (
	life      = 10 * time.Second // of a copy, where the server says nothing
	shortest  = time.Second      // whatever the server says, and after a failure
	longest   = time.Minute
	patience  = 3 * time.Second  // with a server, where there is a copy
	firstTime = 10 * time.Second // where there is none
)

// A keeper holds the catalogue of one route: it asks the MCP server when its
// copy is too old, one question at a time for everybody who waits.
type keeper struct {
	route *Route
	held  atomic.Pointer[held]
	load  sync.Once // the snapshot of an earlier run
	saver saver
	noise *rate.Limiter

	mu     sync.Mutex
	flight *flight
	stamp  int // counts invalidations: what was asked before one is not news
}

// held is a copy and how long it is good for.
type held struct {
	catalogue Catalogue
	index     *index
	known     bool // the server has ever told, or is known not to
	cause     error
	soon      time.Time // from here on it is renewed while it is still good
	until     time.Time
}

// A flight is a question under way.
type flight struct {
	began time.Time
	stamp int
	done  chan struct{}
}

func newKeeper(r *Route) *keeper {
	k := &keeper{route: r, noise: rate.NewLimiter(rate.Every(time.Minute), 1)}
	k.saver.to, k.saver.host = r.options.Snapshots, r.Host
	c := Catalogue{Scopes: []Scope{}, Tools: []Tool{}}
	if r.config.ScopesSet {
		c.Scopes = append(c.Scopes, r.config.Scopes...)
	}
	k.held.Store(&held{catalogue: c, index: newIndex(c.Scopes), known: !k.asks() || r.config.ScopesSet})
	return k
}

// asks tells whether there is anybody to ask.
func (k *keeper) asks() bool { return k.route.Proxied && !k.route.Public }

// Catalogue returns what the MCP server advertises, or what the configuration
// says instead. It never fails: it is the last good copy, else empty.
func (r *Route) Catalogue(ctx context.Context) Catalogue {
	return r.catalogue.current(ctx).catalogue
}

// Invalidate ends the life of the catalogue's copy: the next one who needs it
// asks first.
func (r *Route) Invalidate() { r.catalogue.invalidate() }

func (k *keeper) invalidate() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stamp++
	h := *k.held.Load()
	h.soon, h.until = time.Time{}, time.Time{}
	k.held.Store(&h)
}

// current returns the copy if it is good, else asks for a new one and waits a
// bounded time for it.
func (k *keeper) current(ctx context.Context) *held {
	now := k.route.options.Now()
	h := k.held.Load()
	if !k.asks() || now.Before(h.soon) {
		return h
	}
	if now.Before(h.until) {
		k.ask()
		return h
	}
	k.load.Do(func() { k.restore(ctx) })
	wait := firstTime
	if k.held.Load().known {
		wait = patience
	}
	k.wait(ctx, wait)
	return k.held.Load()
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
		h.catalogue.Tools = c.Tools
		return
	}
	h.catalogue, h.index = c, newIndex(c.Scopes)
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
			"host", k.route.Host, "endpoint", k.route.upstream.endpoint, "known", k.held.Load().known, "cause", err)
	}
}
