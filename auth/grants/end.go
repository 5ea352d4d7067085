package grants

import (
	"context"
	"errors"
	"fmt"
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
	// The access tokens come first: whoever is told that this failed finds the
	// family alive, and ends it again. The other way round a second try would
	// find nothing left to do.
	last := g.o.AccessTTL + 2*time.Minute
	e := ended{now.Add(last)}
	if err := g.revoked.Put(ctx, id, e, last); err != nil {
		return fmt.Errorf("end grant %s: %w", id, err)
	}
	g.bury(id, e.Until)
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
	if errors.Is(err, store.ErrCorrupt) {
		// What it said is lost. That it was there must not be: its code was spent.
		err = g.families.Put(ctx, id, Family{Grant: Grant{ID: id}, Ended: now}, last)
	}
	if err != nil {
		return fmt.Errorf("end grant %s: %w", id, err)
	}
	return nil
}

// EndDamaged ends a grant whose record cannot be read, and says whether it is
// such a one: nothing else finds it.
func (g *Grants) EndDamaged(ctx context.Context, id string) (bool, error) {
	if _, err := g.families.Get(ctx, id); !errors.Is(err, store.ErrCorrupt) {
		return false, nil
	}
	return true, g.End(ctx, id)
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
