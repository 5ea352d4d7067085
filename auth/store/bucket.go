package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// A Bucket is one kind of a Store whose values are a T, as JSON. Its verbs make
// the promises of the Store's. A value that is no T is an ErrCorrupt.
type Bucket[T any] struct {
	store  Store
	kind   Kind
	hashed bool
}

// An Entry is one record of a Bucket's List. In a bucket of secrets Key is the
// hash: the secret itself is nowhere.
type Entry[T any] struct {
	Key   string
	Value T
}

// Names is a bucket whose keys are names: they are stored readable.
func Names[T any](s Store, kind Kind) Bucket[T] {
	return Bucket[T]{store: s, kind: kind}
}

// Secrets is a bucket whose keys are secrets (codes, refresh tokens): only
// their SHA-256 is stored, so who reads the store cannot present one. That
// takes keys too long to guess; none of ours is under 128 bits.
func Secrets[T any](s Store, kind Kind) Bucket[T] {
	return Bucket[T]{store: s, kind: kind, hashed: true}
}

// Key returns the key as it is stored, and as a Change and an Entry show it.
func (b Bucket[T]) Key(key string) string {
	if !b.hashed || key == "" { // no secret is no key, not the hash of nothing
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Get is Store.Get.
func (b Bucket[T]) Get(ctx context.Context, key string) (T, error) {
	key = b.Key(key)
	raw, err := b.store.Get(ctx, b.kind, key)
	if err != nil {
		return *new(T), err
	}
	return b.decode(key, raw)
}

// Put is Store.Put.
func (b Bucket[T]) Put(ctx context.Context, key string, value T, ttl time.Duration) error {
	raw, err := b.encode(value)
	if err != nil {
		return err
	}
	return b.store.Put(ctx, b.kind, b.Key(key), raw, ttl)
}

// Create is Store.Create.
func (b Bucket[T]) Create(ctx context.Context, key string, value T, ttl time.Duration) error {
	raw, err := b.encode(value)
	if err != nil {
		return err
	}
	return b.store.Create(ctx, b.kind, b.Key(key), raw, ttl)
}

// Take is Store.Take.
func (b Bucket[T]) Take(ctx context.Context, key string) (T, error) {
	key = b.Key(key)
	raw, err := b.store.Take(ctx, b.kind, key)
	if err != nil {
		return *new(T), err
	}
	return b.decode(key, raw)
}

// Update is Store.Update. fn may change and return what old points to: each run
// gets its own.
func (b Bucket[T]) Update(ctx context.Context, key string, fn func(old *T) (next *T, ttl time.Duration, err error)) error {
	key = b.Key(key)
	return b.store.Update(ctx, b.kind, key, func(raw []byte) ([]byte, time.Duration, error) {
		var old *T
		if raw != nil {
			v, err := b.decode(key, raw)
			if err != nil {
				return nil, 0, err
			}
			old = &v
		}
		next, ttl, err := fn(old)
		if err != nil || next == nil {
			return nil, 0, err
		}
		raw, err = b.encode(*next)
		return raw, ttl, err
	})
}

// Delete is Store.Delete.
func (b Bucket[T]) Delete(ctx context.Context, key string) error {
	return b.store.Delete(ctx, b.kind, b.Key(key))
}

// List is Store.List. after is a key as an Entry shows it.
func (b Bucket[T]) List(ctx context.Context, after string, limit int) ([]Entry[T], error) {
	return page(ctx, b.store, b.kind, after, limit, func(r Record) (Entry[T], error) {
		v, err := b.decode(r.Key, r.Value)
		return Entry[T]{Key: r.Key, Value: v}, err
	})
}

func (b Bucket[T]) encode(value T) ([]byte, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode a record of kind %s: %w", b.kind, err)
	}
	return raw, nil
}

// decode takes the stored form of the key, because errors show it.
func (b Bucket[T]) decode(key string, raw []byte) (T, error) {
	var value T
	if err := json.Unmarshal(raw, &value); err != nil {
		return *new(T), corrupt(b.kind, key, err)
	}
	return value, nil
}
