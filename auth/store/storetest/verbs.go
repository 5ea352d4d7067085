package storetest

import (
	"errors"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// to returns a function for Update that expects old and answers with value.
func to(t *testing.T, old, value []byte, ttl time.Duration) func([]byte) ([]byte, time.Duration, error) {
	return func(got []byte) ([]byte, time.Duration, error) {
		if string(got) != string(old) || (got == nil) != (old == nil) {
			t.Errorf("Update got %#v as the old value, want %#v", got, old)
		}
		return value, ttl, nil
	}
}

func (s *suite) absent(t *testing.T, st store.Store) {
	ctx := t.Context()
	lacks(t, st, kind, "a")
	_, err := st.Take(ctx, kind, "a")
	wantErr(t, "Take", err, store.ErrNotFound)
	wantErr(t, "Delete", st.Delete(ctx, kind, "a"), nil)
	wantErr(t, "Update to nothing", st.Update(ctx, kind, "a", to(t, nil, nil, 0)), nil)
	lacks(t, st, kind, "a")

	wantErr(t, "Put", st.Put(ctx, kind, "put", []byte("1"), 0), nil)
	holds(t, st, kind, "put", "1")
	wantErr(t, "Create", st.Create(ctx, kind, "create", []byte("2"), time.Hour), nil)
	holds(t, st, kind, "create", "2")
	wantErr(t, "Update", st.Update(ctx, kind, "update", to(t, nil, []byte("3"), 0)), nil)
	holds(t, st, kind, "update", "3")
}

func (s *suite) present(t *testing.T, st store.Store) {
	ctx := t.Context()
	put(t, st, kind, "a", "1", 0)
	holds(t, st, kind, "a", "1")
	wantErr(t, "Create", st.Create(ctx, kind, "a", []byte("x"), 0), store.ErrExists)
	holds(t, st, kind, "a", "1")
	put(t, st, kind, "a", "2", time.Hour)
	holds(t, st, kind, "a", "2")
	wantErr(t, "Update", st.Update(ctx, kind, "a", to(t, []byte("2"), []byte("3"), 0)), nil)
	holds(t, st, kind, "a", "3")
	wantErr(t, "Update to nothing", st.Update(ctx, kind, "a", to(t, []byte("3"), nil, 0)), nil)
	lacks(t, st, kind, "a")

	put(t, st, kind, "b", "4", 0)
	got, err := st.Take(ctx, kind, "b")
	if err != nil || string(got) != "4" {
		t.Errorf("Take = %q, %v; want 4", got, err)
	}
	lacks(t, st, kind, "b")
	_, err = st.Take(ctx, kind, "b")
	wantErr(t, "second Take", err, store.ErrNotFound)

	put(t, st, kind, "c", "5", 0)
	wantErr(t, "Delete", st.Delete(ctx, kind, "c"), nil)
	lacks(t, st, kind, "c")
	wantErr(t, "Create after Delete", st.Create(ctx, kind, "c", []byte("6"), 0), nil)
	holds(t, st, kind, "c", "6")
}

func (s *suite) expired(t *testing.T, st store.Store) {
	ctx := t.Context()
	for _, key := range []string{"get", "put", "create", "take", "update", "clear", "delete"} {
		put(t, st, kind, key, "old", brief)
	}
	put(t, st, kind, "stays", "1", 0)
	s.expire()

	if got := list(t, st, kind, "", 3); len(got) != 1 || got[0].Key != "stays" {
		t.Errorf("List skips no expired records: %v", got)
	}
	lacks(t, st, kind, "get")
	put(t, st, kind, "put", "new", 0)
	holds(t, st, kind, "put", "new")
	wantErr(t, "Create", st.Create(ctx, kind, "create", []byte("new"), 0), nil)
	holds(t, st, kind, "create", "new")
	_, err := st.Take(ctx, kind, "take")
	wantErr(t, "Take", err, store.ErrNotFound)
	wantErr(t, "Update", st.Update(ctx, kind, "update", to(t, nil, []byte("new"), 0)), nil)
	holds(t, st, kind, "update", "new")
	wantErr(t, "Update to nothing", st.Update(ctx, kind, "clear", to(t, nil, nil, 0)), nil)
	lacks(t, st, kind, "clear")
	wantErr(t, "Delete", st.Delete(ctx, kind, "delete"), nil)
	lacks(t, st, kind, "delete")
}

func (s *suite) lives(t *testing.T, st store.Store) {
	ctx := t.Context()
	put(t, st, kind, "longer by put", "1", brief)
	put(t, st, kind, "longer by put", "2", time.Hour)
	put(t, st, kind, "for good by update", "1", brief)
	wantErr(t, "Update", st.Update(ctx, kind, "for good by update", to(t, []byte("1"), []byte("2"), 0)), nil)
	put(t, st, kind, "shorter by put", "1", 0)
	put(t, st, kind, "shorter by put", "2", brief)
	put(t, st, kind, "shorter by update", "1", time.Hour)
	wantErr(t, "Update", st.Update(ctx, kind, "shorter by update", to(t, []byte("1"), []byte("2"), brief)), nil)
	put(t, st, kind, "for a very long time", "2", 1<<63-1)
	put(t, st, kind, "already over", "1", 0)
	put(t, st, kind, "already over", "2", -time.Second)
	lacks(t, st, kind, "already over")
	wantErr(t, "Create", st.Create(ctx, kind, "already over", nil, -1<<63), nil)
	lacks(t, st, kind, "already over")
	s.expire()
	holds(t, st, kind, "longer by put", "2")
	holds(t, st, kind, "for good by update", "2")
	holds(t, st, kind, "for a very long time", "2")
	lacks(t, st, kind, "shorter by put")
	lacks(t, st, kind, "shorter by update")
}

var errRefused = errors.New("refused")

func (s *suite) failedUpdate(t *testing.T, st store.Store) {
	put(t, st, kind, "a", "1", 0)
	for _, key := range []string{"a", "b"} {
		err := st.Update(t.Context(), kind, key, func([]byte) ([]byte, time.Duration, error) {
			return []byte("2"), 0, errRefused
		})
		if err != errRefused { //nolint:errorlint // it comes back as it is, not wrapped
			t.Errorf("Update(%s): error %v, want the one of fn", key, err)
		}
	}
	holds(t, st, kind, "a", "1")
	lacks(t, st, kind, "b")
}
