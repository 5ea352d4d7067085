//go:build e2e

package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"mcp-oauth2-proxy/auth/store"
)

// cutting ends half of the program's connections to the database, again and
// again, until the function it returns is called; that says how many it were.
func (d *database) cutting(t *testing.T) func() int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cut := make(chan int, 1)
	conn, err := pgx.Connect(ctx, d.url(""))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		n := 0
		for ctx.Err() == nil {
			var one int
			if err := conn.QueryRow(ctx, "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'mcp-oauth2-proxy' and random() < 0.5").Scan(&one); err == nil {
				n += one
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		_ = conn.Close(context.Background())
		cut <- n
	}()
	return func() int {
		cancel()
		return <-cut
	}
}

// TestPostgresWritesHappenOnce: where answers are lost on the way, a write that
// is acknowledged was carried out once, and none has to be given up.
func TestPostgresWritesHappenOnce(t *testing.T) {
	d := startPostgres(t)
	network := newLossy(t, d.addr, 30)
	network.sound.Store(true)
	s := openStore(t, strings.Replace(d.url(d.schema(t)), d.addr, network.addr, 1))
	network.sound.Store(false)
	n := some(400, 5000)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error {
			key := fmt.Sprint("key", i)
			if err := s.Create(t.Context(), "code", key, []byte(key), time.Hour); err != nil {
				return fmt.Errorf("create %s: %w", key, err)
			}
			if got, err := s.Take(t.Context(), "code", key); err != nil || string(got) != key {
				return fmt.Errorf("take %s: %q, %w", key, got, err)
			}
			if _, err := s.Take(t.Context(), "code", key); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("take %s twice: %w", key, err)
			}
			return s.Update(t.Context(), "counter", fmt.Sprint(i%7), func(old []byte) ([]byte, time.Duration, error) {
				var before uint64
				if old != nil {
					before = binary.BigEndian.Uint64(old)
				}
				return binary.BigEndian.AppendUint64(nil, before+1), 0, nil
			})
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	var sum uint64
	counters, err := s.List(t.Context(), "counter", "", 0)
	for _, c := range counters {
		sum += binary.BigEndian.Uint64(c.Value)
	}
	if err != nil || sum != uint64(n) {
		t.Errorf("%d updates were counted %d times, %v", n, sum, err)
	}
	lost := network.lost.Load()
	if lost < 10 {
		t.Errorf("%d answers were lost: it proves nothing", lost)
	}
	t.Logf("%d creations, takes and updates, %d answers lost", n, lost)
}

// TestPostgresWatchMissesNothing, whatever becomes of connections.
func TestPostgresWatchMissesNothing(t *testing.T) {
	d := startPostgres(t)
	url := d.url(d.schema(t))
	writer, reader := openStore(t, url), openStore(t, url)
	changes, err := reader.Watch(t.Context(), "revoked")
	if err != nil {
		t.Fatal(err)
	}
	stop := d.cutting(t)
	unseen := map[string]bool{}
	for i := range some(100, 2000) {
		key := fmt.Sprint("key", i)
		if err := writer.Put(t.Context(), "revoked", key, nil, 0); err != nil {
			t.Fatal(err)
		}
		unseen[key] = true
	}
	cut := stop()
	for late := time.After(patience); len(unseen) > 0; {
		select {
		case c := <-changes:
			if delete(unseen, c.Key); c.Key == "" {
				clear(unseen)
			}
		case <-late:
			t.Fatalf("%d changes are never reported", len(unseen))
		}
	}
	if err := writer.Put(t.Context(), "revoked", "after", nil, 0); err != nil {
		t.Fatal(err)
	}
	sees(t, changes, "after")
	t.Logf("%d connections cut", cut)
}

// sees waits for a change of the key, or of all of its kind.
func sees(t *testing.T, changes <-chan store.Change, key string) store.Change {
	t.Helper()
	for late := time.After(patience); ; {
		select {
		case c := <-changes:
			if c.Key == key || c.Key == "" {
				return c
			}
		case <-late:
			t.Fatalf("the change of %s is not reported", key)
		}
	}
}

// TestPostgresChangesWithoutNotice: what nobody rang for is found by the poll;
// so is what was numbered before something else and committed after it.
func TestPostgresChangesWithoutNotice(t *testing.T) {
	d := startPostgres(t)
	url := d.url(d.schema(t))
	s := openStore(t, url)
	changes, err := s.Watch(t.Context(), "revoked")
	if err != nil {
		t.Fatal(err)
	}
	note := func(tx pgx.Tx, key string) {
		t.Helper()
		if _, err := tx.Exec(t.Context(), "insert into mcp_oauth2_proxy_changes (op, kind, key) values (gen_random_uuid(), 'revoked', $1)", []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	begin := func() pgx.Tx {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	early, late := begin(), begin()
	note(early, "early")
	note(late, "late")
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	sees(t, changes, "late")
	if err := early.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	sees(t, changes, "early")
}

// TestPostgresThatLostItsPast: after a failover to a server that had not heard
// of the last writes, numbers begin again; watchers are told to read everything.
func TestPostgresThatLostItsPast(t *testing.T) {
	d := startPostgres(t)
	schema := d.schema(t)
	s := openStore(t, d.url(schema))
	changes, err := s.Watch(t.Context(), "revoked")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := s.Put(t.Context(), "revoked", fmt.Sprint("key", i), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	sees(t, changes, "key19")
	d.exec(t, "truncate "+schema+".mcp_oauth2_proxy_changes restart identity")
	d.exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mcp-oauth2-proxy'")
	for {
		if c := sees(t, changes, ""); c == (store.Change{Kind: "revoked"}) {
			break
		}
	}
	if err := s.Put(t.Context(), "revoked", "after", nil, 0); err != nil {
		t.Fatal(err)
	}
	sees(t, changes, "after")
}

// TestPostgresSweep: what has expired goes, what was taken goes when nobody can
// ask for it again, and the rest stays.
func TestPostgresSweep(t *testing.T) {
	d := startPostgres(t)
	schema := d.schema(t)
	s, other := openStore(t, d.url(schema)), openStore(t, d.url(schema))
	n := some(5000, 100_000)
	d.exec(t, fmt.Sprintf(`insert into %s.mcp_oauth2_proxy_records select 'family', n::text::bytea, 'x', now() - interval '2 minutes', gen_random_uuid() from generate_series(1, %d) n`, schema, n))
	for _, key := range []string{"stays", "taken"} {
		if err := s.Put(t.Context(), "code", key, nil, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Take(t.Context(), "code", "taken"); err != nil {
		t.Fatal(err)
	}
	var removed atomic.Int64
	var group errgroup.Group
	for _, replica := range []interface {
		Sweep(context.Context) (int, error)
	}{s, other} {
		group.Go(func() error {
			n, err := replica.Sweep(t.Context())
			removed.Add(int64(n))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	// The sweeps that run by themselves may have had their part in it.
	if left := d.count(t, schema); left != 2 {
		t.Errorf("%d records are left, and %d were removed; want what stays and what was taken just now", left, removed.Load())
	}
	d.exec(t, "update "+schema+".mcp_oauth2_proxy_changes set at = at - interval '1 hour'")
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := d.count(t, schema); left != 1 {
		t.Errorf("%d records are left, want one", left)
	}
}

func (d *database) count(t *testing.T, schema string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.url(schema))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(t.Context(), "select count(*) from mcp_oauth2_proxy_records").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPostgresDamage: a record that the database cannot read fails alone. The
// damage is made of a view in place of the table.
func TestPostgresDamage(t *testing.T) {
	d := startPostgres(t)
	schema := d.schema(t)
	s := openStore(t, d.url(schema))
	for _, key := range []string{"a", "b", "c"} {
		if err := s.Put(t.Context(), "code", key, []byte(key), 0); err != nil {
			t.Fatal(err)
		}
	}
	d.exec(t, strings.ReplaceAll(`
		alter table S.mcp_oauth2_proxy_records rename to whole;
		create function S.reads(key bytea, value bytea) returns bytea language plpgsql stable as $$
			begin if key = 'b' then raise 'invalid page' using errcode = 'data_corrupted'; end if; return value; end $$;
		create view S.mcp_oauth2_proxy_records as select kind, key, S.reads(key, value) as value, expires, version from S.whole`, "S.", schema+"."))
	if _, err := s.Get(t.Context(), "code", "b"); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), `code "b"`) {
		t.Errorf("the damaged record: %v", err)
	}
	got, err := s.List(t.Context(), "code", "", 10)
	if !errors.Is(err, store.ErrCorrupt) || len(got) != 2 || string(got[0].Value)+string(got[1].Value) != "ac" {
		t.Errorf("the list is %v, %v", got, err)
	}
}
