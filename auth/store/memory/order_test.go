package memory

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// Whatever is inserted and removed, an order yields what a sorted map would.
func TestOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var o order
	want := make(map[string]bool)
	for round, grow := range []int{9, 1, 9, 5, 0} { // chances in ten to insert
		for range 5000 {
			key := fmt.Sprint(rng.IntN(4000))
			switch {
			case rng.IntN(10) < grow && !want[key]:
				o.insert(key)
				want[key] = true
			case rng.IntN(10) >= grow && want[key]:
				o.remove(key)
				delete(want, key)
			}
		}
		sorted := slices.Sorted(maps.Keys(want))
		if got := slices.Collect(o.after("")); !slices.Equal(got, sorted) {
			t.Fatalf("round %d: %d keys, want %d", round, len(got), len(sorted))
		}
		for range 100 {
			after := fmt.Sprint(rng.IntN(5000))
			at, found := slices.BinarySearch(sorted, after)
			if found {
				at++
			}
			if got := slices.Collect(o.after(after)); !slices.Equal(got, sorted[at:]) {
				t.Fatalf("round %d: %d keys after %s, want %d", round, len(got), after, len(sorted[at:]))
			}
		}
		if least := len(want) / maxChunk; len(o.chunks) < least || len(o.chunks) > 2+20*(least+1) {
			t.Errorf("round %d: %d keys lie in %d chunks", round, len(want), len(o.chunks))
		}
	}
}

// What is counted is what is there, after any sequence of verbs.
func TestAccounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	now := time.Unix(1000, 0)
	s := New(50_000, WithClock(func() time.Time { return now }))
	for range 20_000 {
		kind, key := store.Kind(fmt.Sprint(rng.IntN(4))), fmt.Sprint(rng.IntN(300))
		now = now.Add(time.Duration(rng.IntN(100)) * time.Millisecond)
		switch rng.IntN(4) {
		case 0, 1:
			_ = s.Put(t.Context(), kind, key, make([]byte, rng.IntN(500)), time.Duration(rng.IntN(20))*time.Second)
		case 2:
			_, _ = s.Take(t.Context(), kind, key)
		case 3:
			_ = s.Delete(t.Context(), kind, key)
		}
	}
	var size int64
	expiring := 0
	for _, sh := range s.shelves {
		var shelf int64
		for _, r := range sh.records {
			shelf += r.size()
			if r.expires != 0 {
				expiring++
			}
		}
		keys := len(slices.Collect(sh.keys.after("")))
		if shelf != sh.size || keys != len(sh.records) || sh.ages.Len() != len(sh.records) || keys == 0 {
			t.Errorf("kind %s: counted %d, is %d; %d records, %d keys, %d ages", sh.kind, sh.size, shelf, len(sh.records), keys, sh.ages.Len())
		}
		size += shelf
	}
	if size != s.size || size > s.max || expiring != len(s.expiries) {
		t.Errorf("counted %d, are %d of at most %d; %d expire, %d are listed to", s.size, size, s.max, expiring, len(s.expiries))
	}
}
