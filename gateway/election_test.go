package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mcp-oauth2-proxy/auth/store/memory"
)

func TestOneOfManyIsElected(t *testing.T) {
	c := certCache{memory.New(0)}
	var elected atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, won, err := c.Elect(t.Context(), "acme")
			if err != nil {
				t.Error(err)
			}
			if won {
				elected.Add(1)
			}
		})
	}
	wg.Wait()
	if n := elected.Load(); n != 1 {
		t.Errorf("%d are elected", n)
	}
	if _, won, err := c.Elect(t.Context(), "something else"); err != nil || !won {
		t.Errorf("another election: %v, %v", won, err)
	}
}

func TestElectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := certCache{memory.New(0)}
		elect := func(ctx context.Context) (func(), bool) {
			t.Helper()
			resign, won, err := c.Elect(ctx, "acme")
			if err != nil {
				t.Fatal(err)
			}
			return resign, won
		}
		resign, _ := elect(t.Context())
		time.Sleep(10 * leaseLife)
		if _, won := elect(t.Context()); won {
			t.Error("one that lives was replaced")
		}
		resign()
		ctx, die := context.WithCancel(t.Context())
		late, won := elect(ctx)
		if !won {
			t.Error("nobody could follow one that resigned")
		}
		die()
		time.Sleep(leaseLife + time.Second)
		resign, won = elect(t.Context())
		if !won {
			t.Error("nobody could follow one that died")
		}
		late()
		if _, won := elect(t.Context()); won {
			t.Error("a dead one resigned for its successor")
		}
		resign()
	})
}
