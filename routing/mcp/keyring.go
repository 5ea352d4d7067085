package mcp

import (
	"bytes"
	"hash/maphash"
)

const (
	few      = 16     // keys are compared one by one before they are hashed
	mostKeys = 10_000 // in one object: hashes cost more memory than short keys
)

// A keyring holds the keys of all objects that are open, the innermost last,
// to find one that comes twice, in linear time whatever the keys.
type keyring struct {
	keys [][]byte
	big  []index // of the open objects with many keys
	seed maphash.Seed
}

// index finds the keys of one big object by their hash.
type index struct {
	mark int
	at   map[uint64]int
}

func (k *keyring) open() int { return len(k.keys) }

// close forgets the keys of the object opened at mark.
func (k *keyring) close(mark int) {
	k.keys = k.keys[:mark]
	if n := len(k.big); n > 0 && k.big[n-1].mark == mark {
		k.big = k.big[:n-1]
	}
}

// add takes a key of the object opened at mark; false if it has it already, or
// has too many.
func (k *keyring) add(mark int, key []byte) bool {
	var fresh bool
	switch n := len(k.keys) - mark; {
	case n < few:
		fresh = !contains(k.keys[mark:], key)
	case n < mostKeys:
		fresh = k.hash(mark, key)
	}
	if k.keys == nil {
		k.keys = make([][]byte, 0, few)
	}
	k.keys = append(k.keys, key)
	return fresh
}

func (k *keyring) hash(mark int, key []byte) bool {
	if n := len(k.big); n == 0 || k.big[n-1].mark != mark {
		k.index(mark)
	}
	at := k.big[len(k.big)-1].at
	h := maphash.Bytes(k.seed, key)
	if i, ok := at[h]; ok && (bytes.Equal(k.keys[i], key) || contains(k.keys[mark:], key)) {
		return false
	}
	at[h] = len(k.keys)
	return true
}

// index is made when an object turns out to be big.
func (k *keyring) index(mark int) {
	if k.seed == (maphash.Seed{}) {
		k.seed = maphash.MakeSeed()
	}
	at := make(map[uint64]int, 4*few)
	for i, key := range k.keys[mark:] {
		at[maphash.Bytes(k.seed, key)] = mark + i
	}
	k.big = append(k.big, index{mark, at})
}

func contains(keys [][]byte, key []byte) bool {
	for _, k := range keys {
		if bytes.Equal(k, key) {
			return true
		}
	}
	return false
}
