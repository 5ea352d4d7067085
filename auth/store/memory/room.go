package memory

import (
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// makeRoom removes records until the bound holds. fresh stays: a write that is
// acknowledged must not have evicted itself.
func (s *Store) makeRoom(fresh *record, now time.Time) {
	for s.size > s.max {
		if s.dropExpired(now) {
			continue
		}
		victim := s.victim(fresh)
		if victim == nil { // cannot be: fresh alone fits
			return
		}
		// To those who watch, an evicted record is a removed one.
		s.remove(victim)
	}
}

// victim is the oldest record of the largest kind. There are as many kinds as
// the program has names for, so looking at each is no scan.
func (s *Store) victim(fresh *record) *record {
	var largest *shelf
	for _, sh := range s.shelves {
		onlyFresh := sh == fresh.shelf && len(sh.records) == 1
		if !onlyFresh && (largest == nil || sh.size > largest.size) {
			largest = sh
		}
	}
	if largest == nil {
		return nil
	}
	// The newest is last, so in front there is another one than fresh.
	return largest.ages.Front().Value.(*record)
}

// dropExpired removes the record that expired first, if one has.
func (s *Store) dropExpired(now time.Time) bool {
	if len(s.expiries) == 0 || !store.Expired(s.expiries[0].expires, now) {
		return false
	}
	s.drop(s.expiries[0])
	return true
}

// expiries is a heap of the records that expire, the first one on top.
type expiries []*record

// Len is for container/heap, as are the others.
func (e expiries) Len() int { return len(e) }

// Less puts what expires earlier nearer to the top.
func (e expiries) Less(i, j int) bool { return e[i].expires < e[j].expires }

// Swap keeps each record told where it is.
func (e expiries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].index, e[j].index = i, j
}

// Push adds a record at the bottom.
func (e *expiries) Push(x any) {
	r := x.(*record)
	r.index = len(*e)
	*e = append(*e, r)
}

// Pop removes the record at the bottom.
func (e *expiries) Pop() any {
	last := len(*e) - 1
	r := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	r.index = -1
	return r
}
