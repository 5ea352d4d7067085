package access

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// How much is remembered: a token of the usual size takes less than 3 KB, so that
// the number is reached first; one that lists hundreds of groups takes more.
const (
	cacheSets     = 1 << 10
	cacheWays     = 16       // tokens in a set: 16,384 in all
	cacheSetBytes = 48 << 10 // 48 MiB in all
)

// cacheKey is the SHA-256 of a token as it was received, all of it: two
// spellings are two keys, and nothing that a token says of itself is part of
// one before its signature was checked.
type cacheKey [sha256.Size]byte

func keyOf(raw string) cacheKey {
	var room [2 << 10]byte // on the stack, where most tokens find room
	return sha256.Sum256(append(room[:0], raw...))
}

// A cache remembers tokens whose signature was good, so that it is checked once
// and not for every call. It holds nothing that was refused, and decides
// nothing: where and when a token is good is judged again each time.
//
// A key has one set where it can be. Readers take no lock; writers lock their
// set, for as long as it takes to look at its tokens. So neither many tokens
// nor many that fall into one set make anybody wait, and memory is bounded set
// by set.
type cache[T any] struct{ sets [cacheSets]cacheSet[T] }

type cacheSet[T any] struct {
	hints [cacheWays]atomic.Uint32 // of the keys: most of those that differ are seen to without a look at the token
	slots [cacheWays]atomic.Pointer[cached[T]]

	mu    sync.Mutex // of writers
	hand  int        // where the search for room goes on
	bytes int
}

// cached is a token that was believed once. Nothing in it changes but used.
type cached[T any] struct {
	key   cacheKey
	kid   string // whose signature it is
	token Token  // shares nothing that could be changed with what was made of it
	made  T
	bytes int
	used  atomic.Bool // since the hand came by
}

func (c *cache[T]) at(k *cacheKey) (set *cacheSet[T], hint uint32) {
	n := binary.LittleEndian.Uint64(k[:])
	return &c.sets[n%cacheSets], uint32(n>>32) | 1 // 0 is nobody's
}

// get returns what is remembered under a key, or nil. It belongs to everybody.
func (c *cache[T]) get(k *cacheKey) *cached[T] {
	set, hint := c.at(k)
	for i := range set.hints {
		if set.hints[i].Load() != hint {
			continue
		}
		if e := set.slots[i].Load(); e != nil && e.key == *k {
			if !e.used.Load() {
				e.used.Store(true)
			}
			return e
		}
	}
	return nil
}

// put remembers a token. What is new, and was not asked for again yet, makes
// room first: tokens that are shown once do not drive out those in use.
func (c *cache[T]) put(e *cached[T], now time.Time) {
	if e.bytes = e.size(); e.bytes > cacheSetBytes {
		return
	}
	set, hint := c.at(&e.key)
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.find(&e.key) >= 0 { // somebody was first
		return
	}
	i := set.room(e.bytes, now)
	set.bytes += e.bytes
	set.slots[i].Store(e)
	set.hints[i].Store(hint)
}

// drop forgets a token.
func (c *cache[T]) drop(k *cacheKey) {
	set, _ := c.at(k)
	set.mu.Lock()
	defer set.mu.Unlock()
	if i := set.find(k); i >= 0 {
		set.clear(i)
	}
}

func (s *cacheSet[T]) find(k *cacheKey) int {
	for i := range s.slots {
		if e := s.slots[i].Load(); e != nil && e.key == *k {
			return i
		}
	}
	return -1
}

// room makes room for so many bytes, and returns a slot that is free.
func (s *cacheSet[T]) room(bytes int, now time.Time) int {
	for i := range s.slots {
		if e := s.slots[i].Load(); e != nil && !now.Before(e.token.Expiry.Add(Leeway)) {
			s.clear(i)
		}
	}
	for {
		if i := s.free(); i >= 0 && s.bytes+bytes <= cacheSetBytes {
			return i
		}
		s.clear(s.victim())
	}
}

func (s *cacheSet[T]) free() int {
	for i := range s.slots {
		if s.slots[i].Load() == nil {
			return i
		}
	}
	return -1
}

// victim is the first token from the hand on that was not used since the hand
// last came by, or, where readers are quicker than that, any. The set is not
// empty.
func (s *cacheSet[T]) victim() int {
	for seen := 0; ; seen++ {
		i := s.hand
		s.hand = (s.hand + 1) % cacheWays
		if e := s.slots[i].Load(); e != nil && (!e.used.Swap(false) || seen > 2*cacheWays) {
			return i
		}
	}
}

func (s *cacheSet[T]) clear(i int) {
	if e := s.slots[i].Swap(nil); e != nil {
		s.bytes -= e.bytes
	}
	s.hints[i].Store(0)
}

// sizeMade is what is made of a token, but for its texts, in bytes.
const sizeMade = 768

// size is what a token takes in memory, and what was made of it, counted too
// high rather than too low: texts may be there again, percent-encoded.
func (e *cached[T]) size() int {
	const text = int(unsafe.Sizeof(""))
	t := &e.token
	n := len(t.Issuer) + len(t.Subject) + len(t.ClientID) + len(t.Email) +
		len(t.PreferredUsername) + len(t.ID) + len(t.Grant) + len(t.Pin)
	for _, list := range [...][]string{t.Audience, t.Scopes, t.Groups} {
		n += sizeOf(list)
	}
	for _, d := range t.Details {
		n += int(unsafe.Sizeof(d)) + len(d.Type) + len(d.Tool) + sizeOf(d.Locations)
		for name, value := range d.Arguments {
			n += 4*text + len(name) + len(value)
		}
	}
	return int(unsafe.Sizeof(*e)) + sizeMade + len(e.kid) + 4*n
}

func sizeOf(list []string) int {
	n := cap(list) * int(unsafe.Sizeof(""))
	for _, s := range list {
		n += len(s)
	}
	return n
}
