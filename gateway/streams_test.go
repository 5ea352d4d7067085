package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
)

// wantCause waits for a context to end, for the reason that is wanted; nil: it
// goes on.
func wantCause(ctx context.Context, t *testing.T, want error) {
	t.Helper()
	if want == nil {
		if ctx.Err() != nil {
			t.Errorf("it has ended: %v", context.Cause(ctx))
		}
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Errorf("it goes on; want %v", want)
		return
	}
	if got := context.Cause(ctx); !errors.Is(got, want) {
		t.Errorf("it ended: %v; want %v", got, want)
	}
}

func (s *streams) begun(t *testing.T, st *stream) context.Context {
	t.Helper()
	ctx, ok := s.begin(t.Context(), st)
	if !ok {
		t.Fatalf("%+v was refused", st)
	}
	return ctx
}

func TestT17_a_grant_takes_its_streams_along_and_no_others(t *testing.T) {
	s := newStreams(0)
	var open []*stream
	lives := map[*stream]context.Context{}
	for i := range 300 {
		st := &stream{grant: fmt.Sprint("grant ", i%3), user: fmt.Sprint("user ", i%10)}
		if i%20 == 0 {
			st = &stream{from: fmt.Sprint("192.0.2.1:", i)} // at a public host
		}
		open, lives[st] = append(open, st), s.begun(t, st)
	}
	for i := 0; i < len(open); i += 3 {
		s.end(open[i])
		wantCause(lives[open[i]], t, context.Canceled)
		open = slices.Delete(open, i, i+1)
	}
	s.revoke("grant 1")
	for _, st := range open {
		var want error
		if st.grant == "grant 1" {
			want = errRevoked
		}
		wantCause(lives[st], t, want)
	}
	for _, st := range open {
		s.end(st)
	}
	for i := range s.rooms {
		if r := &s.rooms[i]; r.first != nil || len(r.open) != 0 {
			t.Errorf("after the end of all, room %d has %v and counts %v", i, r.first, r.open)
		}
	}
}

func TestX19_a_stream_that_listens_ends_with_its_token_or_the_gateway(t *testing.T) {
	s := newStreams(0)
	expiring := s.begun(t, &stream{user: "ada", listens: true, until: time.Now().Add(10 * time.Millisecond)})
	wantCause(expiring, t, errExpired)
	if !errors.Is(context.Cause(expiring), routing.ErrOver) || !errors.Is(expiring.Err(), context.DeadlineExceeded) {
		t.Errorf("it ended in another way: %v, %v", expiring.Err(), context.Cause(expiring))
	}
	listens := s.begun(t, &stream{user: "ada", listens: true, until: time.Now().Add(time.Hour)})
	later, call := &stream{user: "bob"}, &stream{user: "eve"}
	turnsOut, goesOn := s.begun(t, later), s.begun(t, call)
	s.close()
	wantCause(listens, t, errLeaving)
	wantCause(turnsOut, t, nil)
	s.listens(later)
	wantCause(turnsOut, t, errStopping)
	wantCause(s.begun(t, &stream{user: "zoe", listens: true}), t, errLeaving)
	wantCause(s.begun(t, &stream{user: "zoe"}), t, nil)
	wantCause(goesOn, t, nil)
	s.end(call)
	wantCause(goesOn, t, context.Canceled)
}

func TestA_stream_ends_with_its_request(t *testing.T) {
	for name, until := range map[string]time.Time{"a call": {}, "one that listens": time.Now().Add(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			request, leave := context.WithCancelCause(t.Context())
			ctx, _ := newStreams(0).begin(request, &stream{until: until})
			gone := errors.New("the client is gone")
			leave(gone)
			wantCause(ctx, t, gone)
		})
	}
}

func TestX25_no_user_has_more_streams_than_the_limit_whatever_else_happens(t *testing.T) {
	const limit, users = 3, 5
	s := newStreams(limit)
	var open [users]atomic.Int32
	var all, noise sync.WaitGroup
	over := make(chan struct{})
	noise.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
			}
			if s.revoke(fmt.Sprint("grant ", i%users)); i == 100 {
				s.close()
			}
		}
	})
	for g := range 4 * users {
		all.Go(func() {
			for i := range 500 {
				n := (g + i) % users
				st := &stream{user: fmt.Sprint("user ", n), grant: fmt.Sprint("grant ", n), listens: i%2 == 0}
				ctx, ok := s.begin(t.Context(), st)
				if !ok {
					continue
				}
				if now := open[n].Add(1); now > limit {
					t.Errorf("user %d has %d streams", n, now)
				}
				if i%3 == 0 {
					s.listens(st)
				}
				open[n].Add(-1)
				if s.end(st); ctx.Err() == nil {
					t.Error("a stream outlived its end")
				}
			}
		})
	}
	all.Wait()
	close(over)
	noise.Wait()
	for n := range users {
		for range limit {
			s.begun(t, &stream{user: fmt.Sprint("user ", n)})
		}
		if _, ok := s.begin(t.Context(), &stream{user: fmt.Sprint("user ", n)}); ok {
			t.Errorf("user %d may have one more than the limit", n)
		}
		if _, ok := s.begin(t.Context(), &stream{from: "192.0.2.1:1"}); !ok {
			t.Error("a request of nobody was refused")
		}
	}
}
