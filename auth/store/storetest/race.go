package storetest

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// crowd is how many callers there are at once where one may win.
const crowd = 64

// many calls fn for 0 to n-1 from that many goroutines; an error fails the test.
func many(t *testing.T, goroutines, n int, fn func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range goroutines {
		wg.Go(func() {
			<-start
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	close(start)
	wg.Wait()
}

func (s *suite) createOnce(t *testing.T, st store.Store) {
	for round := range 5 {
		var winner atomic.Int64
		var wins atomic.Int32
		many(t, crowd, crowd, func(i int) error {
			err := st.Create(t.Context(), kind, name(round), []byte(name(i)), time.Hour)
			switch {
			case err == nil:
				wins.Add(1)
				winner.Store(int64(i))
			case !errors.Is(err, store.ErrExists):
				return err
			}
			return nil
		})
		if wins.Load() != 1 {
			t.Fatalf("%d of %d created the same record", wins.Load(), crowd)
		}
		holds(t, st, kind, name(round), name(int(winner.Load())))
	}
}

func (s *suite) takeOnce(t *testing.T, st store.Store) {
	for range 5 {
		put(t, st, kind, "a", "1", time.Hour)
		var wins atomic.Int32
		many(t, crowd, crowd, func(int) error {
			got, err := st.Take(t.Context(), kind, "a")
			switch {
			case err == nil && string(got) == "1":
				wins.Add(1)
			case err == nil:
				t.Errorf("Take = %q", got)
			case !errors.Is(err, store.ErrNotFound):
				return err
			}
			return nil
		})
		if wins.Load() != 1 {
			t.Fatalf("%d of %d took the same record", wins.Load(), crowd)
		}
		lacks(t, st, kind, "a")
	}
}

func (s *suite) updateAll(t *testing.T, st store.Store) {
	const each = 4
	many(t, crowd, crowd*each, func(int) error {
		return st.Update(t.Context(), kind, "counter", func(old []byte) ([]byte, time.Duration, error) {
			var n uint64
			if old != nil {
				n = binary.BigEndian.Uint64(old)
			}
			return binary.BigEndian.AppendUint64(nil, n+1), time.Hour, nil
		})
	})
	got, err := st.Get(t.Context(), kind, "counter")
	if err != nil || binary.BigEndian.Uint64(got) != crowd*each {
		t.Errorf("after %d updates the counter is %x, %v", crowd*each, got, err)
	}
}

// createAndTake lets the verbs that make and unmake a record meet: there are as
// many takes as creations, give or take the record that is left.
func (s *suite) createAndTake(t *testing.T, st store.Store) {
	var balance atomic.Int64
	many(t, crowd, 4*crowd, func(i int) error {
		ctx := t.Context()
		var err error
		switch i % 4 {
		case 0, 1:
			if err = st.Create(ctx, kind, "a", []byte("1"), 0); err == nil {
				balance.Add(1)
			}
		case 2:
			if _, err = st.Take(ctx, kind, "a"); err == nil {
				balance.Add(-1)
			}
		case 3:
			var took bool
			err = st.Update(ctx, kind, "a", func(old []byte) ([]byte, time.Duration, error) {
				took = old != nil
				return nil, 0, nil
			})
			if err == nil && took {
				balance.Add(-1)
			}
		}
		if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if left := int64(len(list(t, st, kind, "", 0))); left != balance.Load() {
		t.Errorf("%d records are left, the callers say %d", left, balance.Load())
	}
}
