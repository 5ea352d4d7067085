package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/jackc/pgx/v5"
)

// migrations bring the tables from each schema version to the next. What has
// shipped is not changed; a new version is a new entry. Each must leave the
// tables usable for the version before, for replicas are replaced one by one.
var migrations = []string{
	// A record that was taken lies in the past of every clock until it is
	// swept: -infinity. version is the op that wrote it last. changes is what
	// Watch reads, and how a write whose answer was lost is found again: op is
	// unique, so no write is carried out twice.
	`create table mcp_oauth2_proxy_records (
		kind bytea not null, key bytea not null, value bytea not null,
		expires timestamptz not null, version uuid not null,
		primary key (kind, key));
	create index mcp_oauth2_proxy_records_expires on mcp_oauth2_proxy_records (expires) where expires < 'infinity';
	create table mcp_oauth2_proxy_changes (
		seq bigint generated always as identity primary key,
		op uuid not null, kind bytea not null, key bytea not null,
		at timestamptz not null default clock_timestamp(),
		constraint mcp_oauth2_proxy_changes_op unique (op));`,
}

// Keys of the advisory locks; the second half is the schema, so that two
// gateways may share a database.
const (
	lockMigrate = "hashtext('mcp-oauth2-proxy migrate'), hashtext(current_schema())"
	lockSweep   = "hashtext('mcp-oauth2-proxy sweep'), hashtext(current_schema())"
)

// migrate makes the tables or brings them up to date, one replica at a time. A
// schema that is newer than this program is refused: what it means is unknown.
func migrate(ctx context.Context, conn *pgx.Conn) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, sql := range []string{
			"set local statement_timeout = 0",
			"set local idle_in_transaction_session_timeout = 0",
			"select pg_advisory_xact_lock(" + lockMigrate + ")",
			"create table if not exists mcp_oauth2_proxy_meta (schema int not null)",
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		var version int
		if err := tx.QueryRow(ctx, "select coalesce(max(schema), 0) from mcp_oauth2_proxy_meta").Scan(&version); err != nil {
			return err
		}
		switch {
		case version > len(migrations):
			return &newer{version}
		case version == len(migrations):
			return nil
		}
		for _, sql := range migrations[version:] {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "with old as (delete from mcp_oauth2_proxy_meta) insert into mcp_oauth2_proxy_meta values ($1)", len(migrations))
		return err
	})
	if n, ok := errors.AsType[*newer](err); ok {
		return n // alone: what was being done is of no interest
	}
	if err != nil {
		return failed(fmt.Errorf("prepare the database's tables: %w", err))
	}
	return nil
}

type newer struct{ version int }

func (n *newer) Error() string {
	return fmt.Sprintf("the database was written by a newer version of this program (its schema is %d, %d is the newest known here): run that version, or restore a backup", n.version, len(migrations))
}

// channelOf names the channel of everybody on the same tables.
func channelOf(ctx context.Context, conn *pgx.Conn) (string, error) {
	var schema string
	if err := conn.QueryRow(ctx, "select coalesce(current_schema(), '')").Scan(&schema); err != nil {
		return "", err
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(schema))
	return fmt.Sprintf("mcp_oauth2_proxy_%x", h.Sum64()), nil
}
