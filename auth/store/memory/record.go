package memory

import (
	"container/heap"
	"container/list"
	"fmt"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// overhead is about what finding a record costs beside its key and value: the
// record, its place in a map, in the order of keys, by age and by expiry.
const overhead = 256

// expiredPerWrite is how many expired records a write removes in passing. More
// than one, so that they cannot pile up.
const expiredPerWrite = 4

// A record is never changed, only replaced: that it is still the same record is
// how Update knows that nothing came in between.
type record struct {
	shelf   *shelf
	key     string
	value   []byte
	expires int64 // as store.Expires returns it
	index   int   // in expiries; -1: not there
	age     *list.Element
}

func (r *record) size() int64 {
	return int64(len(r.key) + len(r.value) + overhead)
}

// A shelf holds the records of one kind.
type shelf struct {
	kind    store.Kind
	size    int64
	records map[string]*record
	keys    order
	ages    list.List // of *record, the oldest in front
}

// find returns the record unless it is absent or has expired.
func (s *Store) find(kind store.Kind, key string) *record {
	sh := s.shelves[kind]
	if sh == nil {
		return nil
	}
	r := sh.records[key]
	if r == nil || store.Expired(r.expires, s.now()) {
		return nil
	}
	return r
}

// set writes a record and makes room for it.
func (s *Store) set(kind store.Kind, key string, value []byte, ttl time.Duration) error {
	if err := store.CheckValue(kind, value); err != nil {
		return err
	}
	now := s.now()
	r := &record{key: key, value: clone(value), expires: store.Expires(now, ttl), index: -1}
	if r.size() > s.max {
		return fmt.Errorf("%w: kind %s: the whole store holds %d bytes", store.ErrTooLarge, kind, s.max)
	}
	s.add(kind, r)
	for range expiredPerWrite {
		s.dropExpired(now)
	}
	s.makeRoom(r, now)
	s.hub.Publish(store.Change{Kind: kind, Key: key})
	return nil
}

// remove takes a record away because somebody wants it gone.
func (s *Store) remove(r *record) {
	s.drop(r)
	s.hub.Publish(store.Change{Kind: r.shelf.kind, Key: r.key})
}

func (s *Store) add(kind store.Kind, r *record) {
	sh := s.shelves[kind]
	if sh != nil && sh.records[r.key] != nil {
		s.drop(sh.records[r.key])
		sh = s.shelves[kind]
	}
	if sh == nil {
		sh = &shelf{kind: kind, records: make(map[string]*record)}
		s.shelves[kind] = sh
	}
	r.shelf = sh
	sh.records[r.key] = r
	sh.keys.insert(r.key)
	r.age = sh.ages.PushBack(r)
	if r.expires != 0 {
		heap.Push(&s.expiries, r)
	}
	sh.size += r.size()
	s.size += r.size()
}

func (s *Store) drop(r *record) {
	sh := r.shelf
	delete(sh.records, r.key)
	sh.keys.remove(r.key)
	sh.ages.Remove(r.age)
	if r.index >= 0 {
		heap.Remove(&s.expiries, r.index)
	}
	sh.size -= r.size()
	s.size -= r.size()
	if len(sh.records) == 0 {
		delete(s.shelves, sh.kind)
	}
}
