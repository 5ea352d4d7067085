package grants

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/memory"
)

// cut is a store whose connection can fail.
type cut struct {
	store.Store
	behind  atomic.Int64
	failing atomic.Bool
}

func (c *cut) Behind() time.Duration { return time.Duration(c.behind.Load()) }

func (c *cut) Get(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	if c.failing.Load() {
		return nil, store.ErrUnavailable
	}
	return c.Store.Get(ctx, kind, key)
}

func replica(t *testing.T, s store.Store) *Grants {
	t.Helper()
	g := New(s, Options{AccessTTL: time.Hour, RefreshIdle: time.Hour, RefreshTTL: time.Hour, SessionTTL: time.Hour, StaleAfter: 30 * time.Second})
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return g
}

func TestT17_a_replica_that_is_cut_off_believes_tokens_for_a_while_then_cannot_tell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &cut{Store: memory.New(0)}
		g := replica(t, s)
		synctest.Wait()
		if err := g.End(t.Context(), "ended"); err != nil {
			t.Fatal(err)
		}
		for behind, want := range map[time.Duration]error{0: nil, 30 * time.Second: nil, 31 * time.Second: ErrUnknown} {
			s.behind.Store(int64(behind))
			if dead, err := g.Revoked("live"); dead || !errors.Is(err, want) {
				t.Errorf("%s behind, a live grant is %v, %v; want %v", behind, dead, err, want)
			}
			if dead, err := g.Revoked("ended"); !dead || err != nil {
				t.Errorf("%s behind, what is known to have ended is %v, %v", behind, dead, err)
			}
		}
		s.behind.Store(0)
		if _, err := g.Revoked("live"); err != nil {
			t.Errorf("in touch again: %v", err)
		}
	})
}

func TestT17_a_revocation_that_cannot_be_read_is_read_later(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &cut{Store: memory.New(0)}
		g := replica(t, s)
		synctest.Wait()
		s.failing.Store(true)
		if err := New(s.Store, Options{AccessTTL: time.Hour}).End(t.Context(), "ended"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if dead, err := g.Revoked("ended"); dead || err != nil {
			t.Errorf("unread for a while: %v, %v", dead, err)
		}
		time.Sleep(30 * time.Second)
		if _, err := g.Revoked("live"); !errors.Is(err, ErrUnknown) {
			t.Errorf("unread for too long: %v, want ErrUnknown", err)
		}
		s.failing.Store(false)
		time.Sleep(time.Second)
		if dead, err := g.Revoked("ended"); !dead || err != nil {
			t.Errorf("read at last: %v, %v", dead, err)
		}
		if _, err := g.Revoked("live"); err != nil {
			t.Errorf("in touch again: %v", err)
		}
	})
}

// failing is a store in which one kind cannot be written.
type failing struct {
	store.Store
	kind store.Kind
}

func (f *failing) Update(ctx context.Context, kind store.Kind, key string, fn func([]byte) ([]byte, time.Duration, error)) error {
	if kind == f.kind {
		return store.ErrUnavailable
	}
	return f.Store.Update(ctx, kind, key, fn)
}

func TestC4_a_redemption_that_failed_with_the_store_can_be_repeated(t *testing.T) {
	f := open(t)
	code := f.code()
	broken := on(&failing{f.store, KindUser}, f.clock)
	if _, _, err := broken.Redeem(t.Context(), redemption(code), yes); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	if _, _, err := f.Redeem(t.Context(), redemption(code), yes); err != nil {
		t.Errorf("repeated: %v", err)
	}
	if _, _, err := f.Redeem(t.Context(), redemption(code), yes); !errors.Is(err, ErrReplayed) {
		t.Errorf("and once more: %v, want ErrReplayed", err)
	}
}

func TestT17_a_grant_whose_record_is_damaged_can_be_ended(t *testing.T) {
	f := open(t)
	gr, token := f.redeem()
	if err := f.store.Put(t.Context(), KindFamily, gr.ID, []byte("half a rec"), 0); err != nil {
		t.Fatal(err)
	}
	if damaged, err := f.EndDamaged(t.Context(), gr.ID); !damaged || err != nil {
		t.Errorf("got %v, %v", damaged, err)
	}
	if !revoked(t, f.Grants, gr.ID) {
		t.Error("access tokens are still good")
	}
	if _, _, err := f.Rotate(t.Context(), use(token), same); !errors.Is(err, ErrInvalid) {
		t.Errorf("refresh: %v", err)
	}
	if damaged, err := f.EndDamaged(t.Context(), gr.ID); damaged || err != nil {
		t.Errorf("a second time: %v, %v", damaged, err)
	}
}

func TestT17_an_end_that_failed_half_way_can_be_repeated(t *testing.T) {
	f := open(t)
	gr, token := f.redeem()
	if err := on(&failing{f.store, KindFamily}, f.clock).End(t.Context(), gr.ID); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	// Who repeats /revoke shows the refresh token, which must still be known.
	if _, err := f.Family(t.Context(), use(token)); err != nil {
		t.Errorf("the family cannot be found to be ended: %v", err)
	}
}
