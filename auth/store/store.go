// Package store is what the program remembers: small records, each with a
// kind, a key, a value and perhaps an end.
//
// It promises that every verb is atomic, whatever the number of callers or
// replicas, and that what a verb wrote has reached the engine's medium when it
// returns. The single-use promises of the authorization server rest on that. It
// does not know what the records mean: a value is bytes here, and a type only
// in a Bucket.
//
// An engine is a Store; storetest holds every engine to this page.
package store

import (
	"context"
	"errors"
	"time"
)

// A Kind names a family of records. Kinds do not share keys.
type Kind string

// A Record is one entry of a List. The slice belongs to whoever got it.
type Record struct {
	Key   string
	Value []byte
}

// A Change says that a record was written or removed. An empty Key says that
// anything of that kind may have changed: read the kind again.
type Change struct {
	Kind Kind
	Key  string
}

// The errors of every engine, to be tested with errors.Is.
var (
	ErrNotFound    = errors.New("no such record")
	ErrExists      = errors.New("record exists")
	ErrTooLarge    = errors.New("record is too large")
	ErrNoKey       = errors.New("record has no kind or no key")
	ErrCorrupt     = errors.New("record cannot be read")
	ErrUnavailable = errors.New("store is unavailable")
	ErrClosed      = errors.New("store is closed")
)

// A Store keeps records.
//
// A record whose time has come is absent for every verb, whether or not the
// engine has removed it yet. A verb that is given a context that has ended
// returns the context's error and changes nothing. Slices are copied on the way
// in and out. A nil value is stored as an empty one, and an empty value is a
// record like any other.
//
// A kind has 1 to MaxKind bytes, a key 1 to MaxKey, a value up to MaxValue; any
// byte may occur. A record that cannot be read (ErrCorrupt) fails alone, with
// its kind and key in the error; Put and Delete still replace and remove it.
type Store interface {
	// Get returns the value, or ErrNotFound.
	Get(ctx context.Context, kind Kind, key string) ([]byte, error)

	// Put writes the record, over an older one if there is one. It lasts for
	// ttl, and forever if that is 0. A negative ttl has already run out: what
	// was there is gone.
	Put(ctx context.Context, kind Kind, key string, value []byte, ttl time.Duration) error

	// Create writes the record if there is none, else it returns ErrExists:
	// of any number of concurrent callers exactly one succeeds.
	Create(ctx context.Context, kind Kind, key string, value []byte, ttl time.Duration) error

	// Take returns the record and removes it, in one step: of any number of
	// concurrent callers exactly one gets the record, the rest ErrNotFound.
	Take(ctx context.Context, kind Kind, key string) ([]byte, error)

	// Update replaces the record by what fn makes of it, and nothing comes in
	// between. old is nil if there is no record (and empty, not nil, if its
	// value is empty); a nil result removes the record, or leaves it absent.
	// ttl is as in Put, counted from now. An error of fn is returned as it is
	// and nothing changes. fn may run more than once, so it must have no side
	// effects, and it must not use the store.
	Update(ctx context.Context, kind Kind, key string, fn func(old []byte) (value []byte, ttl time.Duration, err error)) error

	// Delete removes the record. That there was none is no error.
	Delete(ctx context.Context, kind Kind, key string) error

	// List returns up to limit records with keys after the given one, in the
	// order of their bytes; a limit of 0 or less is none. Fewer than limit
	// means that there are no more. Records that cannot be read do not hide the
	// others: List then returns those that can be, and an ErrCorrupt that names
	// the rest. It is for start-up, management and sweeps, never for a client's
	// request.
	List(ctx context.Context, kind Kind, after string, limit int) ([]Record, error)

	// Watch reports what is written and removed from now on, by any verb of
	// any replica, until ctx ends or the store is closed; then it closes the
	// channel. No kinds means all of them. A Change arrives after what it
	// reports can be read. A slow reader delays nobody and misses nothing, but
	// repeated changes of a key may arrive as one, and too many of one kind as
	// one Change without a key. That a record ran out of time is not reported.
	Watch(ctx context.Context, kinds ...Kind) (<-chan Change, error)

	// Behind is for how long a change by another replica may have been there
	// without Watch having reported it: next to nothing while the medium
	// answers, and 0 always where there are no replicas. It does not block.
	Behind() time.Duration

	// Close ends every watch and lets go of the medium. Verbs return ErrClosed
	// from then on. Closing twice is no error.
	Close() error
}
