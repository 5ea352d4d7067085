package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"mcp-oauth2-proxy/auth/store"

	"golang.org/x/sync/errgroup"
)

// exporter is an engine that can name everything it holds.
type exporter interface {
	Export(ctx context.Context, fn func(kind store.Kind, r store.Record, ttl time.Duration) error) error
}

// migrationWriters write at once, so that they share the waits for the disk.
const migrationWriters = 64

// MigrateStore copies every record from one store to another, which must be
// empty, with what is left of its life. Sealed records stay sealed, so the key
// file stays the same. Records that cannot be read are left out, and are what
// the error is about; the rest was copied then, and errors.Is says ErrCorrupt.
// No gateway may run on either store.
func MigrateStore(ctx context.Context, from, to string) (copied int, err error) {
	for name, url := range map[string]string{"FROM": from, "TO": to} {
		if err := checkStoreURL(url); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		if url == "memory:" {
			return 0, fmt.Errorf("%s: memory: does not outlive its process", name)
		}
	}
	source, err := openEngine(ctx, from, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, fmt.Errorf("FROM: %w", err)
	}
	defer source.Close()
	target, err := openEngine(ctx, to, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, fmt.Errorf("TO: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	return copyRecords(ctx, source.(exporter), target)
}

func copyRecords(ctx context.Context, source exporter, target store.Store) (int, error) {
	errSome := errors.New("there is one")
	err := target.(exporter).Export(ctx, func(store.Kind, store.Record, time.Duration) error { return errSome })
	if errors.Is(err, errSome) {
		return 0, errors.New("TO: it holds records already; it must be empty")
	}
	if err != nil {
		return 0, fmt.Errorf("TO: %w", err)
	}
	var copied atomic.Int64
	group, writing := errgroup.WithContext(ctx)
	group.SetLimit(migrationWriters)
	err = source.Export(ctx, func(kind store.Kind, r store.Record, ttl time.Duration) error {
		group.Go(func() error {
			if err := target.Put(writing, kind, r.Key, r.Value, ttl); err != nil {
				return fmt.Errorf("TO: write %s %q: %w", kind, r.Key, err)
			}
			copied.Add(1)
			return nil
		})
		return context.Cause(writing)
	})
	if failed := group.Wait(); failed != nil {
		return int(copied.Load()), failed
	}
	if err != nil {
		err = fmt.Errorf("FROM: %w", err)
	}
	return int(copied.Load()), err
}
