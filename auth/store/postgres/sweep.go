package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	sweepEvery = time.Minute
	sweepBatch = 2000 // records in one transaction

	// keepChanges is how long changes are kept for who polls, and what was
	// taken for who did not hear of it.
	keepChanges = 10 * time.Minute
)

const (
	sweepRecordsSQL = `delete from mcp_oauth2_proxy_records where (kind, key) in (
		select kind, key from mcp_oauth2_proxy_records r
		where expires < clock_timestamp() - interval '1 minute'
		and (expires > '-infinity' or not exists (select from mcp_oauth2_proxy_changes where op = r.version))
		limit $1 for update skip locked)`
	sweepChangesSQL = `delete from mcp_oauth2_proxy_changes where seq in (
		select seq from mcp_oauth2_proxy_changes where at < clock_timestamp() - $2::bigint * interval '1 microsecond' order by seq limit $1)`
)

// Sweep removes what has expired and what everybody has been told, if no other
// replica is at it, and returns how many records that were.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	total := 0
	for {
		n, more, err := s.sweepOnce(ctx)
		total += n
		if err != nil || !more {
			return total, err
		}
	}
}

func (s *Store) sweepOnce(ctx context.Context) (removed int, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock("+lockSweep+")").Scan(&mine); err != nil || !mine {
			return err
		}
		changes, err := tx.Exec(ctx, sweepChangesSQL, sweepBatch, keepChanges.Microseconds())
		if err != nil {
			return err
		}
		records, err := tx.Exec(ctx, sweepRecordsSQL, sweepBatch)
		if err != nil {
			return err
		}
		removed = int(records.RowsAffected())
		more = removed == sweepBatch || changes.RowsAffected() == sweepBatch
		return nil
	})
	if err != nil {
		return 0, false, failed(err)
	}
	return removed, more, nil
}

// sweepUntil sweeps now and then until ctx ends.
func (s *Store) sweepUntil(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "expired records were not removed", slog.Any("cause", err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
