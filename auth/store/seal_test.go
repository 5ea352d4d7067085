package store_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/memory"
	"mcp-oauth2-proxy/auth/store/storetest"
)

const key32 = "0123456789abcdef0123456789abcdef"

func seal(t *testing.T, s store.Store, key string, kinds ...store.Kind) store.Store {
	t.Helper()
	sealed, err := store.Sealed(s, []byte(key), kinds...)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealed_is_a_store(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return seal(t, memory.New(0), key32, "code", "grant", "a")
	}, storetest.MaxValue(store.MaxValue-store.SealOverhead))
}

func TestSealed(t *testing.T) {
	t.Run("the value is not in the store", func(t *testing.T) {
		inner := memory.New(0)
		s := seal(t, inner, key32, "key")
		for _, kind := range []store.Kind{"key", "name"} {
			if err := s.Put(t.Context(), kind, "a", []byte("in the clear"), 0); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := inner.Get(t.Context(), "key", "a")
		if err != nil || bytes.Contains(raw, []byte("clear")) {
			t.Errorf("stored %q, %v", raw, err)
		}
		if raw, err = inner.Get(t.Context(), "name", "a"); err != nil || string(raw) != "in the clear" {
			t.Errorf("another kind is stored as %q, %v", raw, err)
		}
	})
	t.Run("the same value is sealed differently each time", func(t *testing.T) {
		inner := memory.New(0)
		s := seal(t, inner, key32, "key")
		var raw [2][]byte
		for i := range raw {
			if err := s.Put(t.Context(), "key", "a", []byte("same"), 0); err != nil {
				t.Fatal(err)
			}
			raw[i], _ = inner.Get(t.Context(), "key", "a")
		}
		if bytes.Equal(raw[0], raw[1]) {
			t.Error("a nonce is used again")
		}
	})
	t.Run("a key of another length is refused", func(t *testing.T) {
		for _, key := range []string{"", "short", key32 + "x", key32[:16]} {
			if _, err := store.Sealed(memory.New(0), []byte(key), "key"); err == nil || strings.Contains(err.Error(), "short") {
				t.Errorf("a key of %d bytes: %v", len(key), err)
			}
		}
	})
	t.Run("to seal nothing is refused", func(t *testing.T) {
		if _, err := store.Sealed(memory.New(0), []byte(key32)); err == nil {
			t.Error("no error")
		}
	})
}

// What does not open is never taken for a value, whichever verb meets it.
func TestSealed_refuses(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, inner store.Store, raw []byte) []byte{
		"a value in the clear":    func(*testing.T, store.Store, []byte) []byte { return []byte(`{"alg":"RS256"}`) },
		"an empty value":          func(*testing.T, store.Store, []byte) []byte { return nil },
		"only the mark of a seal": func(_ *testing.T, _ store.Store, raw []byte) []byte { return raw[:1] },
		"a value cut short":       func(_ *testing.T, _ store.Store, raw []byte) []byte { return raw[:len(raw)-1] },
		"a changed value": func(_ *testing.T, _ store.Store, raw []byte) []byte {
			raw[len(raw)/2] ^= 1
			return raw
		},
		"a value sealed with another key": func(t *testing.T, inner store.Store, _ []byte) []byte {
			return sealedAs(t, inner, strings.ToUpper(key32), "key", "b")
		},
		"the value of another record": func(t *testing.T, inner store.Store, _ []byte) []byte {
			return sealedAs(t, inner, key32, "key", "elsewhere")
		},
		"the value of another kind": func(t *testing.T, inner store.Store, _ []byte) []byte {
			return sealedAs(t, inner, key32, "other", "b")
		},
		"a kind and key cut elsewhere": func(t *testing.T, inner store.Store, _ []byte) []byte {
			return sealedAs(t, inner, key32, "ke", "yb")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inner, ctx := memory.New(0), t.Context()
			s := seal(t, inner, key32, "key")
			for _, k := range []string{"a", "b", "c"} {
				if err := s.Put(ctx, "key", k, []byte("good"), 0); err != nil {
					t.Fatal(err)
				}
			}
			raw, err := inner.Get(ctx, "key", "b")
			if err != nil {
				t.Fatal(err)
			}
			bad := spoil(t, inner, raw)
			if err := inner.Put(ctx, "key", "b", bad, 0); err != nil {
				t.Fatal(err)
			}

			_, get := s.Get(ctx, "key", "b")
			_, take := s.Take(ctx, "key", "b")
			update := s.Update(ctx, "key", "b", func([]byte) ([]byte, time.Duration, error) {
				t.Error("Update runs on it")
				return nil, 0, nil
			})
			records, list := s.List(ctx, "key", "", 2)
			for verb, err := range map[string]error{"Get": get, "Take": take, "Update": update, "List": list} {
				if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), `key "b"`) {
					t.Errorf("%s: error %v, want an ErrCorrupt that names it", verb, err)
				}
			}
			if len(records) != 2 || records[1].Key != "c" || string(records[1].Value) != "good" {
				t.Errorf("List = %v, want the others", records)
			}
			if err := s.Create(ctx, "key", "b", nil, 0); !errors.Is(err, store.ErrExists) {
				t.Errorf("Create: %v", err)
			}
			if left, err := inner.Get(ctx, "key", "b"); err != nil || !bytes.Equal(left, bad) {
				t.Errorf("it was changed to %q, %v", left, err)
			}
			if err := s.Put(ctx, "key", "b", []byte("anew"), 0); err != nil {
				t.Errorf("Put over it: %v", err)
			}
		})
	}
}

// sealedAs returns how a value is stored elsewhere.
func sealedAs(t *testing.T, inner store.Store, key string, kind store.Kind, name string) []byte {
	t.Helper()
	if err := seal(t, inner, key, kind).Put(t.Context(), kind, name, []byte("good"), 0); err != nil {
		t.Fatal(err)
	}
	raw, err := inner.Take(t.Context(), kind, name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Whatever the bytes, only what was sealed as this record is ever opened.
func FuzzSealed(f *testing.F) {
	f.Add([]byte("in the clear"))
	f.Add(append([]byte{1}, make([]byte, store.SealOverhead)...))
	inner := memory.New(0)
	s, err := store.Sealed(inner, []byte(key32), "key")
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Put(f.Context(), "key", "b", []byte("good"), 0); err != nil {
		f.Fatal(err)
	}
	raw, err := inner.Get(f.Context(), "key", "b")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw) // good elsewhere
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := inner.Put(t.Context(), "key", "a", raw, 0); err != nil {
			t.Skip(err)
		}
		if got, err := s.Get(t.Context(), "key", "a"); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("opened %q to %q, %v", raw, got, err)
		}
	})
}
