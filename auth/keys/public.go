package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mcp-oauth2-proxy/auth/store"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

const (
	maxStrange  = 4096             // unknown key IDs remembered
	strangeLife = 30 * time.Second // for how long they are not asked for again
	pageSize    = 200
)

// Public returns the published key of this ID. A key that this replica has not
// heard of is looked up once; floods of unknown IDs are coalesced, remembered
// and bounded.
func (r *Ring) Public(ctx context.Context, kid string) (Public, error) {
	now := r.now()
	if k, ok := (*r.public.Load())[kid]; ok {
		if now.Before(k.ends) {
			return k.Public, nil
		}
		return Public{}, ErrUnknown
	}
	r.mu.RLock()
	until, strange := r.strange[kid]
	r.mu.RUnlock()
	if strange && now.Before(until) {
		return Public{}, ErrUnknown
	}
	found, err, _ := r.lookups.Do(kid, func() (any, error) { return r.ask(context.WithoutCancel(ctx), kid) })
	if err != nil {
		return Public{}, err
	}
	return found.(Public), nil
}

// Holds tells, from memory and without a lock, whether what a key signed may
// still be believed.
func (r *Ring) Holds(kid string) bool {
	k, ok := (*r.public.Load())[kid]
	return ok && r.now().Before(k.ends)
}

// ask looks a key up in the store.
func (r *Ring) ask(ctx context.Context, kid string) (Public, error) {
	if !r.budget.Allow() {
		return Public{}, fmt.Errorf("look up key: %w: too many unknown keys", ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	p, err := r.bucket.Get(ctx, kid)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrCorrupt) {
		r.remember(kid)
		return Public{}, ErrUnknown
	}
	if err != nil {
		return Public{}, fmt.Errorf("look up key: %w: %w", ErrUnavailable, err)
	}
	k, err := parse(p)
	if err != nil || k.ID != kid {
		return Public{}, fmt.Errorf("look up key: %w: %w", ErrUnknown, err)
	}
	r.learn(k)
	return k.Public, nil
}

func (r *Ring) remember(kid string) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.strange) >= maxStrange {
		maps.DeleteFunc(r.strange, func(_ string, until time.Time) bool { return !now.Before(until) })
	}
	if len(r.strange) < maxStrange {
		r.strange[kid] = now.Add(strangeLife)
	}
}

// Set returns the key set as RFC 7517 §5 writes it: every key that may have
// signed a token which is still good, and the one that signs next.
func (r *Ring) Set(ctx context.Context) ([]byte, error) {
	select {
	case <-r.ready: // an empty set would be remembered by who asks first
	case <-ctx.Done():
		return nil, fmt.Errorf("key set: %w", ErrUnavailable)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.set, nil
}

// Ready says whether there is a key to sign with.
func (r *Ring) Ready() bool {
	select {
	case <-r.ready:
		return true
	default:
		return false
	}
}

func (r *Ring) learn(keys ...known) {
	r.mu.Lock()
	defer r.mu.Unlock()
	public := maps.Clone(*r.public.Load())
	for _, k := range keys {
		public[k.ID] = k
		delete(r.strange, k.ID)
	}
	r.replace(public)
}

// forget drops keys whose last token has expired.
func (r *Ring) forget() {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	public := maps.Clone(*r.public.Load())
	maps.DeleteFunc(public, func(_ string, k known) bool { return !now.Before(k.ends) })
	if len(public) != len(*r.public.Load()) {
		r.replace(public)
	}
}

// replace puts other keys in place and renders their set. The caller holds the
// lock.
func (r *Ring) replace(public map[string]known) {
	r.public.Store(&public)
	doc := struct {
		Keys []jwk.Key `json:"keys"`
	}{Keys: make([]jwk.Key, 0, len(public))}
	for _, id := range slices.Sorted(maps.Keys(public)) {
		doc.Keys = append(doc.Keys, public[id].jwk)
	}
	if set, err := json.Marshal(doc); err == nil { // jwk.Key always marshals
		r.set = set
	}
}

// readAll learns every published key.
func (r *Ring) readAll(ctx context.Context) error {
	for after := ""; ; {
		page, err := r.bucket.List(ctx, after, pageSize)
		damaged := errors.Is(err, store.ErrCorrupt)
		if damaged {
			r.o.Log.ErrorContext(ctx, "a published key cannot be read", "cause", err)
		} else if err != nil {
			return err
		}
		var ks []known
		for _, e := range page {
			after = e.Key
			k, err := parse(e.Value)
			if err != nil || k.ID != e.Key {
				r.o.Log.WarnContext(ctx, "a published key is not readable", "kid", e.Key, "cause", err)
				continue
			}
			ks = append(ks, k)
		}
		r.learn(ks...)
		if len(page) == 0 || len(page) < pageSize && !damaged {
			return nil
		}
	}
}

// heard follows a change in the store.
func (r *Ring) heard(ctx context.Context, c store.Change) {
	var err error
	if c.Key == "" {
		err = r.readAll(ctx)
	} else {
		var p published
		if p, err = r.bucket.Get(ctx, c.Key); err == nil {
			var k known
			if k, err = parse(p); err == nil && k.ID == c.Key {
				r.learn(k)
			}
		}
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
		r.o.Log.WarnContext(ctx, "a published key was not read", "kid", c.Key, "cause", err)
	}
}
