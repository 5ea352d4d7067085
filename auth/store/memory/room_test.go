package memory_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/memory"
)

func put(t *testing.T, s store.Store, kind store.Kind, key string, size int, ttl time.Duration) {
	t.Helper()
	if err := s.Put(t.Context(), kind, key, make([]byte, size), ttl); err != nil {
		t.Fatalf("Put(%s, %s): %v", kind, key, err)
	}
}

func count(t *testing.T, s store.Store, kind store.Kind) int {
	t.Helper()
	records, err := s.List(t.Context(), kind, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(records)
}

func has(t *testing.T, s store.Store, kind store.Kind, key string) bool {
	t.Helper()
	_, err := s.Get(t.Context(), kind, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestFull(t *testing.T) {
	const room = 1 << 20

	t.Run("a flood of one kind leaves the others alone", func(t *testing.T) {
		s := memory.New(room)
		for i := range 100 {
			put(t, s, "grant", fmt.Sprint(i), 500, 0)
			put(t, s, "key", fmt.Sprint(i), 500, time.Hour)
		}
		for i := range 10_000 {
			put(t, s, "request", fmt.Sprint(i), 500, time.Hour)
		}
		if g, k := count(t, s, "grant"), count(t, s, "key"); g != 100 || k != 100 {
			t.Errorf("%d grants and %d keys are left, want all 100", g, k)
		}
		if has(t, s, "request", "0") || !has(t, s, "request", "9999") {
			t.Error("not the oldest of the flood had to go")
		}
	})
	t.Run("what was written last is the youngest", func(t *testing.T) {
		s := memory.New(10_000)
		put(t, s, "request", "first", 500, 0)
		put(t, s, "request", "second", 500, 0)
		put(t, s, "request", "first", 500, 0)
		for i := 0; has(t, s, "request", "second"); i++ {
			if !has(t, s, "request", "first") {
				t.Fatal("the record that was written again went first")
			}
			put(t, s, "request", fmt.Sprint(i), 500, 0)
		}
	})
	t.Run("what has expired goes before anything else", func(t *testing.T) {
		c := newClock()
		s := memory.New(room, memory.WithClock(c.now))
		for i := range 1000 {
			put(t, s, "code", fmt.Sprint(i), 100, time.Minute)
		}
		for i := range 1000 {
			put(t, s, "grant", fmt.Sprint(i), 400, 0) // the larger kind, and the older
		}
		c.advance(time.Hour)
		for i := 1000; i < 1500; i++ {
			put(t, s, "grant", fmt.Sprint(i), 400, 0)
		}
		if got := count(t, s, "grant"); got != 1500 {
			t.Errorf("%d grants are left while there was something expired", got)
		}
	})
	t.Run("a record does not push out itself", func(t *testing.T) {
		s := memory.New(100_000)
		for i := range 100 {
			put(t, s, "small", fmt.Sprint(i), 100, 0)
		}
		put(t, s, "large", "a", 90_000, 0)
		if !has(t, s, "large", "a") {
			t.Error("an acknowledged record is not there")
		}
	})
	t.Run("a record larger than the store is refused", func(t *testing.T) {
		s := memory.New(1000)
		put(t, s, "a", "stays", 100, 0)
		err := s.Put(t.Context(), "a", "b", make([]byte, 1000), 0)
		if !errors.Is(err, store.ErrTooLarge) || !has(t, s, "a", "stays") {
			t.Errorf("error %v, want ErrTooLarge and the other record in its place", err)
		}
	})
	t.Run("who watches is told what was pushed out", func(t *testing.T) {
		s := memory.New(2000)
		put(t, s, "a", "old", 1000, 0)
		changes, err := s.Watch(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "a", "new", 1000, 0)
		for c := range changes {
			if c.Key == "old" {
				break
			}
		}
	})
}
