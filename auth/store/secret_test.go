package store_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/memory"
)

func TestSecret(t *testing.T) {
	t.Run("everyone gets the same 32 bytes", func(t *testing.T) {
		s := memory.New(0)
		var got [16][]byte
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				var err error
				if got[i], err = store.Secret(t.Context(), s); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, secret := range got {
			if len(secret) != 32 || !bytes.Equal(secret, got[0]) || bytes.Equal(secret, make([]byte, 32)) {
				t.Fatalf("%d bytes, or not the same, or none", len(secret))
			}
		}
	})
	t.Run("another store has another", func(t *testing.T) {
		a, _ := store.Secret(t.Context(), memory.New(0))
		b, _ := store.Secret(t.Context(), memory.New(0))
		if bytes.Equal(a, b) {
			t.Error("two stores share a secret")
		}
	})
	t.Run("one of another length is refused", func(t *testing.T) {
		s := memory.New(0)
		if err := s.Put(t.Context(), store.KindSecret, "server", []byte("short"), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Secret(t.Context(), s); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("error %v, want ErrCorrupt", err)
		}
	})
	t.Run("a store that fails is no reason to make one", func(t *testing.T) {
		s := memory.New(0)
		_ = s.Close()
		if _, err := store.Secret(t.Context(), s); !errors.Is(err, store.ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
	})
}
