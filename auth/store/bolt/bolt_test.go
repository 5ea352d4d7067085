package bolt_test

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/bolt"
	"mcp-oauth2-proxy/auth/store/storetest"
)

// clock is a time that passes when it is told to.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func open(t testing.TB, path string, options ...bolt.Option) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	c := newClock()
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, filepath.Join(t.TempDir(), "state.db"), bolt.WithClock(c.now))
	}, storetest.Advance(c.advance))
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(b *testing.B) store.Store {
		return open(b, filepath.Join(b.TempDir(), "state.db"))
	})
}
