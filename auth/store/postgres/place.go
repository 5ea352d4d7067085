package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"mcp-oauth2-proxy/auth/store"
)

const (
	pollPage = 1000

	// A number is given when a write begins, and seen when it commits: a lower
	// one may appear after a higher one. Numbers that are missing are asked for
	// again, for longer than a statement may take; those of writes that failed
	// never appear.
	gapLife = 30 * time.Second
	maxGaps = 2000
)

// A place is how far in the changes somebody has read.
type place struct {
	last int64
	gaps map[int64]time.Time // numbers below last that were not there, and when that was found
	left bool                // somebody has begun to follow from here
}

// start is the place from which everything that commits from now on is seen:
// what is being written may have a number already.
func (p *place) start(ctx context.Context, conn *pgx.Conn) error {
	p.gaps = map[int64]time.Time{}
	rows, err := conn.Query(ctx, `with place as (select case when is_called then last_value else 0 end as last from mcp_oauth2_proxy_changes_seq_seq)
		select n from place, generate_series(greatest(last - 500, 1), last) n
		where not exists (select from mcp_oauth2_proxy_changes where seq = n)
		union all select -last from place`)
	if err != nil {
		return err
	}
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	now := time.Now()
	for _, n := range numbers {
		if n > 0 {
			p.gaps[n] = now
		} else {
			p.last = -n
		}
	}
	return err
}

// next reads a page of changes and moves on.
func (p *place) next(ctx context.Context, conn *pgx.Conn) ([]store.Change, error) {
	now := time.Now()
	maps.DeleteFunc(p.gaps, func(_ int64, found time.Time) bool { return now.Sub(found) > gapLife })
	rows, err := conn.Query(ctx, `(select seq, kind, key from mcp_oauth2_proxy_changes where seq > $1 order by seq limit $3)
		union all select seq, kind, key from mcp_oauth2_proxy_changes where seq = any($2)`, p.last, slices.Collect(maps.Keys(p.gaps)), pollPage)
	if err != nil {
		return nil, err
	}
	var seq int64
	var kind, key []byte
	var seen []int64
	var out []store.Change
	if _, err := pgx.ForEachRow(rows, []any{&seq, &kind, &key}, func() error {
		seen = append(seen, seq)
		out = append(out, store.Change{Kind: store.Kind(kind), Key: string(key)})
		return nil
	}); err != nil {
		return nil, err
	}
	p.pass(seen, now)
	return out, nil
}

// pass notes what was seen, and what was missing in between.
func (p *place) pass(seen []int64, now time.Time) {
	slices.Sort(seen)
	for _, n := range seen {
		for missing := max(p.last+1, n-maxGaps); missing < n && len(p.gaps) < maxGaps; missing++ {
			p.gaps[missing] = now
		}
		delete(p.gaps, n)
		p.last = max(p.last, n)
	}
}
