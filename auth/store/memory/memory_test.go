package memory_test

import (
	"sync/atomic"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/memory"
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

func TestStore(t *testing.T) {
	c := newClock()
	storetest.Run(t, func(*testing.T) store.Store {
		return memory.New(0, memory.WithClock(c.now))
	}, storetest.Advance(c.advance))
}

func TestStore_by_the_clock_on_the_wall(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memory.New(0) })
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(*testing.B) store.Store { return memory.New(0) })
}
