package gateway

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
)

// collected is the percentage of the Go runtime where nobody says anything.
const collected = 100

// keepHeapFloor lets a small heap grow to floor bytes before it is collected,
// until ctx ends. What a call leaves behind lives for microseconds; collecting
// it over and over costs a quarter of the time of each call.
//
// As open streams fill the heap, the percentage falls to that of the runtime:
// memory never becomes more than it would have been without a floor of which
// everything is in use. Whoever sets GOGC knows better.
func keepHeapFloor(ctx context.Context, floor int64) {
	if floor <= 0 || os.Getenv("GOGC") != "" {
		return
	}
	cycles := make(chan struct{}, 1)
	for watchCycle(ctx, cycles); ctx.Err() == nil; {
		setHeapFloor(uint64(floor))
		select {
		case <-ctx.Done():
		case <-cycles:
		}
	}
	debug.SetGCPercent(collected)
}

// watchCycle tells of the end of every collection, until ctx ends: what nobody
// holds is cleaned up once in each.
func watchCycle(ctx context.Context, cycles chan<- struct{}) {
	runtime.AddCleanup(new([16]byte), func(struct{}) {
		select {
		case cycles <- struct{}{}:
		default:
		}
		if ctx.Err() == nil {
			watchCycle(ctx, cycles)
		}
	}, struct{}{})
}

// setHeapFloor sets the percentage that leads to the next collection at floor.
func setHeapFloor(floor uint64) {
	m := []gometrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	gometrics.Read(m)
	percent := heapPercent(floor, m[0].Value.Uint64(), m[1].Value.Uint64()+m[2].Value.Uint64())
	debug.SetGCPercent(percent)
}

// heapPercent is the percentage at which a heap with so much alive is next
// collected at floor. The runtime counts it from the heap and from roots, which
// are the stacks and the globals; stacks are most of an open stream.
func heapPercent(floor, live, roots uint64) int {
	live = max(live, 1<<20) // before the first collection nothing is known to be
	if floor <= live {
		return collected
	}
	return max(collected, int((floor-live)*100/(live+roots)))
}
