// Package memory is a store.Store that forgets: its records live as long as the
// process, in a bounded number of bytes.
//
// When it is full it drops what has expired, and then the oldest record of the
// kind that takes the most space: a flood of one kind costs that kind its own
// records and no other. Someone who needs a record to stay for as long as it
// was promised uses an engine with a disk.
package memory

import (
	"context"
	"sync"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// DefaultMaxBytes is the bound when none is given.
const DefaultMaxBytes = 64 << 20

// A Store is in memory.
type Store struct {
	now func() time.Time
	max int64
	hub store.Hub

	mu       sync.RWMutex
	closed   bool
	size     int64
	shelves  map[store.Kind]*shelf
	expiries expiries
}

// An Option changes how a Store is made.
type Option func(*Store)

// WithClock makes the store tell time by now.
func WithClock(now func() time.Time) Option {
	return func(s *Store) { s.now = now }
}

// New returns an empty store that keeps at most maxBytes, what it needs to find
// the records included; 0 or less is DefaultMaxBytes.
func New(maxBytes int64, options ...Option) *Store {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxBytes
	}
	s := &Store{now: time.Now, max: maxBytes, shelves: make(map[store.Kind]*shelf)}
	for _, o := range options {
		o(s)
	}
	return s
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	if err := store.Check(ctx, kind, key); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	r := s.find(kind, key)
	if r == nil {
		return nil, store.ErrNotFound
	}
	return clone(r.value), nil
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	return s.change(ctx, kind, key, func() error { return s.set(kind, key, value, ttl) })
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	return s.change(ctx, kind, key, func() error {
		if s.find(kind, key) != nil {
			return store.ErrExists
		}
		return s.set(kind, key, value, ttl)
	})
}

// Take implements store.Store.
func (s *Store) Take(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	var value []byte
	err := s.change(ctx, kind, key, func() error {
		r := s.find(kind, key)
		if r == nil {
			return store.ErrNotFound
		}
		value = r.value // nobody else has it any more
		s.remove(r)
		return nil
	})
	return value, err
}

// Update implements store.Store. fn runs without the lock; if the record is
// another one afterwards, it runs again.
func (s *Store) Update(ctx context.Context, kind store.Kind, key string, fn func(old []byte) ([]byte, time.Duration, error)) error {
	for {
		var seen *record
		var old []byte
		err := s.change(ctx, kind, key, func() error {
			if seen = s.find(kind, key); seen != nil {
				old = clone(seen.value)
			}
			return nil
		})
		if err != nil {
			return err
		}
		value, ttl, err := fn(old)
		if err != nil {
			return err
		}
		swapped := false
		err = s.change(ctx, kind, key, func() error {
			if s.find(kind, key) != seen {
				return nil
			}
			swapped = true
			switch {
			case value != nil:
				return s.set(kind, key, value, ttl)
			case seen != nil:
				s.remove(seen)
			}
			return nil
		})
		if err != nil || swapped {
			return err
		}
	}
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, kind store.Kind, key string) error {
	return s.change(ctx, kind, key, func() error {
		if r := s.find(kind, key); r != nil {
			s.remove(r)
		}
		return nil
	})
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, kind store.Kind, after string, limit int) ([]store.Record, error) {
	if err := store.CheckKind(ctx, kind); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	sh := s.shelves[kind]
	if sh == nil {
		return nil, nil
	}
	var out []store.Record
	now := s.now()
	for key := range sh.keys.after(after) {
		if r := sh.records[key]; !store.Expired(r.expires, now) {
			out = append(out, store.Record{Key: key, Value: clone(r.value)})
		}
		if limit > 0 && len(out) == limit {
			break
		}
	}
	return out, nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, kinds ...store.Kind) (<-chan store.Change, error) {
	return s.hub.Watch(ctx, kinds...)
}

// Behind implements store.Store.
func (s *Store) Behind() time.Duration { return 0 }

// Close implements store.Store. The records are gone.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.size, s.shelves, s.expiries = true, 0, nil, nil
	s.hub.Close()
	return nil
}

// change runs fn with the lock held.
func (s *Store) change(ctx context.Context, kind store.Kind, key string, fn func() error) error {
	if err := store.Check(ctx, kind, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	return fn()
}

// clone copies a value; unlike slices.Clone it never returns nil.
func clone(value []byte) []byte {
	return append(make([]byte, 0, len(value)), value...)
}
