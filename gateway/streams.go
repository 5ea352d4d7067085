package gateway

import (
	"context"
	"errors"
	"fmt"
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
	listens     bool      // it only listens, and the client reconnects
	until       time.Time // when it ends by itself; zero: never
}

// streams knows every request that is being passed on, so that revoking a
// grant ends those too.
type streams struct {
	perUser int // 0: no limit

	mu      sync.Mutex
	byGrant map[string]map[*stream]context.CancelCauseFunc
	users   map[string]int
	closing bool
}

func newStreams(perUser int) *streams {
	return &streams{perUser: perUser, byGrant: map[string]map[*stream]context.CancelCauseFunc{}, users: map[string]int{}}
}

// begin counts s and returns the context it lives in and how it ends; false if
// the user has too many open.
func (s *streams) begin(ctx context.Context, st *stream) (context.Context, func(), bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() {}
	if !st.until.IsZero() {
		var timeout context.CancelFunc
		ctx, timeout = context.WithDeadlineCause(ctx, st.until, errExpired)
		stop = timeout
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.user != "" && s.perUser > 0 && s.users[st.user] >= s.perUser {
		stop()
		cancel(nil)
		return nil, nil, false
	}
	if s.closing && st.listens {
		cancel(errLeaving)
	}
	open := s.byGrant[st.grant]
	if open == nil {
		open = map[*stream]context.CancelCauseFunc{}
		s.byGrant[st.grant] = open
	}
	open[st] = cancel
	s.users[st.user]++
	return ctx, func() { s.end(st, stop, cancel) }, true
}

func (s *streams) end(st *stream, stop context.CancelFunc, cancel context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byGrant[st.grant], st)
	if len(s.byGrant[st.grant]) == 0 {
		delete(s.byGrant, st.grant)
	}
	if s.users[st.user]--; s.users[st.user] <= 0 {
		delete(s.users, st.user)
	}
	stop()
	cancel(nil)
}

// listens says that a request turned out to be one that only listens.
func (s *streams) listens(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.listens = true
	if cancel := s.byGrant[st.grant][st]; s.closing && cancel != nil {
		cancel(errStopping)
	}
}

// revoke ends whatever is passed on for a grant.
func (s *streams) revoke(grant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.byGrant[grant] {
		cancel(errRevoked)
	}
}

// close ends the requests that only listen, and those that begin from now on:
// their clients reconnect, and waiting for them would never end.
func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for _, open := range s.byGrant {
		for st, cancel := range open {
			if st.listens {
				cancel(errLeaving)
			}
		}
	}
}
