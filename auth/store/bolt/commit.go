package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"mcp-oauth2-proxy/auth/store"
)

// A write waits for a commit, its own or another's.
type write struct {
	apply func(*batch) error
	err   error
	done  chan struct{}
}

// write applies a change and returns when it is durable. apply may refuse, with
// an error, as long as it has changed nothing; the other writes of the same
// commit are not affected.
//
// Whoever waits and finds nobody committing commits for all who wait. So a lone
// write starts at once, and under load one wait for the disk serves many.
func (s *Store) write(ctx context.Context, apply func(*batch) error) error {
	w := &write{apply: apply, done: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
		s.commit()
		<-s.turn
	case <-ctx.Done():
		if s.withdraw(w) {
			return ctx.Err()
		}
		// It is being committed. What happened is then worth the wait.
	case <-w.done:
	}
	<-w.done
	return w.err
}

// withdraw takes a write back that nobody has begun to commit.
func (s *Store) withdraw(w *write) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.waiting {
		if o == w {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// commit applies everything that waits. The caller has the turn.
func (s *Store) commit() {
	s.mu.Lock()
	writes := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	if len(writes) == 0 {
		return
	}
	changes, err := s.transact(writes)
	if err == nil {
		s.hub.Publish(changes...)
	}
	for _, w := range writes {
		if err != nil {
			w.err = failed(err)
		}
		close(w.done)
	}
}

// errNothing ends a transaction in which everything was refused: there is
// nothing to wait for the disk for.
var errNothing = errors.New("nothing to commit")

func (s *Store) transact(writes []*write) (changes []store.Change, err error) {
	defer caught(&err)
	err = s.db.Update(func(tx *bbolt.Tx) error {
		b := &batch{tx: tx, now: s.now()}
		for _, w := range writes {
			w.err = w.apply(b)
			if b.broken != nil {
				return b.broken
			}
		}
		changes = b.changes
		if !b.dirty {
			return errNothing
		}
		return nil
	})
	if errors.Is(err, errNothing) {
		return nil, nil
	}
	return changes, err
}

// view runs fn in a transaction that only reads.
func (s *Store) view(fn func(*bbolt.Tx) error) (err error) {
	defer caught(&err)
	return s.db.View(fn)
}

// caught turns a panic into an error. That is how bbolt reports some damage,
// after it has rolled back; requests for what is whole must go on.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the state file is damaged: %v", p)
	}
}

// failed turns an error of bbolt into one of the store's.
func failed(err error) error {
	switch {
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// A batch is a transaction as the writes in it see it.
type batch struct {
	tx      *bbolt.Tx
	now     time.Time
	changes []store.Change
	dirty   bool
	broken  error // a step of a change failed: nothing may be committed
}

// load returns what is stored under the key; nil: nothing. It is bbolt's memory
// and ends with the next change.
func (b *batch) load(kind store.Kind, key string) []byte {
	records := b.tx.Bucket(recordBucket).Bucket([]byte(kind))
	if records == nil {
		return nil
	}
	return records.Get([]byte(key))
}

// save writes a record and its place among the expiries.
func (b *batch) save(kind store.Kind, key string, value []byte, ttl time.Duration) error {
	expires := store.Expires(b.now, ttl)
	b.unlist(kind, key)
	records, err := b.tx.Bucket(recordBucket).CreateBucketIfNotExists([]byte(kind))
	if err != nil {
		return b.breakOff(err)
	}
	if err := records.Put([]byte(key), encode(kind, key, value, expires)); err != nil {
		return b.breakOff(err)
	}
	if expires != 0 {
		if err := b.tx.Bucket(expiryBucket).Put(expiryKey(expires, kind, key), []byte{1}); err != nil {
			return b.breakOff(err)
		}
	}
	b.changed(kind, key)
	return b.broken
}

// remove takes a record away, if there is one.
func (b *batch) remove(kind store.Kind, key string) error {
	if b.load(kind, key) == nil {
		return nil
	}
	b.unlist(kind, key)
	if err := b.tx.Bucket(recordBucket).Bucket([]byte(kind)).Delete([]byte(key)); err != nil {
		return b.breakOff(err)
	}
	b.changed(kind, key)
	return b.broken
}

// unlist takes the record out of the expiries. What it says of its expiry is
// not believed if it is corrupt; the place holder then waits for the sweep.
func (b *batch) unlist(kind store.Kind, key string) {
	raw := b.load(kind, key)
	if raw == nil {
		return
	}
	_, expires, err := decode(kind, key, raw)
	if err != nil || expires == 0 {
		return
	}
	if err := b.tx.Bucket(expiryBucket).Delete(expiryKey(expires, kind, key)); err != nil {
		_ = b.breakOff(err)
	}
}

func (b *batch) changed(kind store.Kind, key string) {
	b.dirty = true
	b.changes = append(b.changes, store.Change{Kind: kind, Key: key})
}

func (b *batch) breakOff(err error) error {
	b.broken = err
	return err
}
