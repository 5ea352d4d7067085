package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	neturl "net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"mcp-oauth2-proxy/auth/store"
)

// The time limits. A person waits behind every one of them.
const (
	connectLimit   = 2 * time.Second
	statementLimit = 3 * time.Second // the server gives up
	answerLimit    = 4 * time.Second // we do, if the server does not answer at all
	migrationLimit = 5 * time.Minute

	// patience is how long a verb tries to get through: a database that is
	// restarted is a delay, not an error.
	patience = 5 * time.Second
	maxPause = 250 * time.Millisecond

	connections = 16 // unless the URL says otherwise
)

// configure reads the URL, and adds what it does not say.
func configure(url string) (*pgxpool.Config, error) {
	if _, err := neturl.Parse(url); err != nil { // not shown: it repeats the password
		return nil, errors.New("is not a URL such as postgres://user@host/database")
	}
	c, err := pgxpool.ParseConfig(url)
	if err != nil { // pgx leaves the password out, where it can tell it from the rest
		return nil, fmt.Errorf("read the database's URL: %w", err)
	}
	switch mode := c.ConnConfig.DefaultQueryExecMode; mode {
	case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol:
		// They have pgx guess the types of parameters, and it knows none for an op.
		return nil, fmt.Errorf("default_query_exec_mode: %q does not ask the database for types, which is needed here; leave it out", mode)
	}
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = connectLimit
	}
	if !strings.Contains(url, "pool_max_conns") {
		c.MaxConns = connections
	}
	for name, value := range map[string]string{
		"application_name":                    "mcp-oauth2-proxy",
		"statement_timeout":                   fmt.Sprint(statementLimit.Milliseconds()),
		"idle_in_transaction_session_timeout": "10000",
	} {
		if _, given := c.ConnConfig.RuntimeParams[name]; !given {
			c.ConnConfig.RuntimeParams[name] = value
		}
	}
	return c, nil
}

// CheckURL says what is wrong with a database's URL, without connecting.
func CheckURL(url string) error {
	_, err := configure(url)
	return err
}

// try calls fn with a connection until the database has answered, for as long
// as that is bearable. fn is told if it was called before: its statement may
// have been carried out then, though the answer was lost.
func (s *Store) try(ctx context.Context, fn func(ctx context.Context, c *pgxpool.Conn, again bool) error) error {
	began, pause := time.Now(), 10*time.Millisecond
	for again := false; ; again = true {
		err := s.once(ctx, again, fn)
		if err == nil || isAnswer(err) {
			s.down.Store(0)
			return err
		}
		switch {
		case s.closed.Load():
			return store.ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case !passes(err) || time.Since(s.downSince(began)) > patience:
			return failed(err)
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, maxPause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// downSince is since when the database does not answer anybody here. Whoever
// comes later than patience after that is not made to wait.
func (s *Store) downSince(began time.Time) time.Time {
	s.down.CompareAndSwap(0, max(1, int64(began.Sub(s.opened))))
	return s.opened.Add(time.Duration(s.down.Load()))
}

// once lets fn have a connection. What it has begun goes on though the caller
// leaves: to break a statement off costs the connection, and its outcome.
func (s *Store) once(ctx context.Context, again bool, fn func(context.Context, *pgxpool.Conn, bool) error) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	acquiring, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	conn, err := s.pool.Acquire(acquiring)
	if err != nil {
		return err
	}
	defer conn.Release()
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
	defer cancel()
	return fn(asking, conn, again)
}

// isAnswer tells what the store means by an error from what went wrong.
func isAnswer(err error) bool {
	for _, answer := range []error{store.ErrNotFound, store.ErrExists, store.ErrCorrupt, errChanged} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// passes tells whether an error may be over the next time (PostgreSQL, appendix
// A). A statement that took too long is not tried again: that would help
// nobody.
func passes(err error) bool {
	var connect *pgconn.ConnectError
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch class := pg.Code[:2]; {
		case class == "08", class == "40", class == "53" && pg.Code != "53100": // connection, rollback, resources but the disk
			return true
		case pg.Code == "57P01", pg.Code == "57P02", pg.Code == "57P03", pg.Code == "57P05": // shutdown, crash, start, idle
			return true
		case pg.Code == "25006", pg.Code == "26000": // a standby takes over; a pooler lost a prepared statement
			return true
		}
		return false
	}
	if errors.As(err, &connect) {
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) || pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "conn closed")
}

// oneLine is an error whose text has no line breaks: pgx lists the addresses
// it tried.
type oneLine struct{ error }

func (e oneLine) Error() string {
	return strings.Join(strings.FieldsFunc(e.error.Error(), func(r rune) bool { return r == '\n' || r == '\t' }), " ")
}

func (e oneLine) Unwrap() error { return e.error }

// failed is what callers see of an error of the database. What waiting does not
// mend, such as a wrong password, is no ErrUnavailable when opening.
func failed(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code[:2] {
		case "28", "3D", "3F", "42": // password, database, schema, missing rights
			return err
		}
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
