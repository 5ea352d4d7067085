package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"mcp-oauth2-proxy/auth/store"
)

// op names one write; the database sees a uuid.
type op = [16]byte

func newOp() op {
	var o op
	rand.Read(o[:]) // never fails: it ends the process instead
	return o
}

// micros is a ttl as the database counts. What is less than a microsecond is
// one, for 0 is forever.
func micros(ttl time.Duration) int64 {
	switch us := ttl.Microseconds(); {
	case us == 0 && ttl > 0:
		return 1
	case us == 0 && ttl < 0:
		return -1
	default:
		return us
	}
}

// notNil: nil is no record, an empty value is one.
func notNil(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

// asAnswer turns what the database says of a record into the store's errors.
func asAnswer(kind store.Kind, key string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNotFound
	}
	if isDamaged(err) {
		return fmt.Errorf("%w: %s %q: %w", store.ErrCorrupt, kind, key, err)
	}
	return err
}

// isDamaged: the database found its own files damaged (class XX, internal
// errors: data_corrupted).
func isDamaged(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "XX001"
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, kind store.Kind, after string, limit int) ([]store.Record, error) {
	if err := store.CheckKind(ctx, kind); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = math.MaxInt32
	}
	var out []store.Record
	err := s.try(ctx, func(ctx context.Context, c *pgxpool.Conn, _ bool) error {
		rows, err := c.Query(ctx, listSQL, []byte(kind), []byte(after), limit)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Record, error) {
			var key, value []byte
			err := row.Scan(&key, &value)
			return store.Record{Key: string(key), Value: notNil(value)}, err
		})
		return err
	})
	if isDamaged(err) {
		return s.listWhole(ctx, kind, after, limit)
	}
	return out, err
}

// listWhole is List where a record cannot be read: one by one, so that the
// others can.
func (s *Store) listWhole(ctx context.Context, kind store.Kind, after string, limit int) ([]store.Record, error) {
	var out []store.Record
	var bad []error
	for len(out) < limit {
		var key []byte
		err := s.try(ctx, func(ctx context.Context, c *pgxpool.Conn, _ bool) error {
			return asAnswer(kind, after, c.QueryRow(ctx, nextSQL, []byte(kind), []byte(after)).Scan(&key))
		})
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		after = string(key)
		value, err := s.Get(ctx, kind, after)
		switch {
		case errors.Is(err, store.ErrCorrupt):
			bad = append(bad, err)
		case err == nil:
			out = append(out, store.Record{Key: after, Value: value})
		case !errors.Is(err, store.ErrNotFound): // gone since
			return nil, err
		}
	}
	return out, errors.Join(bad...)
}

const nextSQL = "select key from mcp_oauth2_proxy_records where kind = $1 and key > $2 and expires > clock_timestamp() order by key limit 1"
