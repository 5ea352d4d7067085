package gateway

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestA_small_heap_is_collected_at_the_floor_and_a_large_one_as_ever(t *testing.T) {
	const mib = 1 << 20
	for name, row := range map[string]struct {
		live, roots uint64
		goal        uint64 // live + (live + roots) × percent, or smallest × percent
	}{
		"nothing known yet":                     {0, mib, 64 * mib},
		"next to nothing alive":                 {mib, mib / 2, 64 * mib},
		"little alive":                          {8 * mib, mib, 64 * mib},
		"many stacks":                           {8 * mib, 20 * mib, 64 * mib},
		"half of the floor alive":               {32 * mib, 0, 64 * mib},
		"half of it in heap, and stacks":        {32 * mib, 32 * mib, 96 * mib},
		"as much alive as the floor":            {64 * mib, 10 * mib, 138 * mib},
		"ten thousand streams, heap and stacks": {300 * mib, 150 * mib, 750 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			percent := uint64(heapPercent(64*mib, row.live, row.roots))
			got := max(row.live+(row.live+row.roots)*percent/100, smallest*percent/100)
			if got > row.goal+mib/2 || got < row.goal-mib/2 {
				t.Errorf("%d percent: collected at %d MiB, want %d", percent, got/mib, row.goal/mib)
			}
		})
	}
}

func TestThe_floor_of_the_heap_follows_what_is_alive(t *testing.T) {
	t.Setenv("GOGC", "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		keepHeapFloor(ctx, 64<<20, nil)
		close(done)
	}()
	await := func(what string, good func(percent int) bool) {
		t.Helper()
		for late := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
			runtime.GC()
			percent := debug.SetGCPercent(-1)
			debug.SetGCPercent(percent)
			if good(percent) {
				return
			}
			if time.Now().After(late) {
				t.Fatalf("%s: %d percent", what, percent)
			}
		}
	}
	await("a small heap", func(p int) bool { return p > 2*collected })
	large := make([]byte, 80<<20)
	await("a large heap", func(p int) bool { return p == collected })
	runtime.KeepAlive(large)
	await("a small one again", func(p int) bool { return p > 2*collected })
	cancel()
	<-done
	await("after the end", func(p int) bool { return p == collected })
}

func TestMemory_is_given_back_at_rest_where_that_is_worth_it(t *testing.T) {
	const mib = 1 << 20
	for name, row := range map[string]struct {
		live, made, held uint64
		want             bool
	}{
		"a password was hashed":             {3 * mib, 10_000, 24 * mib, true},
		"pages wait since the busy time":    {3 * mib, 0, 64 * mib, true},
		"calls come in":                     {3 * mib, 2 * mib, 24 * mib, false},
		"nothing to speak of":               {3 * mib, 10_000, 6 * mib, false},
		"little beside ten thousand quiet":  {300 * mib, 10_000, 330 * mib, false},
		"much beside ten thousand quiet":    {300 * mib, 10_000, 460 * mib, true},
		"less than was alive, just swept":   {300 * mib, 10_000, 200 * mib, false},
		"nothing was ever collected, start": {0, 10_000, 3 * mib, false},
	} {
		t.Run(name, func(t *testing.T) {
			last := heapUse{made: 5 << 40}
			now := heapUse{live: row.live, made: last.made + row.made, held: row.held}
			if now.atRest(last) != row.want {
				t.Errorf("at rest: %v", !row.want)
			}
		})
	}
}

func TestAt_rest_garbage_goes_back_to_the_system(t *testing.T) {
	t.Setenv("GOGC", "")
	ctx, cancel := context.WithCancel(t.Context())
	looks, done := make(chan time.Time), make(chan struct{})
	go func() {
		keepHeapFloor(ctx, 256<<20, looks)
		close(done)
	}()
	for range 2 { // the second is taken when all is done that the first has found
		looks <- time.Now()
	}
	left := make([]byte, 64<<20)
	looks <- time.Now() // not at rest: this much was made
	runtime.KeepAlive(left)
	if now := readHeap(); now.held < 64<<20 {
		t.Fatalf("%+v: it did not wait for a rest", now)
	}
	runtime.GC()  // one that was under way may have found it alive, and at rest nobody begins another
	for range 3 { // whatever else the tests before have running may disturb one
		looks <- time.Now()
	}
	if now := readHeap(); now.held > 32<<20 {
		t.Errorf("%+v", now)
	}
	cancel()
	<-done
}
