package store

import (
	"context"
	"fmt"
	"math"
	"time"
)

// How large the parts of a record may be, in bytes. They bound what one request
// can make an engine hold, and every engine can index such a key.
const (
	MaxKind  = 64
	MaxKey   = 512
	MaxValue = 256 << 10
)

// Check is the first step of an engine's verb: it returns the error of a
// context that has ended, or what is wrong with the kind or the key.
func Check(ctx context.Context, kind Kind, key string) error {
	if err := CheckKind(ctx, kind); err != nil {
		return err
	}
	if key == "" {
		return fmt.Errorf("%w: kind %s", ErrNoKey, kind)
	}
	if len(key) > MaxKey {
		// The key is not repeated: it may be megabytes that a client sent.
		return fmt.Errorf("%w: a key of kind %s has %d bytes, at most %d are kept", ErrTooLarge, kind, len(key), MaxKey)
	}
	return nil
}

// CheckKind is Check for the verbs without a key.
func CheckKind(ctx context.Context, kind Kind) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if kind == "" {
		return ErrNoKey
	}
	if len(kind) > MaxKind {
		return fmt.Errorf("%w: a kind has %d bytes, at most %d are kept", ErrTooLarge, len(kind), MaxKind)
	}
	return nil
}

// CheckValue refuses a value over MaxValue.
func CheckValue(kind Kind, value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("%w: a value of kind %s has %d bytes, at most %d are kept", ErrTooLarge, kind, len(value), MaxValue)
	}
	return nil
}

// Expires returns when a record written now ends, in Unix nanoseconds; 0 means
// never. A ttl too long to be counted ends with the count, in the year 2262.
func Expires(now time.Time, ttl time.Duration) int64 {
	if ttl == 0 {
		return 0
	}
	at, from := now.UnixNano()+int64(ttl), now.UnixNano()
	if ttl > 0 && at < from {
		return math.MaxInt64
	}
	return max(at, 1) // 0 would be forever
}

// Expired tells whether a record that ends at a time from Expires has ended.
func Expired(at int64, now time.Time) bool {
	return at != 0 && at <= now.UnixNano()
}
