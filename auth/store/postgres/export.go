package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"mcp-oauth2-proxy/auth/store"
)

const exportPage = 500

const exportSQL = `select key, value, case when expires = 'infinity' then 0
	else greatest(1, (extract(epoch from expires - clock_timestamp()) * 1000000)::bigint) end
	from mcp_oauth2_proxy_records where kind = $1 and key > $2 and expires > clock_timestamp() order by key limit $3`

// Export calls fn for every record, with what is left of its life; 0 is
// forever. It sees each record as it is when it comes to it.
func (s *Store) Export(ctx context.Context, fn func(kind store.Kind, r store.Record, ttl time.Duration) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return failed(err)
	}
	defer conn.Release()
	kinds, err := kindsOf(ctx, conn.Conn())
	if err != nil {
		return failed(fmt.Errorf("list the kinds of records: %w", err))
	}
	for _, kind := range kinds {
		for after := ""; ; {
			n, last, err := exportSome(ctx, conn.Conn(), kind, after, fn)
			if err != nil {
				return err
			}
			if n < exportPage {
				break
			}
			after = last
		}
	}
	return nil
}

func exportSome(ctx context.Context, conn *pgx.Conn, kind store.Kind, after string, fn func(store.Kind, store.Record, time.Duration) error) (n int, last string, err error) {
	rows, err := conn.Query(ctx, exportSQL, []byte(kind), []byte(after), exportPage)
	if err != nil {
		return 0, "", failed(err)
	}
	var key, value []byte
	var left int64
	_, err = pgx.ForEachRow(rows, []any{&key, &value, &left}, func() error {
		n, last = n+1, string(key)
		return fn(kind, store.Record{Key: last, Value: append([]byte{}, value...)}, time.Duration(left)*time.Microsecond)
	})
	return n, last, err
}
