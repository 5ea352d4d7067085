package bolt

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"mcp-oauth2-proxy/auth/store"
)

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	raw, err := s.read(ctx, kind, key)
	if err != nil {
		return nil, err
	}
	value, err := live(kind, key, raw, s.now())
	if value == nil && err == nil {
		err = store.ErrNotFound
	}
	return value, err
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	if err := check(ctx, kind, key, value); err != nil {
		return err
	}
	return s.write(ctx, func(b *batch) error {
		return b.save(kind, key, value, ttl)
	})
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	if err := check(ctx, kind, key, value); err != nil {
		return err
	}
	return s.write(ctx, func(b *batch) error {
		old, err := live(kind, key, b.load(kind, key), b.now)
		if err != nil {
			return err
		}
		if old != nil {
			return store.ErrExists
		}
		return b.save(kind, key, value, ttl)
	})
}

// Take implements store.Store.
func (s *Store) Take(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	if err := store.Check(ctx, kind, key); err != nil {
		return nil, err
	}
	var taken []byte
	err := s.write(ctx, func(b *batch) error {
		old, err := live(kind, key, b.load(kind, key), b.now)
		if err != nil {
			return err
		}
		if old == nil {
			return store.ErrNotFound
		}
		taken = append([]byte{}, old...) // bbolt's memory, until the commit
		return b.remove(kind, key)
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// errChanged is how a write says that something came in between.
var errChanged = errors.New("record changed")

// Update implements store.Store. fn runs in no transaction: it delays nobody,
// and if it panics nothing is held.
func (s *Store) Update(ctx context.Context, kind store.Kind, key string, fn func(old []byte) ([]byte, time.Duration, error)) error {
	for {
		seen, err := s.read(ctx, kind, key)
		if err != nil {
			return err
		}
		old, err := live(kind, key, seen, s.now())
		if err != nil {
			return err
		}
		existed := old != nil
		value, ttl, err := fn(bytes.Clone(old)) // seen is compared below, so fn gets its own
		if err != nil {
			return err
		}
		if err := store.CheckValue(kind, value); err != nil {
			return err
		}
		err = s.write(ctx, func(b *batch) error {
			raw := b.load(kind, key)
			now, err := live(kind, key, raw, b.now)
			if err != nil {
				return err
			}
			switch {
			case existed != (now != nil), existed && !bytes.Equal(raw, seen):
				return errChanged
			case value != nil:
				return b.save(kind, key, value, ttl)
			case existed:
				return b.remove(kind, key)
			}
			return nil
		})
		if !errors.Is(err, errChanged) {
			return err
		}
	}
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, kind store.Kind, key string) error {
	// Most of what is deleted to be sure is not there: that costs no commit.
	raw, err := s.read(ctx, kind, key)
	if err != nil || raw == nil {
		return err
	}
	return s.write(ctx, func(b *batch) error {
		return b.remove(kind, key)
	})
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, kind store.Kind, after string, limit int) ([]store.Record, error) {
	if err := store.CheckKind(ctx, kind); err != nil {
		return nil, err
	}
	var out []store.Record
	var bad []error
	err := s.view(func(tx *bbolt.Tx) error {
		records := tx.Bucket(recordBucket).Bucket([]byte(kind))
		if records == nil {
			return nil
		}
		now, c := s.now(), records.Cursor()
		k, raw := c.Seek([]byte(after))
		if k != nil && string(k) == after {
			k, raw = c.Next()
		}
		for ; k != nil && (limit <= 0 || len(out) < limit); k, raw = c.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			value, err := live(kind, string(k), raw, now)
			switch {
			case err != nil:
				bad = append(bad, err)
			case value != nil:
				out = append(out, store.Record{Key: string(k), Value: append([]byte{}, value...)})
			}
		}
		return nil
	})
	if err != nil {
		return nil, failed(err)
	}
	return out, errors.Join(bad...)
}

// read returns a copy of what is stored under the key; nil: nothing.
func (s *Store) read(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	if err := store.Check(ctx, kind, key); err != nil {
		return nil, err
	}
	var raw []byte
	err := s.view(func(tx *bbolt.Tx) error {
		if records := tx.Bucket(recordBucket).Bucket([]byte(kind)); records != nil {
			raw = slices.Clone(records.Get([]byte(key)))
		}
		return nil
	})
	if err != nil {
		return nil, failed(err)
	}
	return raw, nil
}

func check(ctx context.Context, kind store.Kind, key string, value []byte) error {
	if err := store.Check(ctx, kind, key); err != nil {
		return err
	}
	return store.CheckValue(kind, value)
}
