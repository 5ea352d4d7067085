package grants

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// ended says that the access tokens of a grant are worth nothing anymore.
type ended struct {
	Until time.Time `json:"until"` // the last of them has expired
}

const page = 200

// End ends a grant: its refresh tokens, and its access tokens wherever they
// are shown. To end what has ended is no error.
func (g *Grants) End(ctx context.Context, id string) error {
	now := g.o.Now()
	err := g.families.Update(ctx, id, func(old *Family) (*Family, time.Duration, error) {
		if old == nil {
			return nil, 0, nil
		}
		f := *old
		if f.Ended.IsZero() {
			f.Ended = now
		}
		// The record stays as long as a token of it may be shown: it is what
		// says that the code was spent.
		return &f, g.life(f), nil
	})
	if err != nil {
		return fmt.Errorf("end grant %s: %w", id, err)
	}
	last := g.o.AccessTTL + 2*time.Minute
	e := ended{now.Add(last)}
	if err := g.revoked.Put(ctx, id, e, last); err != nil {
		return fmt.Errorf("end grant %s: %w", id, err)
	}
	g.bury(id, e.Until)
	return nil
}

// Revoked says whether a grant was ended while access tokens of it may be out.
// It asks memory only.
func (g *Grants) Revoked(id string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, dead := g.dead[id]
	return dead
}

func (g *Grants) bury(id string, until time.Time) {
	g.mu.Lock()
	_, before := g.dead[id]
	g.dead[id] = until
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
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			g.tidy()
		case c, open := <-changes:
			if !open {
				changes = nil
				continue
			}
			if err := g.heard(ctx, c); err != nil && ctx.Err() == nil {
				g.o.Log.ErrorContext(ctx, "a revocation was not read", "cause", err)
			}
		}
	}
}

func (g *Grants) heard(ctx context.Context, c store.Change) error {
	if c.Key == "" {
		return g.Start(ctx)
	}
	e, err := g.revoked.Get(ctx, c.Key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	g.bury(c.Key, e.Until)
	return nil
}

// tidy forgets grants whose last access token has expired.
func (g *Grants) tidy() {
	now := g.o.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.dead, func(_ string, until time.Time) bool { return !now.Before(until) })
}

// logCorrupt names a record that cannot be read in the log, and lets the others
// be read: it alone fails.
func (g *Grants) logCorrupt(ctx context.Context, err error) error {
	if !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	g.o.Log.ErrorContext(ctx, "a record cannot be read", "cause", err)
	return nil
}

// each calls fn for every record of a bucket that can be read.
func each[T any](ctx context.Context, g *Grants, b store.Bucket[T], fn func(key string, value T)) error {
	for after := ""; ; {
		entries, err := b.List(ctx, after, page)
		damaged := errors.Is(err, store.ErrCorrupt)
		if err := g.logCorrupt(ctx, err); err != nil {
			return err
		}
		for _, e := range entries {
			after = e.Key
			fn(e.Key, e.Value)
		}
		if len(entries) == 0 || len(entries) < page && !damaged {
			return nil
		}
	}
}

// clear deletes the records of a kind that match. It is for management.
func (g *Grants) clear(ctx context.Context, kind store.Kind, match func(value []byte) bool) error {
	for after := ""; ; {
		records, err := g.store.List(ctx, kind, after, page)
		damaged := errors.Is(err, store.ErrCorrupt)
		if err := g.logCorrupt(ctx, err); err != nil {
			return err
		}
		for _, r := range records {
			after = r.Key
			if !match(r.Value) {
				continue
			}
			if err := g.store.Delete(ctx, kind, r.Key); err != nil {
				return err
			}
		}
		if len(records) == 0 || len(records) < page && !damaged {
			return nil
		}
	}
}
