package storetest

import (
	"context"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// patience is how long a change may take to arrive. Engines that poll are given
// their interval; nobody waits for it who has what he waits for.
const patience = 30 * time.Second

func next(t *testing.T, changes <-chan store.Change) store.Change {
	t.Helper()
	select {
	case c, ok := <-changes:
		if !ok {
			t.Fatal("the watch has ended")
		}
		return c
	case <-time.After(patience):
		t.Fatal("no change is reported")
	}
	panic("not reached")
}

// sees waits for a change of the key; that the whole kind changed will do, and
// earlier changes may be told again.
func sees(t *testing.T, changes <-chan store.Change, kind store.Kind, key string) {
	t.Helper()
	for {
		if c := next(t, changes); c.Kind == kind && (c.Key == key || c.Key == "") {
			return
		}
	}
}

// drained waits for the channel to be closed.
func drained(t *testing.T, changes <-chan store.Change) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, ok := <-changes:
			if !ok {
				return
			}
		case <-late:
			t.Fatal("the watch does not end")
		}
	}
}

func (s *suite) watch(t *testing.T, st store.Store) {
	ctx := t.Context()
	put(t, st, kind, "present", "0", 0)
	changes, err := st.Watch(ctx, kind)
	wantErr(t, "Watch", err, nil)

	put(t, st, kind, "a", "1", 0)
	sees(t, changes, kind, "a")
	holds(t, st, kind, "a", "1")
	wantErr(t, "Create", st.Create(ctx, kind, "b", nil, 0), nil)
	sees(t, changes, kind, "b")
	wantErr(t, "Update", st.Update(ctx, kind, "c", to(t, nil, []byte{}, 0)), nil)
	sees(t, changes, kind, "c")
	_, err = st.Take(ctx, kind, "a")
	wantErr(t, "Take", err, nil)
	sees(t, changes, kind, "a")
	wantErr(t, "Delete", st.Delete(ctx, kind, "b"), nil)
	sees(t, changes, kind, "b")
	wantErr(t, "Update to nothing", st.Update(ctx, kind, "c", to(t, []byte{}, nil, 0)), nil)
	sees(t, changes, kind, "c")
	put(t, st, kind, "present", "0", time.Hour) // the same value is a change as well
	sees(t, changes, kind, "present")
}

func (s *suite) watchKinds(t *testing.T, st store.Store) {
	one, err := st.Watch(t.Context(), kind)
	wantErr(t, "Watch", err, nil)
	both, err := st.Watch(t.Context(), kind, other)
	wantErr(t, "Watch", err, nil)
	all, err := st.Watch(t.Context())
	wantErr(t, "Watch", err, nil)

	put(t, st, "third", "c", "", 0)
	put(t, st, other, "b", "", 0)
	put(t, st, kind, "a", "", 0)
	sees(t, all, "third", "c")
	sees(t, all, other, "b")
	sees(t, all, kind, "a")
	if c := next(t, both); c.Kind == "third" {
		t.Errorf("a watch of two kinds reports %v", c)
	}
	sees(t, both, kind, "a")
	if c := next(t, one); c.Kind != kind {
		t.Errorf("a watch of one kind reports %v", c)
	}
}

func (s *suite) watchEnds(t *testing.T, st store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	changes, err := st.Watch(ctx, kind)
	wantErr(t, "Watch", err, nil)
	stays, err := st.Watch(t.Context(), kind)
	wantErr(t, "Watch", err, nil)
	put(t, st, kind, "a", "", 0)
	cancel()
	drained(t, changes)
	put(t, st, kind, "b", "", 0)
	sees(t, stays, kind, "b")
}

// watchSlowly writes much more than a watch should hold before it is read.
func (s *suite) watchSlowly(t *testing.T, st store.Store) {
	const n = 2000
	changes, err := st.Watch(t.Context(), kind, other)
	wantErr(t, "Watch", err, nil)
	many(t, crowd, n, func(i int) error {
		return st.Put(t.Context(), kind, name(i), nil, 0)
	})
	put(t, st, other, "quiet", "", 0)

	unseen := make(map[string]bool, n)
	for i := range n {
		unseen[name(i)] = true
	}
	quiet := false
	for len(unseen) > 0 || !quiet {
		switch c := next(t, changes); {
		case c.Kind == other:
			quiet = true
		case c.Key == "":
			clear(unseen)
		default:
			delete(unseen, c.Key)
		}
	}
	put(t, st, kind, "afterwards", "", 0)
	sees(t, changes, kind, "afterwards")
}
