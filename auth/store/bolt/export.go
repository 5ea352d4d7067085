package bolt

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"mcp-oauth2-proxy/auth/store"
)

// Export calls fn for every record there is at one moment, with what is left of
// its life; 0 is forever. An error of fn ends it. Records that cannot be read
// are left out and named in the error at the end, an ErrCorrupt.
func (s *Store) Export(ctx context.Context, fn func(kind store.Kind, r store.Record, ttl time.Duration) error) error {
	var bad []error
	var ended error
	err := s.view(func(tx *bbolt.Tx) error {
		now := s.now()
		return tx.Bucket(recordBucket).ForEachBucket(func(name []byte) error {
			kind := store.Kind(name)
			return tx.Bucket(recordBucket).Bucket(name).ForEach(func(key, raw []byte) error {
				if ended = ctx.Err(); ended != nil {
					return ended
				}
				value, expires, err := decode(kind, string(key), raw)
				if err != nil {
					bad = append(bad, err)
					return nil
				}
				if store.Expired(expires, now) {
					return nil
				}
				var left time.Duration
				if expires != 0 {
					left = time.Duration(expires - now.UnixNano())
				}
				ended = fn(kind, store.Record{Key: string(key), Value: append([]byte{}, value...)}, left)
				return ended
			})
		})
	})
	switch {
	case ended != nil:
		return ended
	case err != nil:
		return failed(err)
	}
	return errors.Join(bad...)
}
