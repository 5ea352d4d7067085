package grants

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// retryUnread is how often what could not be read is asked for again.
const retryUnread = 250 * time.Millisecond

// unread is what other replicas have ended and could not be read yet. The keys
// belong to Run; since is for everybody.
type unread struct {
	keys  map[string]bool // "" is all of them
	since atomic.Pointer[time.Time]
}

func (u *unread) add(key string) {
	u.keys[key] = true
	if u.since.Load() == nil {
		now := time.Now()
		u.since.Store(&now)
	}
}

func (u *unread) remove(key string) {
	if delete(u.keys, key); len(u.keys) == 0 {
		u.since.Store(nil)
	}
}

// Revoked says whether a grant was ended while access tokens of it may be out.
// It asks memory only. That a grant was not ended it says for as long as the
// store answers and a while longer; then that is an ErrUnknown.
func (g *Grants) Revoked(id string) (bool, error) {
	g.mu.RLock()
	_, dead := g.dead[id]
	g.mu.RUnlock()
	if dead {
		return true, nil
	}
	if !g.Current() {
		return false, ErrUnknown
	}
	return false, nil
}

// Current says whether this replica knows what the others have ended.
func (g *Grants) Current() bool {
	if g.o.StaleAfter == 0 {
		return true
	}
	behind := g.store.Behind()
	if since := g.unread.since.Load(); since != nil {
		behind = max(behind, time.Since(*since))
	}
	return behind <= g.o.StaleAfter
}

// bury notes that a grant has ended. What is left of its tokens' lives is
// counted from now on, so that a clock that jumps later changes nothing.
func (g *Grants) bury(id string, until time.Time) {
	now := g.o.Now()
	g.mu.Lock()
	_, before := g.dead[id]
	g.dead[id] = now.Add(until.Sub(now))
	g.mu.Unlock()
	if !before && g.o.OnEnded != nil {
		g.o.OnEnded(id)
	}
}

// Start reads which grants were ended; no token may be verified before it.
func (g *Grants) Start(ctx context.Context) error {
	now := g.o.Now()
	return each(ctx, g, g.revoked, func(id string, e ended) {
		if now.Before(e.Until) {
			g.bury(id, e.Until)
		}
	})
}

// Run follows what other replicas end, until ctx ends.
func (g *Grants) Run(ctx context.Context) error {
	changes, err := g.store.Watch(ctx, KindRevoked)
	if err != nil {
		return fmt.Errorf("watch revocations: %w", err)
	}
	// What was ended between Start and this moment nobody has reported.
	if g.heard(ctx, ""); ctx.Err() != nil {
		return nil
	}
	tidy, retry := time.NewTicker(time.Minute), time.NewTicker(retryUnread)
	defer tidy.Stop()
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tidy.C:
			g.tidy()
		case <-retry.C:
			for _, key := range slices.Collect(maps.Keys(g.unread.keys)) {
				g.heard(ctx, key)
			}
		case c, open := <-changes:
			if !open {
				changes = nil
				continue
			}
			g.heard(ctx, c.Key)
		}
	}
}

// heard reads what was ended, now or as soon as it can be read.
func (g *Grants) heard(ctx context.Context, key string) {
	err := g.read(ctx, key)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		g.unread.remove(key)
	default:
		if !g.unread.keys[key] {
			g.o.Log.ErrorContext(ctx, "a revocation was not read, and is asked for again", "cause", err)
		}
		g.unread.add(key)
	}
}

func (g *Grants) read(ctx context.Context, key string) error {
	if key == "" {
		return g.Start(ctx)
	}
	e, err := g.revoked.Get(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case errors.Is(err, store.ErrCorrupt):
		// That the record is there says enough: whoever made it ended the grant.
		g.o.Log.ErrorContext(ctx, "a revocation cannot be read, and counts", "cause", err)
		e.Until = g.o.Now().Add(g.o.AccessTTL + 2*time.Minute)
	case err != nil:
		return err
	}
	g.bury(key, e.Until)
	return nil
}

// tidy forgets grants whose last access token has expired.
func (g *Grants) tidy() {
	now := g.o.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.dead, func(_ string, until time.Time) bool { return !now.Before(until) })
}
