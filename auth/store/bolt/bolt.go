// Package bolt is a store.Store in one file.
//
// It promises that what a verb wrote is on the disk when the verb returns, and
// that one process at a time has the file, which nobody but its owner may read.
// Concurrent writes share a commit, and so the wait for the disk; a lone one
// waits for nobody. What has expired is removed in the background, and a file
// that is mostly free is made smaller when it is opened.
//
// For more than one process on the same records there is package postgres.
package bolt

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"mcp-oauth2-proxy/auth/store"
)

// A Store is an open file.
type Store struct {
	db   *bbolt.DB
	path string
	now  func() time.Time
	log  *slog.Logger
	hub  store.Hub

	mu      sync.Mutex
	waiting []*write
	turn    chan struct{} // holds a token while somebody commits

	closing sync.Once
	stop    context.CancelFunc // of the sweeper
	stopped chan struct{}      // closed when it has
}

// An Option changes how a Store is opened.
type Option func(*Store)

// WithClock makes the store tell time by now.
func WithClock(now func() time.Time) Option {
	return func(s *Store) { s.now = now }
}

// WithLog makes the store report there what goes wrong in the background.
// Without it such reports are lost.
func WithLog(log *slog.Logger) Option {
	return func(s *Store) { s.log = log }
}

// Open opens the file, which it makes if it is not there, and its directory
// too. The file is made private if it is not. If another process has it, Open
// says so after a second.
func Open(path string, options ...Option) (*Store, error) {
	s := &Store{
		path:    path,
		now:     time.Now,
		log:     slog.New(slog.DiscardHandler),
		turn:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	for _, o := range options {
		o(s)
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go s.sweepUntil(ctx)
	return s, nil
}

// open leaves s with an open, understood and reasonably small file, or none.
func (s *Store) open() error {
	db, err := openFile(s.path)
	if err != nil {
		return err
	}
	if err := prepare(db, s.path); err != nil {
		return closing(db, err)
	}
	removeLeftovers(s.path)
	smaller, err := compact(db, s.path, compactAbove)
	if err != nil { // and nothing is lost by it
		s.log.Warn("compacting the state file failed", slog.String("path", s.path), slog.Any("cause", err))
	}
	if !smaller {
		s.db = db
		return nil
	}
	if err := db.Close(); err != nil {
		return fmt.Errorf("close the former state file %s: %w", s.path, err)
	}
	s.db, err = openFile(s.path)
	return err
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, kinds ...store.Kind) (<-chan store.Change, error) {
	return s.hub.Watch(ctx, kinds...)
}

// Behind implements store.Store.
func (s *Store) Behind() time.Duration { return 0 }

// Close implements store.Store. It waits for the verbs that are at work, and
// for a backup.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.stop()
		<-s.stopped
		s.hub.Close()
		if err = s.db.Close(); err != nil {
			err = fmt.Errorf("close state file %s: %w", s.path, err)
		}
	})
	return err
}
