package gateway

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestADayLeavesNothingBehind lives through a day of calls and streams, with a
// new signing key and a new configuration every hour. LONG=1: two million calls
// and 5,000 streams.
func TestADayLeavesNothingBehind(t *testing.T) {
	calls, streams := 2400, 240
	if os.Getenv("LONG") != "" {
		calls, streams = 2_000_000, 5_000
	}
	x := newBench(t, func(s *setup) { s.clock = &stoppedClock{at: time.Now()} })
	const hours, warm = 24, 3
	var before usage
	for hour := range hours {
		x.hour(t, calls/hours, streams/hours)
		if hour == warm {
			before = x.usage(t)
		}
	}
	after := x.usage(t)
	t.Logf("%d calls and %d streams: %+v after %d hours, %+v after %d", calls, streams, before, warm+1, after, hours)
	if after.goroutines > before.goroutines+20 || after.files > before.files+20 || after.heap > before.heap+8<<20 {
		t.Errorf("it grew from %+v to %+v", before, after)
	}
}

// hour calls, listens, and changes the key and the configuration in between.
func (x *bench) hour(t *testing.T, calls, streams int) {
	t.Helper()
	const callers = 8
	token := x.token(t)
	var work errgroup.Group
	for range callers {
		c := x.dial(t)
		work.Go(func() error {
			defer func() { _ = c.Close() }()
			for range calls / callers {
				if err := c.call(token); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range streams {
		c := x.dial(t)
		work.Go(func() error {
			defer func() { _ = c.Close() }()
			return c.listen(token)
		})
	}
	x.reload(t)
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	x.forward(t, time.Hour)
}

// usage is what a program holds.
type usage struct {
	heap              uint64
	goroutines, files int
}

// usage waits for what is about to end.
func (x *bench) usage(t *testing.T) usage {
	t.Helper()
	x.server.CloseClientConnections()
	least := usage{heap: 1 << 62, goroutines: 1 << 30, files: 1 << 30}
	for quiet := 0; quiet < 20; quiet++ { // nothing became less for as long as that
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		now := usage{m.HeapAlloc, runtime.NumGoroutine(), openFiles(t)}
		if now.goroutines < least.goroutines || now.files < least.files {
			quiet = 0
		}
		least = usage{min(least.heap, now.heap), min(least.goroutines, now.goroutines), min(least.files, now.files)}
		time.Sleep(10 * time.Millisecond)
	}
	return least
}

// openFiles counts descriptors, where the system shows them.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(all)
}
