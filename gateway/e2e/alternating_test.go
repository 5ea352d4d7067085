//go:build e2e

package e2e

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// alternating is replicas on one database, behind each other's backs: every
// verb is another one's.
type alternating struct {
	replicas []store.Store
	turn     *atomic.Int64
}

func (a *alternating) next() store.Store {
	return a.replicas[int(a.turn.Add(1))%len(a.replicas)]
}

func (a *alternating) Get(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	return a.next().Get(ctx, kind, key)
}

func (a *alternating) Put(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	return a.next().Put(ctx, kind, key, value, ttl)
}

func (a *alternating) Create(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	return a.next().Create(ctx, kind, key, value, ttl)
}

func (a *alternating) Take(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	return a.next().Take(ctx, kind, key)
}

func (a *alternating) Update(ctx context.Context, kind store.Kind, key string, fn func([]byte) ([]byte, time.Duration, error)) error {
	return a.next().Update(ctx, kind, key, fn)
}

func (a *alternating) Delete(ctx context.Context, kind store.Kind, key string) error {
	return a.next().Delete(ctx, kind, key)
}

func (a *alternating) List(ctx context.Context, kind store.Kind, after string, limit int) ([]store.Record, error) {
	return a.next().List(ctx, kind, after, limit)
}

func (a *alternating) Watch(ctx context.Context, kinds ...store.Kind) (<-chan store.Change, error) {
	return a.next().Watch(ctx, kinds...)
}

func (a *alternating) Behind() time.Duration {
	return max(a.replicas[0].Behind(), a.replicas[1].Behind(), a.replicas[2].Behind())
}

func (a *alternating) Close() error {
	var errs []error
	for _, r := range a.replicas {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}
