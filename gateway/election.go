package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// kindElection is who does what only one replica does at a time.
const kindElection store.Kind = "election"

// leaseLife is how long the work of a replica that died is left undone. Whoever
// is elected says three times as often that it lives.
const leaseLife = 30 * time.Second

// errVoted is when the lease is somebody else's.
var errVoted = errors.New("another replica is elected")

// Elect implements tls.Cache: of any number of replicas one is elected, by
// creating the record that the others then find.
func (c certCache) Elect(ctx context.Context, name string) (resign func(), elected bool, err error) {
	l := lease{c.store, name, rand.Text()}
	err = c.store.Create(ctx, kindElection, name, []byte(l.holder), leaseLife)
	if errors.Is(err, store.ErrExists) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	alive, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.hold(alive)
	}()
	return func() {
		stop()
		<-done
		l.end(ctx)
	}, true, nil
}

// lease is the record of an election that was won.
type lease struct {
	store        store.Store
	name, holder string
}

// hold keeps the lease until ctx ends or another replica has it: then this one
// was away for too long, and what it does is bounded anyway.
func (l lease) hold(ctx context.Context) {
	again := time.NewTicker(leaseLife / 3)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		if err := l.update(ctx, []byte(l.holder)); errors.Is(err, errVoted) {
			return
		}
	}
}

// end gives the lease back, even while the process stops. If that fails it ends
// by itself.
func (l lease) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = l.update(ctx, nil)
}

func (l lease) update(ctx context.Context, next []byte) error {
	return l.store.Update(ctx, kindElection, l.name, func(old []byte) ([]byte, time.Duration, error) {
		if old != nil && string(old) != l.holder {
			return nil, 0, errVoted
		}
		return next, leaseLife, nil
	})
}
