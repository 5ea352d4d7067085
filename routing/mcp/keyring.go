package mcp

import (
	"bytes"
	"hash/maphash"
)

const (
	few      = 32     // keys of an object are compared one by one before they are hashed
	mostKeys = 10_000 // in one object: the slots cost more memory than short keys
)

// A keyring holds the keys of all objects that are open, the innermost last,
// to find one that comes twice, in linear time whatever the keys. It is part of
// a scanner, and so on the stack as long as there is room.
type keyring struct {
	n    int
	room [few][]byte
	more [][]byte // instead of the room
	seed maphash.Seed
}

// names are the keys of one open object: those of the keyring from first on.
type names struct {
	first int
	marks uint64   // of the first few
	slots []uint16 // of many: each key's number, from 1, is where its hash points
}

func (k *keyring) open() names { return names{first: k.n} }

// close forgets the keys of the object opened last.
func (k *keyring) close(n names) { k.n = n.first }

func (k *keyring) all() [][]byte {
	if k.more != nil {
		return k.more[:k.n]
	}
	return k.room[:k.n]
}

// add takes a key of the object opened last; false if it has it already, or
// has too many.
func (k *keyring) add(n *names, key []byte) bool {
	fresh := false
	switch keys := k.all()[n.first:]; {
	case len(keys) < few:
		m := mark(key)
		fresh = n.marks&m == 0 || !contains(keys, key)
		n.marks |= m
	case len(keys) < mostKeys:
		fresh = k.place(n, key)
	}
	k.append(key)
	return fresh
}

// mark is one bit of a key. Few keys of an object share one, so most are known
// to be new without being compared.
func mark(key []byte) uint64 {
	n := len(key)
	if n == 0 {
		return 1
	}
	return 1 << ((5*uint(key[0]) + uint(key[n-1]) + 16*uint(n)) % 64)
}

func (k *keyring) append(key []byte) {
	if keys := k.all(); k.n == cap(keys) {
		k.more = append(make([][]byte, 0, 2*k.n), keys...)
	}
	k.n++
	k.all()[k.n-1] = key
}

// place gives a key of an object with many a slot; false if one is there.
func (k *keyring) place(n *names, key []byte) bool {
	keys := k.all()[n.first:]
	if 2*len(keys) >= len(n.slots) { // half of them stay free
		n.slots = make([]uint16, max(4*few, 4*len(n.slots)))
		if k.seed == (maphash.Seed{}) {
			k.seed = maphash.MakeSeed()
		}
		for i, key := range keys {
			*k.slot(n.slots, keys, key) = uint16(i + 1)
		}
	}
	slot := k.slot(n.slots, keys, key)
	fresh := *slot == 0
	*slot = uint16(len(keys) + 1)
	return fresh
}

// slot is the one of a key, or that which it would get.
func (k *keyring) slot(slots []uint16, keys [][]byte, key []byte) *uint16 {
	for h := maphash.Bytes(k.seed, key); ; h++ {
		slot := &slots[h%uint64(len(slots))]
		if *slot == 0 || bytes.Equal(keys[*slot-1], key) {
			return slot
		}
	}
}

func contains(keys [][]byte, key []byte) bool {
	for _, k := range keys {
		if bytes.Equal(k, key) {
			return true
		}
	}
	return false
}
