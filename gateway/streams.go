package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"mcp-oauth2-proxy/routing"
)

// Why a request that is passed on was ended from here.
var (
	errRevoked  = errors.New("the grant has ended")
	errExpired  = fmt.Errorf("%w: the access token has expired", routing.ErrOver)
	errStopping = errors.New("the gateway stops")
	errLeaving  = fmt.Errorf("%w: the gateway stops", routing.ErrOver)
)

// stream is a request that is being passed on.
type stream struct {
	grant, user string
	from        string    // the address it comes from
	listens     bool      // it only listens, and the client reconnects
	until       time.Time // when it ends by itself; zero: never

	cancel     context.CancelCauseFunc
	stop       context.CancelFunc // of the clock; nil: there is none
	room       *room
	prev, next *stream
}

// streams knows every request that is being passed on, so that revoking a
// grant ends those too.
type streams struct {
	perUser int // 0: no limit
	seed    maphash.Seed
	rooms   [64]room
}

// A room holds some of the streams, and all of a user's: few calls wait for
// another's.
type room struct {
	mu      sync.Mutex
	first   *stream
	open    map[string]int // of a user
	closing bool
	_       [32]byte // no two rooms share a line of the processor's cache
}

func newStreams(perUser int) *streams {
	s := &streams{perUser: perUser, seed: maphash.MakeSeed()}
	for i := range s.rooms {
		s.rooms[i].open = map[string]int{}
	}
	return s
}

// begin counts st and returns the context it lives in until its end; false if
// the user has too many open.
func (s *streams) begin(ctx context.Context, st *stream) (context.Context, bool) {
	ctx, st.cancel = context.WithCancelCause(ctx)
	if !st.until.IsZero() {
		ctx, st.stop = context.WithDeadlineCause(ctx, st.until, errExpired)
	}
	st.room = &s.rooms[maphash.String(s.seed, cmp.Or(st.user, st.from))%uint64(len(s.rooms))]
	if !st.room.enter(st, s.perUser) {
		st.over()
		return nil, false
	}
	return ctx, true
}

// end is told of every stream that has begun, once.
func (s *streams) end(st *stream) {
	st.room.leave(st)
	st.over()
}

// over lets go of a stream's context.
func (st *stream) over() {
	if st.stop != nil {
		st.stop()
	}
	st.cancel(nil)
}

func (r *room) enter(st *stream, perUser int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if st.user != "" {
		if perUser > 0 && r.open[st.user] >= perUser {
			return false
		}
		r.open[st.user]++
	}
	if r.closing && st.listens {
		st.cancel(errLeaving)
	}
	if st.next = r.first; st.next != nil {
		st.next.prev = st
	}
	r.first = st
	return true
}

func (r *room) leave(st *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if st.user != "" {
		if r.open[st.user]--; r.open[st.user] <= 0 {
			delete(r.open, st.user)
		}
	}
	if st.next != nil {
		st.next.prev = st.prev
	}
	if st.prev != nil {
		st.prev.next = st.next
	} else {
		r.first = st.next
	}
}

// listens says that a request turned out to be one that only listens.
func (s *streams) listens(st *stream) {
	st.room.mu.Lock()
	defer st.room.mu.Unlock()
	if st.listens = true; st.room.closing {
		st.cancel(errStopping)
	}
}

// revoke ends whatever is passed on for a grant.
func (s *streams) revoke(grant string) {
	for i := range s.rooms {
		s.rooms[i].revoke(grant)
	}
}

func (r *room) revoke(grant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for st := r.first; st != nil; st = st.next {
		if st.grant == grant {
			st.cancel(errRevoked)
		}
	}
}

// close ends the requests that only listen, and those that begin from now on:
// their clients reconnect, and waiting for them would never end.
func (s *streams) close() {
	for i := range s.rooms {
		s.rooms[i].close()
	}
}

func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closing = true
	for st := r.first; st != nil; st = st.next {
		if st.listens {
			st.cancel(errLeaving)
		}
	}
}
