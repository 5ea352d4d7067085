package mcp

import (
	"hash/maphash"
	"strconv"
	"testing"
)

// TestManyKeysTakeFewSteps: from where its hash points, a key is found at once
// or nearly so, however many there are.
func TestManyKeysTakeFewSteps(t *testing.T) {
	var k keyring
	n := k.open()
	for i := range mostKeys {
		if !k.add(&n, strconv.AppendInt(nil, int64(i), 10)) {
			t.Fatalf("key %d is not new", i)
		}
	}
	steps := 0
	for i, key := range k.all() {
		for h := maphash.Bytes(k.seed, key); ; h++ {
			steps++
			if n.slots[h%uint64(len(n.slots))] == uint16(i+1) {
				break
			}
		}
	}
	if steps > 2*mostKeys {
		t.Errorf("%d steps to find %d keys", steps, mostKeys)
	}
	if k.add(&n, []byte("x")) {
		t.Error("one more")
	}
}
