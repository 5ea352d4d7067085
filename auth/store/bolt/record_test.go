package bolt

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"mcp-oauth2-proxy/auth/store"
)

// Every record comes back as it went in, and no bytes are mistaken for one.
func FuzzRecord(f *testing.F) {
	f.Add("code", "a", []byte("value"), int64(0))
	f.Add("k", "\x00", []byte{}, int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, kind, key string, value []byte, expires int64) {
		if len(kind) > store.MaxKind {
			kind = kind[:store.MaxKind]
		}
		raw := encode(store.Kind(kind), key, value, expires)
		got, end, err := decode(store.Kind(kind), key, raw)
		if err != nil || end != expires || !bytes.Equal(got, value) || got == nil {
			t.Errorf("decode = %q, %d, %v", got, end, err)
		}
		raw[len(key)%len(raw)] ^= 1 << (len(value) % 8)
		if _, _, err := decode(store.Kind(kind), key, raw); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("a changed record is decoded: %v", err)
		}
		_, _, _ = decode(store.Kind(kind), key, value) // whatever it is, no panic

		end, k, name, ok := splitExpiryKey(expiryKey(expires, store.Kind(kind), key))
		if !ok || end != expires || string(k) != kind || name != key {
			t.Errorf("splitExpiryKey = %d, %q, %q, %v", end, k, name, ok)
		}
		_, _, _, _ = splitExpiryKey(value)
	})
}
