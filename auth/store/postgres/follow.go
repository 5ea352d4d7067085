package postgres

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"mcp-oauth2-proxy/auth/store"
)

// pollEvery is how long a change may go unreported whose notice was lost.
const pollEvery = 500 * time.Millisecond

// told says that there are changes which other replicas, and watchers here,
// have not heard of.
func (s *Store) told() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// ring rings at all replicas. It is a statement of its own, after the commit:
// inside of a write it would make the commits of all replicas wait in line
// (PostgreSQL holds a lock for it), and a write would carry it for each change.
func (s *Store) ring(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.bell:
		}
		// If it fails, the poll finds the change.
		ringing, cancel := context.WithTimeout(ctx, time.Second)
		_, err := s.pool.Exec(ringing, "select pg_notify($1, '')", s.channel)
		cancel()
		if err != nil {
			s.log.DebugContext(ctx, "other replicas were not told of a change at once", slog.Any("cause", err))
		}
	}
}

// follow publishes what any replica changes, until ctx ends.
func (s *Store) follow(ctx context.Context) {
	reported := false
	for ctx.Err() == nil {
		err := s.listen(ctx, func() {
			if reported {
				s.log.InfoContext(ctx, "the database answers again")
			}
			reported = false
		})
		if ctx.Err() != nil {
			return
		}
		if !reported {
			s.log.ErrorContext(ctx, "the database does not answer", slog.Any("cause", err))
			reported = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(maxPause):
		}
	}
}

// listen follows the changes on a connection of its own, for as long as that
// lasts.
func (s *Store) listen(ctx context.Context, good func()) error {
	connecting, cancel := context.WithTimeout(ctx, 2*connectLimit)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // it is gone either way
	}()
	if err := s.resume(connecting, conn); err != nil {
		return err
	}
	for {
		began := time.Since(s.opened)
		if err := s.poll(ctx, conn); err != nil {
			return err
		}
		s.synced.Store(int64(began))
		good()
		waiting, cancel := context.WithTimeout(ctx, pollEvery)
		_, err := conn.WaitForNotification(waiting)
		cancel()
		if err != nil && !pgconn.Timeout(err) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

// resume begins to listen again. Who answers now may be another server, which
// has not heard of the last changes and gives their numbers to others; and what
// was missed may be gone. So watchers are told to read everything again.
func (s *Store) resume(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "listen "+s.channel); err != nil {
		return err
	}
	if !s.place.left {
		s.place.left = true // where Open found it
		return nil
	}
	now := place{left: true}
	if err := now.start(ctx, conn); err != nil {
		return err
	}
	kinds, err := kindsOf(ctx, conn)
	if err != nil {
		return err
	}
	s.place = now
	for _, k := range kinds {
		s.hub.Publish(store.Change{Kind: k})
	}
	return nil
}

// poll publishes the changes since the last time.
func (s *Store) poll(ctx context.Context, conn *pgx.Conn) error {
	for {
		asking, cancel := context.WithTimeout(ctx, answerLimit)
		changes, err := s.place.next(asking, conn)
		cancel()
		if err != nil {
			return err
		}
		s.hub.Publish(changes...)
		if len(changes) < pollPage {
			return nil
		}
	}
}

// kindsOf lists the kinds of which there are records, skipping from one to the
// next in the index.
func kindsOf(ctx context.Context, conn *pgx.Conn) ([]store.Kind, error) {
	rows, err := conn.Query(ctx, `with recursive k as (
		(select kind from mcp_oauth2_proxy_records order by kind limit 1)
		union all
		select (select r.kind from mcp_oauth2_proxy_records r where r.kind > k.kind order by r.kind limit 1) from k where k.kind is not null
	) select kind from k where kind is not null`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Kind, error) {
		var kind []byte
		err := row.Scan(&kind)
		return store.Kind(kind), err
	})
}
