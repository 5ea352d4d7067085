package routing

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

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
	pins  memory

	mu     sync.Mutex
	flight *flight
	stamp  int // counts invalidations: what was asked before one is not news
}

// held is a copy and how long it is good for.
type held struct {
	catalogue Catalogue
	version   string
	index     *index // the same as long as the version is
	known     bool   // the server has ever told, or is known not to
	cause     error
	soon      time.Time // from here on it is renewed while it is still good
	until     time.Time
}

func newKeeper(r *Route) *keeper {
	k := &keeper{route: r, noise: rate.NewLimiter(rate.Every(time.Minute), 1)}
	k.saver.to, k.saver.host = r.options.Snapshots, r.Host
	c := Catalogue{Scopes: []Scope{}, Tools: []Tool{}}
	if r.config.ScopesSet {
		c.Scopes = append(c.Scopes, r.config.Scopes...)
	}
	k.held.Store(&held{catalogue: c, version: c.Version(), index: newIndex(c), known: !k.asks() || r.config.ScopesSet})
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
