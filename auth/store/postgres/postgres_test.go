package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"mcp-oauth2-proxy/auth/store"
)

// What needs a database is tested in gateway/e2e, the contract of all engines
// included.

func TestConfigure_adds_what_the_URL_does_not_say(t *testing.T) {
	c, err := configure("postgres://ada@db.example.com/state?statement_timeout=900&connect_timeout=7")
	if err != nil {
		t.Fatal(err)
	}
	params := c.ConnConfig.RuntimeParams
	if params["statement_timeout"] != "900" || params["application_name"] != "mcp-oauth2-proxy" || c.ConnConfig.ConnectTimeout != 7*time.Second || c.MaxConns != connections {
		t.Errorf("got %v, %v, %d", params, c.ConnConfig.ConnectTimeout, c.MaxConns)
	}
	if c, err = configure("postgres://db/state?pool_max_conns=3"); err != nil || c.MaxConns != 3 || c.ConnConfig.ConnectTimeout != connectLimit {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestCheckURL_never_shows_a_password(t *testing.T) {
	for _, url := range []string{
		"postgres://ada:s3cret word@db/state", "postgres://ada:s3cret@db/state?sslmode=sometimes", "postgres://ada:s3cret%zz@db/state",
		"postgres://ada:s3cret@db:port/state", "postgres://ada@db/state?password=s3cret&sslmode=sometimes", "postgres://ada:s3cret@[::1/state",
	} {
		err := CheckURL(url)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestCheckURL_refuses_modes_that_cannot_work(t *testing.T) {
	for mode, works := range map[string]bool{"exec": false, "simple_protocol": false, "describe_exec": true, "cache_statement": true} {
		err := CheckURL("postgres://ada@db/state?default_query_exec_mode=" + mode)
		if (err == nil) != works || err != nil && !strings.Contains(err.Error(), "default_query_exec_mode") {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

func TestPlace_asks_again_for_numbers_that_were_not_there(t *testing.T) {
	now := time.Now()
	p := place{last: 10, gaps: map[int64]time.Time{}}
	p.pass([]int64{14, 11}, now)
	if gaps := slices.Sorted(maps.Keys(p.gaps)); p.last != 14 || !slices.Equal(gaps, []int64{12, 13}) {
		t.Errorf("at %d without %v", p.last, gaps)
	}
	p.pass([]int64{13}, now)
	if gaps := slices.Sorted(maps.Keys(p.gaps)); p.last != 14 || !slices.Equal(gaps, []int64{12}) {
		t.Errorf("at %d without %v", p.last, gaps)
	}
	p.pass([]int64{1_000_000}, now)
	if p.last != 1_000_000 || len(p.gaps) > maxGaps {
		t.Errorf("at %d without %d", p.last, len(p.gaps))
	}
}

func TestMicros_never_makes_a_short_life_endless(t *testing.T) {
	for ttl, want := range map[time.Duration]int64{
		0: 0, 1: 1, -1: -1, 999: 1, time.Second: 1_000_000, math.MaxInt64: math.MaxInt64 / 1000, math.MinInt64: math.MinInt64 / 1000,
	} {
		if got := micros(ttl); got != want {
			t.Errorf("%d ns are %d µs, want %d", ttl, got, want)
		}
	}
}

func TestErrors_are_tried_again_where_waiting_helps(t *testing.T) {
	pg := func(code string) error { return fmt.Errorf("ask: %w", &pgconn.PgError{Code: code}) }
	for name, row := range map[string]struct {
		err               error
		passes, available bool
	}{
		"the server is stopped":         {pg("57P01"), true, false},
		"the server crashed":            {pg("57P02"), true, false},
		"the server starts":             {pg("57P03"), true, false},
		"too many connections":          {pg("53300"), true, false},
		"a deadlock":                    {pg("40P01"), true, false},
		"a standby":                     {pg("25006"), true, false},
		"the connection broke":          {io.ErrUnexpectedEOF, true, false},
		"the disk is full":              {pg("53100"), false, false},
		"a statement took too long":     {pg("57014"), false, false},
		"no answer in time":             {context.DeadlineExceeded, false, false},
		"a wrong password":              {pg("28P01"), false, true},
		"no such database":              {pg("3D000"), false, true},
		"a right is missing":            {pg("42501"), false, true},
		"something of which we know no": {pg("XX000"), false, false},
	} {
		if got := passes(row.err); got != row.passes {
			t.Errorf("%s: it is tried again: %t", name, got)
		}
		if got := !errors.Is(failed(row.err), store.ErrUnavailable); got != row.available {
			t.Errorf("%s: %v", name, failed(row.err))
		}
	}
}

func TestOneLine(t *testing.T) {
	err := oneLine{errors.Join(errors.New("failed to connect"), store.ErrUnavailable)}
	if err.Error() != "failed to connect store is unavailable" || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%q", err)
	}
}
