package storetest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// everyByte has every byte there is, the awkward ones included.
func everyByte() string {
	out := make([]byte, 256)
	for i := range out {
		out[i] = byte(i)
	}
	return string(out)
}

func (s *suite) values(t *testing.T, st store.Store) {
	for name, value := range map[string]string{
		"empty":   "",
		"binary":  everyByte(),
		"large":   strings.Repeat("x", s.maxValue),
		"zeroes":  "\x00\x00",
		"notUTF8": "\xff\xfe",
	} {
		put(t, st, kind, name, value, 0)
		holds(t, st, kind, name, value)
	}
	ctx := t.Context()
	wantErr(t, "Put nil", st.Put(ctx, kind, "nil", nil, 0), nil)
	holds(t, st, kind, "nil", "")
	wantErr(t, "Create over an empty value", st.Create(ctx, kind, "nil", nil, 0), store.ErrExists)
	wantErr(t, "Update of an empty value", st.Update(ctx, kind, "nil", to(t, []byte{}, []byte{}, 0)), nil)
	holds(t, st, kind, "nil", "")
	got, err := st.Take(ctx, kind, "nil")
	if got == nil || len(got) != 0 || err != nil {
		t.Errorf("Take of an empty value = %#v, %v", got, err)
	}
	lacks(t, st, kind, "nil")
}

func (s *suite) keys(t *testing.T, st store.Store) {
	all := everyByte()
	keys := []string{"\x00", "\x00\x00", " ", "a\nb", "'; --", "ä", "a\u0308", "\xff", all, strings.Repeat("k", store.MaxKey)}
	for i, key := range keys {
		put(t, st, kind, key, name(i), time.Hour)
	}
	for i, key := range keys {
		holds(t, st, kind, key, name(i))
	}
	if got := list(t, st, kind, "", 0); len(got) != len(keys) {
		t.Errorf("%d records, want %d", len(got), len(keys))
	}
	longest := store.Kind(strings.Repeat("k", store.MaxKind))
	put(t, st, longest, "a", "1", time.Hour)
	holds(t, st, longest, "a", "1")
}

func (s *suite) kinds(t *testing.T, st store.Store) {
	ctx := t.Context()
	put(t, st, "a", "bc", "1", 0)
	put(t, st, "ab", "c", "2", 0)
	put(t, st, kind, "c", "3", 0)
	lacks(t, st, "a", "c")
	wantErr(t, "Create", st.Create(ctx, other, "c", []byte("4"), 0), nil)
	holds(t, st, "a", "bc", "1")
	holds(t, st, "ab", "c", "2")
	holds(t, st, kind, "c", "3")
	wantErr(t, "Delete", st.Delete(ctx, kind, "c"), nil)
	holds(t, st, other, "c", "4")
	if got := list(t, st, "a", "", 0); len(got) != 1 {
		t.Errorf("kind a has %d records, want 1", len(got))
	}
}

// slices writes through every slice that goes in or comes out.
func (s *suite) slices(t *testing.T, st store.Store) {
	ctx := t.Context()
	spoil := func(b []byte) {
		for i := range b[:cap(b)] {
			b[:cap(b)][i] = '!'
		}
	}
	in := []byte("good")
	wantErr(t, "Put", st.Put(ctx, kind, "a", in, 0), nil)
	spoil(in)
	in = []byte("good")
	wantErr(t, "Create", st.Create(ctx, kind, "b", in, 0), nil)
	spoil(in)
	in = []byte("good")
	wantErr(t, "Update", st.Update(ctx, kind, "c", to(t, nil, in, 0)), nil)
	spoil(in)
	for _, key := range []string{"a", "b", "c"} {
		out, err := st.Get(ctx, kind, key)
		wantErr(t, "Get", err, nil)
		spoil(out)
		for _, r := range list(t, st, kind, "", 0) {
			spoil(r.Value)
		}
		err = st.Update(ctx, kind, key, func(old []byte) ([]byte, time.Duration, error) {
			spoil(old)
			return nil, 0, errRefused
		})
		wantErr(t, "Update", err, errRefused)
		holds(t, st, kind, key, "good")
	}
	err := st.Update(ctx, kind, "a", func(old []byte) ([]byte, time.Duration, error) {
		spoil(old[:1])
		return old, 0, nil // what was changed in place counts when it is returned
	})
	wantErr(t, "Update", err, nil)
	got, err := st.Get(ctx, kind, "a")
	if err != nil || !bytes.HasPrefix(got, []byte("!")) {
		t.Errorf("Get = %q, %v after an update in place", got, err)
	}
}

// verbs calls each verb that names a record.
func verbs(ctx context.Context, st store.Store, kind store.Kind, key string, value []byte) map[string]error {
	_, get := st.Get(ctx, kind, key)
	_, take := st.Take(ctx, kind, key)
	return map[string]error{
		"Get":    get,
		"Take":   take,
		"Put":    st.Put(ctx, kind, key, value, 0),
		"Create": st.Create(ctx, kind, key, value, 0),
		"Update": st.Update(ctx, kind, key, func([]byte) ([]byte, time.Duration, error) { return value, 0, nil }),
		"Delete": st.Delete(ctx, kind, key),
	}
}

func (s *suite) limits(t *testing.T, st store.Store) {
	ctx := t.Context()
	for verb, err := range verbs(ctx, st, kind, strings.Repeat("k", store.MaxKey+1), nil) {
		wantErr(t, verb+" with a long key", err, store.ErrTooLarge)
	}
	for verb, err := range verbs(ctx, st, store.Kind(strings.Repeat("k", store.MaxKind+1)), "a", nil) {
		wantErr(t, verb+" with a long kind", err, store.ErrTooLarge)
	}
	for verb, err := range verbs(ctx, st, kind, "", nil) {
		wantErr(t, verb+" without a key", err, store.ErrNoKey)
	}
	for verb, err := range verbs(ctx, st, "", "a", nil) {
		wantErr(t, verb+" without a kind", err, store.ErrNoKey)
	}
	_, err := st.List(ctx, "", "", 1)
	wantErr(t, "List without a kind", err, store.ErrNoKey)

	put(t, st, kind, "a", "1", 0)
	large := make([]byte, s.maxValue+1)
	wantErr(t, "Put", st.Put(ctx, kind, "a", large, 0), store.ErrTooLarge)
	wantErr(t, "Create", st.Create(ctx, kind, "b", large, 0), store.ErrTooLarge)
	wantErr(t, "Update", st.Update(ctx, kind, "a", to(t, []byte("1"), large, 0)), store.ErrTooLarge)
	holds(t, st, kind, "a", "1")
	lacks(t, st, kind, "b")
}

func (s *suite) endedContext(t *testing.T, st store.Store) {
	put(t, st, kind, "a", "1", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, key := range []string{"a", "b"} {
		for verb, err := range verbs(ctx, st, kind, key, []byte("2")) {
			wantErr(t, verb, err, context.Canceled)
		}
	}
	_, err := st.List(ctx, kind, "", 0)
	wantErr(t, "List", err, context.Canceled)
	_, err = st.Watch(ctx, kind)
	wantErr(t, "Watch", err, context.Canceled)
	holds(t, st, kind, "a", "1")
	lacks(t, st, kind, "b")
}

func (s *suite) closed(t *testing.T, st store.Store) {
	put(t, st, kind, "a", "1", 0)
	changes, err := st.Watch(t.Context(), kind)
	wantErr(t, "Watch", err, nil)
	wantErr(t, "Close", st.Close(), nil)
	wantErr(t, "second Close", st.Close(), nil)
	for verb, err := range verbs(t.Context(), st, kind, "a", []byte("2")) {
		wantErr(t, verb, err, store.ErrClosed)
	}
	_, err = st.List(t.Context(), kind, "", 0)
	wantErr(t, "List", err, store.ErrClosed)
	_, err = st.Watch(t.Context(), kind)
	wantErr(t, "Watch", err, store.ErrClosed)
	drained(t, changes)
}
