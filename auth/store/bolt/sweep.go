package bolt

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

const (
	// sweepBatch bounds how much one transaction of a sweep removes, and so how
	// long a request may wait behind it.
	sweepBatch = 256

	sweepEvery = time.Minute
)

// Sweep removes the records that have expired by now and returns how many. It
// reads only the expiries that are due, and lets other writes in between its
// batches.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int, error) {
	total := 0
	for {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		removed, more, err := s.sweepOnce(ctx, now)
		total += removed
		if err != nil || !more {
			return total, err
		}
	}
}

func (s *Store) sweepOnce(ctx context.Context, now time.Time) (removed int, more bool, err error) {
	err = s.write(ctx, func(b *batch) error {
		due := b.due(now, sweepBatch)
		more = len(due) == sweepBatch
		for _, at := range due {
			gone, err := b.expire(at)
			if err != nil {
				return err
			}
			if gone {
				removed++
			}
		}
		return nil
	})
	if err != nil {
		return 0, false, err
	}
	return removed, more, nil
}

// due returns the first keys of expiries up to now.
func (b *batch) due(now time.Time, limit int) [][]byte {
	var out [][]byte
	c := b.tx.Bucket(expiryBucket).Cursor()
	for k, _ := c.First(); k != nil && len(out) < limit; k, _ = c.Next() {
		if expires, _, _, ok := splitExpiryKey(k); ok && !store.Expired(expires, now) {
			break
		}
		out = append(out, append([]byte{}, k...))
	}
	return out
}

// expire removes a place holder, and its record if that has the same end: it
// may have been written anew since. A record that cannot be read goes too.
func (b *batch) expire(at []byte) (gone bool, err error) {
	b.dirty = true
	if err := b.tx.Bucket(expiryBucket).Delete(at); err != nil {
		return false, b.breakOff(err)
	}
	expires, kind, key, ok := splitExpiryKey(at)
	if !ok {
		return false, nil
	}
	raw := b.load(kind, key)
	if raw == nil {
		return false, nil
	}
	if _, end, err := decode(kind, key, raw); err == nil && end != expires {
		return false, nil
	}
	if err := b.tx.Bucket(recordBucket).Bucket([]byte(kind)).Delete([]byte(key)); err != nil {
		return false, b.breakOff(err)
	}
	return true, nil
}

// sweepUntil sweeps now and then until ctx ends.
func (s *Store) sweepUntil(ctx context.Context) {
	defer close(s.stopped)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	began, clock := time.Now(), jumps{}
	for {
		now, passed := s.now(), time.Since(began)
		if by := clock.ahead(now, passed); by > 0 {
			s.log.Warn("the clock has jumped ahead: what has expired by it is kept for a while", slog.Duration("by", by))
		}
		if !clock.holds(passed) {
			if _, err := s.Sweep(ctx, now); err != nil && !errors.Is(err, context.Canceled) {
				s.log.Error("expired records were not removed", slog.String("path", s.path), slog.Any("cause", err))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
