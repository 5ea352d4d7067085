//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/bolt"
)

// TestExpiredRecordsLeaveABoundedFile: what has expired gives its room to what
// comes after, however often that happens, and back to the disk at the next
// start.
func TestExpiredRecordsLeaveABoundedFile(t *testing.T) {
	n := some(100_000, 1_000_000)
	path := filepath.Join(t.TempDir(), "state.db")
	var passed atomic.Int64 // nanoseconds
	clock := bolt.WithClock(func() time.Time { return time.Unix(1_800_000_000, passed.Load()) })
	s := openFile(t, path, clock)
	var sizes []int64
	for round := range 2 {
		fill(t, s, n, fmt.Sprint("round", round))
		passed.Add(int64(time.Hour))
		if _, err := s.Sweep(t.Context(), time.Unix(1_800_000_000, passed.Load())); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, size(t, path))
	}
	if sizes[1] > sizes[0]+sizes[0]/4 {
		t.Errorf("the file grew from %d to %d bytes: the room of what expired is not used again", sizes[0], sizes[1])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openFile(t, path, clock)
	after := size(t, path)
	if after > 1<<20 {
		t.Errorf("an empty file has %d bytes", after)
	}
	t.Logf("%d expired records, twice: %d and %d bytes, %d after a restart", n, sizes[0], sizes[1], after)
}

func openFile(t *testing.T, path string, o ...bolt.Option) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fill writes n records of the size that a refresh family has.
func fill(t *testing.T, s store.Store, n int, name string) {
	t.Helper()
	var group errgroup.Group
	value := make([]byte, 700)
	const writers = 256
	for w := range writers {
		group.Go(func() error {
			for i := w; i < n; i += writers {
				if err := s.Put(t.Context(), "family", fmt.Sprint(name, i), value, time.Minute); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
