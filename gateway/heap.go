package gateway

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
	"time"
)

// collected is the percentage of the Go runtime where nobody says anything.
const collected = 100

// smallest is the heap that the runtime never collects at that percentage, in bytes.
const smallest = 4 << 20

// A program that allocated less than fewBytes since it was looked at last, which
// is restLook ago, is at rest: that is a dozen calls. What it gives back is worth
// the collection from worthBytes on.
const (
	restLook   = 2 * time.Second
	fewBytes   = 256 << 10
	worthBytes = 4 << 20
)

// keepHeapFloor lets a small heap grow to floor bytes before it is collected,
// until ctx ends. What a call leaves behind lives for microseconds; collecting
// it over and over costs a quarter of the time of each call.
//
// As open streams fill the heap, the percentage falls to that of the runtime:
// memory never becomes more than it would have been without a floor of which
// everything is in use. At rest, which every look finds out, the floor is of no
// use to anybody: what was left behind, such as the 19 MiB that a password is
// hashed in, goes back to the system, and at the beginning of a rest the program's
// own pages do. Whoever sets GOGC knows better.
func keepHeapFloor(ctx context.Context, floor int64, looks <-chan time.Time) {
	if floor <= 0 || os.Getenv("GOGC") != "" {
		return
	}
	cycles := make(chan struct{}, 1)
	watchCycle(ctx, cycles)
	last, busy := readHeap(), true
	for last.setFloor(uint64(floor)); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-cycles:
			readHeap().setFloor(uint64(floor))
		case <-looks:
			now := readHeap()
			if now.atRest(last) {
				debug.FreeOSMemory()
			}
			quiet := now.quiet(last)
			if quiet && busy {
				_ = releaseProgram() // what cannot be released stays
			}
			busy, last = !quiet, now
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

// heapUse is what the runtime knows of the heap, in bytes.
type heapUse struct {
	live  uint64 // was alive at the end of the last collection
	roots uint64 // stacks and globals
	made  uint64 // since the program began
	held  uint64 // by objects, dead ones among them, and by pages that wait for new ones
}

func readHeap() heapUse {
	m := []gometrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	gometrics.Read(m)
	n := func(i int) uint64 { return m[i].Value.Uint64() }
	return heapUse{live: n(0), roots: n(1) + n(2), made: n(3), held: n(4) + n(5)}
}

// setFloor sets the percentage that leads to the next collection at floor.
func (h heapUse) setFloor(floor uint64) { debug.SetGCPercent(heapPercent(floor, h.live, h.roots)) }

// quiet says that little happened since the last look.
func (h heapUse) quiet(last heapUse) bool { return h.made-last.made < fewBytes }

// atRest says that it is quiet, and that what can be given back is worth looking
// through all that is alive.
func (h heapUse) atRest(last heapUse) bool {
	return h.quiet(last) && h.held > h.live+max(worthBytes, h.live/2)
}

// heapPercent is the percentage at which a heap with so much alive is next
// collected at floor. The runtime counts it from the heap and from roots, which
// are the stacks and the globals; stacks are most of an open stream. It also counts
// it from smallest, and takes what is more: beyond some percentage that is the
// floor, however little is alive.
func heapPercent(floor, live, roots uint64) int {
	if floor <= live {
		return collected
	}
	percent := (floor - live) * 100 / max(live+roots, 1)
	return max(collected, int(min(percent, floor*100/smallest)))
}
