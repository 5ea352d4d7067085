package postgres

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"mcp-oauth2-proxy/auth/store"
)

// Every write is one statement that commits by itself and notes its change; one
// that finds nothing to do notes none. $1 and $2 are kind and key, $3 the op.
const (
	noteChange = "insert into mcp_oauth2_proxy_changes (kind, key, op) select $1, $2, $3 from w"
	expiresAt  = "case when $5::bigint = 0 then 'infinity' else clock_timestamp() + $5::bigint * interval '1 microsecond' end"
	isHere     = "kind = $1 and key = $2 and expires > clock_timestamp()"

	insertSQL = "insert into mcp_oauth2_proxy_records as r (kind, key, version, value, expires) values ($1, $2, $3, $4, " + expiresAt + ")" +
		" on conflict (kind, key) do update set version = excluded.version, value = excluded.value, expires = excluded.expires"

	getSQL    = "select value, version from mcp_oauth2_proxy_records where " + isHere
	putSQL    = "with w as (" + insertSQL + " returning 1) " + noteChange
	createSQL = "with w as (" + insertSQL + " where r.expires <= clock_timestamp() returning 1) " + noteChange
	deleteSQL = "with w as (delete from mcp_oauth2_proxy_records where kind = $1 and key = $2 returning 1) " + noteChange
	swapSQL   = "with w as (update mcp_oauth2_proxy_records set version = $3, value = $4, expires = " + expiresAt +
		" where " + isHere + " and version = $6 returning 1) " + noteChange
	removeSQL = "with w as (delete from mcp_oauth2_proxy_records where " + isHere + " and version = $4 returning 1) " + noteChange

	// What is taken is kept for who took it and did not hear of it.
	takeSQL = "with w as (update mcp_oauth2_proxy_records set version = $3, expires = '-infinity' where " + isHere +
		" returning value), noted as (" + noteChange + ") select value from w"
	takenSQL = "select value from mcp_oauth2_proxy_records where kind = $1 and key = $2 and version = $3 and expires = '-infinity'"
	doneSQL  = "select exists (select from mcp_oauth2_proxy_changes where op = $1)"

	listSQL = "select key, value from mcp_oauth2_proxy_records where kind = $1 and key > $2 and expires > clock_timestamp() order by key limit $3"
)

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	if err := store.Check(ctx, kind, key); err != nil {
		return nil, err
	}
	value, _, err := s.read(ctx, kind, key)
	return value, err
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	if err := check(ctx, kind, key, value); err != nil {
		return err
	}
	_, err := s.write(ctx, putSQL, kind, key, notNil(value), micros(ttl))
	return err
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	if err := check(ctx, kind, key, value); err != nil {
		return err
	}
	did, err := s.write(ctx, createSQL, kind, key, notNil(value), micros(ttl))
	if err == nil && !did {
		err = store.ErrExists
	}
	return err
}

// Take implements store.Store.
func (s *Store) Take(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	if err := store.Check(ctx, kind, key); err != nil {
		return nil, err
	}
	var value []byte
	op := newOp()
	err := s.try(ctx, func(ctx context.Context, c *pgxpool.Conn, again bool) error {
		err := c.QueryRow(ctx, takeSQL, []byte(kind), []byte(key), op).Scan(&value)
		if again && (errors.Is(err, pgx.ErrNoRows) || isRepeated(err)) {
			err = c.QueryRow(ctx, takenSQL, []byte(kind), []byte(key), op).Scan(&value)
		}
		return asAnswer(kind, key, err)
	})
	if err != nil {
		return nil, err
	}
	s.told()
	return notNil(value), nil
}

// errChanged says that a record is not what Update has seen.
var errChanged = errors.New("record changed")

// Update implements store.Store. Of the callers here one at a time tries, or
// they would keep each other from succeeding.
func (s *Store) Update(ctx context.Context, kind store.Kind, key string, fn func(old []byte) ([]byte, time.Duration, error)) error {
	if err := store.Check(ctx, kind, key); err != nil {
		return err
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(kind) + "\x00" + key))
	turn := s.stripes[h.Sum32()%uint32(len(s.stripes))]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		err := s.swap(ctx, kind, key, fn)
		if !errors.Is(err, errChanged) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (s *Store) swap(ctx context.Context, kind store.Kind, key string, fn func(old []byte) ([]byte, time.Duration, error)) error {
	old, version, err := s.read(ctx, kind, key)
	existed := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	value, ttl, err := fn(old)
	if err != nil {
		return err
	}
	if err := store.CheckValue(kind, value); err != nil {
		return err
	}
	var did bool
	switch {
	case existed && value != nil:
		did, err = s.write(ctx, swapSQL, kind, key, value, micros(ttl), version)
	case existed:
		did, err = s.write(ctx, removeSQL, kind, key, version)
	case value != nil:
		did, err = s.write(ctx, createSQL, kind, key, value, micros(ttl))
	default:
		return nil
	}
	if err == nil && !did {
		err = errChanged
	}
	return err
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, kind store.Kind, key string) error {
	if err := store.Check(ctx, kind, key); err != nil {
		return err
	}
	_, err := s.write(ctx, deleteSQL, kind, key)
	return err
}

// write carries a statement out once, and says whether it did anything.
func (s *Store) write(ctx context.Context, sql string, kind store.Kind, key string, args ...any) (bool, error) {
	op, did := newOp(), false
	err := s.try(ctx, func(ctx context.Context, c *pgxpool.Conn, again bool) error {
		tag, err := c.Exec(ctx, sql, append([]any{[]byte(kind), []byte(key), op}, args...)...)
		did = tag.RowsAffected() > 0
		if again && (err == nil && !did || isRepeated(err)) {
			err = c.QueryRow(ctx, doneSQL, op).Scan(&did)
		}
		return asAnswer(kind, key, err)
	})
	if err == nil && did {
		s.told()
	}
	return did, err
}

// isRepeated says that the same write had been carried out before.
func isRepeated(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23505" && pg.ConstraintName == "mcp_oauth2_proxy_changes_op"
}

func (s *Store) read(ctx context.Context, kind store.Kind, key string) (value []byte, version op, err error) {
	err = s.try(ctx, func(ctx context.Context, c *pgxpool.Conn, _ bool) error {
		return asAnswer(kind, key, c.QueryRow(ctx, getSQL, []byte(kind), []byte(key)).Scan(&value, &version))
	})
	if err != nil {
		return nil, op{}, err
	}
	return notNil(value), version, nil
}

func check(ctx context.Context, kind store.Kind, key string, value []byte) error {
	if err := store.Check(ctx, kind, key); err != nil {
		return err
	}
	return store.CheckValue(kind, value)
}
