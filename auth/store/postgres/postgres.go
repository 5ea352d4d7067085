// Package postgres is a store.Store in a PostgreSQL database, for replicas.
//
// It promises the atomic verbs to any number of processes on the same
// database; that a verb which met a restart or a failover of the database is
// carried out once or not at all; and that Watch tells every replica of every
// change within its poll interval, and usually at once. Time is the
// database's: replicas whose clocks differ agree on what has expired.
//
// It makes and migrates its tables itself, in the first schema of the
// connection's search path. The tables begin with mcp_oauth2_proxy_.
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"mcp-oauth2-proxy/auth/store"
)

// A Store is a pool of connections to one database.
type Store struct {
	pool    *pgxpool.Pool
	log     *slog.Logger
	hub     store.Hub
	stripes [256]chan struct{} // each holds a token while an Update of its keys runs here
	bell    chan struct{}      // holds a token while other replicas are to be told of a change
	channel string             // for LISTEN
	place   place
	synced  atomic.Int64 // nanoseconds after opened: everything before was published
	down    atomic.Int64 // nanoseconds after opened since when nothing succeeded; 0: it works
	opened  time.Time

	closed  atomic.Bool
	closing sync.Once
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// An Option changes how a Store is opened.
type Option func(*Store)

// WithLog makes the store report there what goes wrong in the background.
// Without it such reports are lost.
func WithLog(log *slog.Logger) Option {
	return func(s *Store) { s.log = log }
}

// Open connects to the database of a postgres:// URL and makes or migrates the
// tables. An error that may pass is a store.ErrUnavailable.
func Open(ctx context.Context, url string, options ...Option) (*Store, error) {
	config, err := configure(url)
	if err != nil {
		return nil, err
	}
	s := &Store{log: slog.New(slog.DiscardHandler), bell: make(chan struct{}, 1), opened: time.Now()}
	for i := range s.stripes {
		s.stripes[i] = make(chan struct{}, 1)
	}
	for _, o := range options {
		o(s)
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		s.pool.Close()
		return nil, err
	}
	ctx, s.stop = context.WithCancel(context.Background())
	for _, run := range []func(context.Context){s.follow, s.ring, s.sweepUntil} {
		s.work.Go(func() { run(ctx) })
	}
	return s, nil
}

// prepare leaves the tables as this program needs them, and knows where in the
// changes it begins to follow.
func (s *Store) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, migrationLimit)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return failed(fmt.Errorf("connect to the database: %w", oneLine{err}))
	}
	defer conn.Release()
	if err := migrate(ctx, conn.Conn()); err != nil {
		return err
	}
	if s.channel, err = channelOf(ctx, conn.Conn()); err != nil {
		return failed(fmt.Errorf("read the database's schema: %w", err))
	}
	if err := s.place.start(ctx, conn.Conn()); err != nil {
		return failed(fmt.Errorf("read the changes: %w", err))
	}
	s.synced.Store(int64(time.Since(s.opened)))
	return nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, kinds ...store.Kind) (<-chan store.Change, error) {
	return s.hub.Watch(ctx, kinds...)
}

// Behind implements store.Store.
func (s *Store) Behind() time.Duration {
	return time.Since(s.opened) - time.Duration(s.synced.Load())
}

// Close implements store.Store. It waits for the verbs that are at work.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed.Store(true)
		s.stop()
		s.work.Wait()
		s.hub.Close()
		s.pool.Close()
	})
	return nil
}
