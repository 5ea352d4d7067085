package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mcp-oauth2-proxy/auth/store"

	"github.com/lestrrat-go/jwx/v2/jws"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// Options of a Ring.
type Options struct {
	Algorithm string        // RS256 or ES256
	Rotation  time.Duration // how long a key signs
	TokenLife time.Duration // the longest life of what it signs, leeway included
	Now       func() time.Time
	Log       *slog.Logger
	OnMade    func(kid string) // told of every new key
	OnSigning func(kid string) // told of every key that begins to sign
}

// Ring holds the current signing key and every public key that may have
// signed a token which is still good.
type Ring struct {
	bucket  store.Bucket[published]
	store   store.Store
	o       Options
	now     func() time.Time
	lookups singleflight.Group
	budget  *rate.Limiter

	rotating sync.Mutex // one rotation at a time
	ready    chan struct{}

	public atomic.Pointer[map[string]known] // read by every call: never changed, but replaced, under mu

	mu      sync.RWMutex
	current *pair
	since   time.Time // current signs
	next    *pair
	set     []byte // the key set as served
	strange map[string]time.Time
}

// Open reads the published keys and returns a Ring without a signing key: Run
// makes the first one, so that nothing but signing waits for it.
func Open(ctx context.Context, s store.Store, o Options) (*Ring, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Ring{
		bucket: store.Names[published](s, Kind), store: s, o: o, now: o.Now,
		budget: rate.NewLimiter(20, 40), ready: make(chan struct{}),
		strange: map[string]time.Time{},
	}
	r.public.Store(&map[string]known{})
	if err := r.readAll(ctx); err != nil {
		return nil, fmt.Errorf("read published keys: %w", err)
	}
	return r, nil
}

// Run makes the first key, rotates it on time, and follows the keys of other
// replicas, until ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	changes, err := r.store.Watch(ctx, Kind)
	if err != nil {
		return fmt.Errorf("watch keys: %w", err)
	}
	for {
		wait := r.turn(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case c, open := <-changes:
			timer.Stop()
			if !open {
				changes = nil
				continue
			}
			r.heard(ctx, c)
		}
	}
}

// turn does what is due and says how long there is nothing to do.
func (r *Ring) turn(ctx context.Context) time.Duration {
	const retry = 5 * time.Second
	now := r.now()
	r.mu.RLock()
	current, next := r.current, r.next
	r.mu.RUnlock()
	if current == nil {
		if err := r.Rotate(ctx); err != nil {
			r.o.Log.ErrorContext(ctx, "no signing key", "cause", err)
			return retry
		}
		return r.turn(ctx)
	}
	due := current.until.Add(-r.o.Rotation) // it signs twice as long only if its successor fails
	if next == nil && !now.Before(due.Add(-r.lead())) {
		if err := r.prepare(ctx); err != nil {
			r.o.Log.ErrorContext(ctx, "the next signing key is not ready", "cause", err)
			return retry
		}
		return r.turn(ctx)
	}
	if next != nil && !now.Before(due) {
		r.promote()
		return r.turn(ctx)
	}
	r.forget()
	if next == nil {
		return due.Add(-r.lead()).Sub(now)
	}
	return due.Sub(now)
}

// lead is how long a key is published before it signs: longer than a key set
// may be cached.
func (r *Ring) lead() time.Duration { return min(10*time.Minute, r.o.Rotation/4) }

// prepare makes and publishes the key that follows the current one.
func (r *Ring) prepare(ctx context.Context) error {
	p, err := r.make(ctx, r.lead())
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.next = p
	r.mu.Unlock()
	return nil
}

func (r *Ring) promote() {
	r.mu.Lock()
	p := r.next
	r.current, r.next, r.since = p, nil, r.now()
	r.mu.Unlock()
	r.signing(p)
}

// signing tells that a key begins to sign.
func (r *Ring) signing(p *pair) {
	if r.o.OnSigning != nil {
		r.o.OnSigning(p.ID)
	}
}

// Rotate makes a new key and signs with it from now on. Tokens of the old one
// stay good.
func (r *Ring) Rotate(ctx context.Context) error {
	r.rotating.Lock()
	defer r.rotating.Unlock()
	p, err := r.make(ctx, 0)
	if err != nil {
		return err
	}
	r.mu.Lock()
	first := r.current == nil
	r.current, r.next, r.since = p, nil, r.now()
	r.mu.Unlock()
	if first {
		close(r.ready)
	}
	r.signing(p)
	return nil
}

func (r *Ring) make(ctx context.Context, lead time.Duration) (*pair, error) {
	p, err := newPair(r.o.Algorithm)
	if err != nil {
		return nil, err
	}
	p.until = r.now().Add(lead + 2*r.o.Rotation)
	p.ends = p.until.Add(r.o.TokenLife)
	if err := r.publish(ctx, p); err != nil {
		return nil, err
	}
	if r.o.OnMade != nil {
		r.o.OnMade(p.ID)
	}
	return p, nil
}

// SigningSince says since when the current key signs; false if there is none
// yet.
func (r *Ring) SigningSince() (time.Time, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.since, r.current != nil
}

// Sign returns payload as a compact JWS of the given media type (RFC 7515),
// waiting for the first key if need be.
func (r *Ring) Sign(ctx context.Context, payload []byte, typ string) ([]byte, error) {
	p, err := r.signer(ctx)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return p.sign(payload, typ)
}

// signer is the key that signs now.
func (r *Ring) signer(ctx context.Context) (*pair, error) {
	select {
	case <-r.ready:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	r.mu.RLock()
	p := r.current
	r.mu.RUnlock()
	if !r.now().Before(p.until) {
		return nil, fmt.Errorf("%w: the key is past its time and has no successor", ErrUnavailable)
	}
	return p, nil
}

func (p *pair) sign(payload []byte, typ string) ([]byte, error) {
	h := jws.NewHeaders()
	if err := errors.Join(h.Set(jws.KeyIDKey, p.ID), h.Set(jws.TypeKey, typ)); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	out, err := jws.Sign(payload, jws.WithKey(p.Algorithm, p.signer, jws.WithProtectedHeaders(h)))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return out, nil
}
