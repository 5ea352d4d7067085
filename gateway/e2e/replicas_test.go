//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// some is how much of a long test is done: all of it in the nightly run.
func some(sample, all int) int {
	if os.Getenv("LONG") != "" {
		return all
	}
	return sample
}

// crowd lets n people do something, a few at a time.
func (c *cluster) crowd(t *testing.T, n int, tr *trouble, do func(ctx context.Context, p *person) error) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for i := range n {
		p := c.person(t, fmt.Sprint("person", i), tr)
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, 2*patience)
			defer cancel()
			if err := do(ctx, p); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// TestReplicasServeEachStepOfAFlow: each request of a flow goes to another of
// three replicas than the one before.
func TestReplicasServeEachStepOfAFlow(t *testing.T) {
	d := startPostgres(t)
	c := newCluster(t, 3, d.url(d.schema(t)))
	var tr trouble
	n, began := some(100, 1000), time.Now()
	c.crowd(t, n, &tr, func(ctx context.Context, p *person) error {
		_, err := p.session(ctx)
		return err
	})
	if tr.unavailable.Load()+tr.lost.Load() > 0 {
		t.Errorf("%d answers were 503, %d connections were lost; want none", tr.unavailable.Load(), tr.lost.Load())
	}
	t.Logf("%d flows in %v, 0 failures", n, time.Since(began).Round(time.Millisecond))
}

// TestReplicasOutliveARestartOfPostgres: whatever fails is a 503 that succeeds
// when it is tried again.
func TestReplicasOutliveARestartOfPostgres(t *testing.T) {
	d := startPostgres(t)
	c := newCluster(t, 3, d.url(d.schema(t)))
	var tr trouble
	var done atomic.Int64
	n := some(100, 1000)
	half, all := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(all)
		c.crowd(t, n, &tr, func(ctx context.Context, p *person) error {
			if done.Add(1) == int64(n)/2 {
				close(half)
			}
			_, err := p.session(ctx)
			return err
		})
	}()
	<-half
	d.stop(t, os.Interrupt)
	time.Sleep(7 * time.Second) // longer than a request is made to wait
	d.start(t)
	<-all
	if tr.lost.Load() > 0 || tr.wordless.Load() > 0 {
		t.Errorf("%d connections were lost, %d answers were 503 without Retry-After; want none", tr.lost.Load(), tr.wordless.Load())
		if err := tr.last.Load(); err != nil {
			t.Error(*err)
		}
	}
	if tr.unavailable.Load() == 0 {
		t.Error("nobody noticed the restart: it proves nothing")
	}
	t.Logf("%d flows, %d answers were 503", n, tr.unavailable.Load())
}
