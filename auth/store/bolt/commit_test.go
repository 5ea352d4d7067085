package bolt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// held opens a store in which somebody has the turn, so that writes wait.
func held(t *testing.T) (s *Store, release func()) {
	t.Helper()
	s = openAt(t, time.Unix(1_000_000, 0))
	s.stop() // the sweeper waits for commits like anybody else
	<-s.stopped
	s.turn <- struct{}{}
	return s, func() { <-s.turn }
}

func waitFor(s *Store, n int) {
	for {
		s.mu.Lock()
		waiting := len(s.waiting)
		s.mu.Unlock()
		if waiting >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWrites_that_wait_share_a_commit(t *testing.T) {
	s, release := held(t)
	const n = 50
	before := s.db.Stats()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := s.Put(t.Context(), "code", fmt.Sprint(i), nil, 0); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(s, n)
	release()
	wg.Wait()
	after := s.db.Stats()
	diff := after.Sub(&before)
	if commits := diff.TxStats.GetWrite(); commits > 20 { // pages, of which one commit writes a few
		t.Errorf("%d writes wrote %d pages", n, commits)
	}
	if r, _ := counts(t, s, "code"); r != n {
		t.Errorf("%d records, want %d", r, n)
	}
}

func TestWrite_that_is_called_off_while_it_waits_changes_nothing(t *testing.T) {
	s, release := held(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Put(ctx, "code", "a", nil, 0) }()
	waitFor(s, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) { // before anybody commits
		t.Errorf("error %v", err)
	}
	release()
	if _, err := s.Get(t.Context(), "code", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
}

func TestWrite_that_is_refused_does_not_touch_its_neighbours(t *testing.T) {
	s, release := held(t)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			_, err := s.Take(t.Context(), "code", "absent")
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Take: %v", err)
			}
		})
		wg.Go(func() {
			if err := s.Create(t.Context(), "code", fmt.Sprint(i), nil, 0); err != nil {
				t.Errorf("Create: %v", err)
			}
		})
	}
	waitFor(s, 20)
	release()
	wg.Wait()
	if r, _ := counts(t, s, "code"); r != 10 {
		t.Errorf("%d records, want 10", r)
	}
}

// A transaction that breaks fails for everyone in it, and leaves nothing.
func TestWrite_that_breaks(t *testing.T) {
	for name, breaks := range map[string]func(b *batch) error{
		"a step that fails": func(b *batch) error { return b.breakOff(errors.New("disk full")) },
		"a panic":           func(*batch) error { panic("page 7: unexpected page type") },
	} {
		t.Run(name, func(t *testing.T) {
			s, release := held(t)
			changes, err := s.Watch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := s.Put(t.Context(), "code", "a", nil, 0); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("Put: %v", err)
				}
			})
			waitFor(s, 1)
			wg.Go(func() {
				if err := s.write(t.Context(), breaks); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("the one that breaks: %v", err)
				}
			})
			waitFor(s, 2)
			release()
			wg.Wait()
			if r, _ := counts(t, s, "code"); r != 0 {
				t.Errorf("%d records are left", r)
			}
			if err := s.Put(t.Context(), "code", "b", nil, 0); err != nil {
				t.Errorf("the next write: %v", err)
			}
			if c := <-changes; c.Key != "b" {
				t.Errorf("%v is reported and did not happen", c)
			}
		})
	}
}
