package storetest

import (
	"fmt"
	"slices"
	"testing"

	"mcp-oauth2-proxy/auth/store"
)

func (s *suite) list(t *testing.T, st store.Store) {
	if got := list(t, st, kind, "", 10); len(got) != 0 {
		t.Errorf("an empty store lists %v", got)
	}
	// Bytes decide, not letters: no language's rules, no case.
	sorted := []string{"\x00", "A", "B", "Z", "a", "a\x00", "aa", "b", "z", "ä", "\xff"}
	for i := range sorted { // in another order
		i = i * 7 % len(sorted)
		put(t, st, kind, sorted[i], sorted[i], 0)
	}
	put(t, st, other, "m", "", 0)
	for name, c := range map[string]struct {
		after string
		limit int
		want  []string
	}{
		"all":                       {"", 0, sorted},
		"a negative limit is none":  {"", -1, sorted},
		"a limit":                   {"", 3, sorted[:3]},
		"a limit that is just met":  {"", len(sorted), sorted},
		"a limit that is too large": {"", 100, sorted},
		"after a key":               {"Z", 2, sorted[4:6]},
		"after no key that is here": {"C", 2, sorted[3:5]},
		"after the key before last": {"ä", 5, sorted[10:]},
		"after the last":            {"\xff", 5, nil},
		"after everything":          {"\xff\xff", 5, nil},
	} {
		var got []string
		for _, r := range list(t, st, kind, c.after, c.limit) {
			got = append(got, r.Key)
			if string(r.Value) != r.Key {
				t.Errorf("%s: %q comes with the value %q", name, r.Key, r.Value)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func (s *suite) listMany(t *testing.T, st store.Store) {
	const n = 1000
	many(t, 8, n, func(i int) error { // together, because engines may commit them so
		return st.Put(t.Context(), kind, name(i), fmt.Append(nil, i), 0)
	})
	for _, limit := range []int{7, 100, 500, 1000} {
		after, seen := "", 0
		for {
			records := list(t, st, kind, after, limit)
			for _, r := range records {
				if r.Key != name(seen) || string(r.Value) != fmt.Sprint(seen) {
					t.Fatalf("record %d is %q: %q", seen, r.Key, r.Value)
				}
				after = r.Key
				seen++
			}
			if len(records) < limit {
				break
			}
		}
		if seen != n {
			t.Errorf("pages of %d have %d records, want %d", limit, seen, n)
		}
	}
	for i := range n {
		if i%3 != 0 {
			continue
		}
		if err := st.Delete(t.Context(), kind, name(i)); err != nil {
			t.Fatal(err)
		}
		if i == 300 {
			break // enough, where each is a wait for the disk
		}
	}
	if got := list(t, st, kind, name(298), 2); len(got) != 2 || got[0].Key != name(299) || got[1].Key != name(301) {
		t.Errorf("after removals: %v", got)
	}
}
