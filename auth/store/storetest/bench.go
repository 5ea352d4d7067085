package storetest

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// Benchmark measures what a request waits for, with a thousand records there.
func Benchmark(b *testing.B, open func(b *testing.B) store.Store) {
	value := []byte(strings.Repeat("v", 512))
	filled := func(b *testing.B) store.Store {
		st := open(b)
		b.Cleanup(func() { _ = st.Close() })
		for i := range 1000 {
			if err := st.Put(b.Context(), kind, name(i), value, time.Hour); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		b.ResetTimer()
		return st
	}
	b.Run("Get", func(b *testing.B) {
		st := filled(b)
		for i := 0; b.Loop(); i++ {
			if _, err := st.Get(b.Context(), kind, name(i%1000)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Put", func(b *testing.B) {
		st := filled(b)
		for i := 0; b.Loop(); i++ {
			if err := st.Put(b.Context(), kind, name(i%1000), value, time.Hour); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Put by 64 at once", func(b *testing.B) {
		st := filled(b)
		var next atomic.Int64
		b.SetParallelism(crowd)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := st.Put(b.Context(), kind, name(int(next.Add(1))%1000), value, time.Hour); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
