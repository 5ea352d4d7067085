//go:build e2e

package e2e

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A database is a PostgreSQL of this test's own. It can be stopped and started
// again.
type database struct {
	*process
	addr, dir string
}

// postgresBin is where Debian keeps the programs of PostgreSQL.
var postgresBin = sync.OnceValues(func() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err == nil && len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("PostgreSQL is needed (Debian's package postgresql): %w", err)
	}
	return filepath.Dir(path), nil
})

func startPostgres(t *testing.T) *database {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg-") //nolint:usetesting // postgres must be able to enter the folders above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &database{addr: freeAddr(t), dir: filepath.Join(dir, "data")}
	if id := postgresUser(t); id != nil {
		if err := os.Chown(dir, int(id.Uid), int(id.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := d.command(t, "initdb", "-D", d.dir, "-U", "postgres", "-A", "trust", "-N", "--no-instructions", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	d.start(t)
	return d
}

// command runs a program of PostgreSQL, which refuses to be root's.
func (d *database) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(must(t, postgresBin), name), args...)
	cmd.Dir = filepath.Dir(d.dir)
	if id := postgresUser(t); id != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: id}
	}
	return cmd
}

// postgresUser is nil where we are not root and may be ourselves.
func postgresUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		t.Fatalf("the user postgres is %s:%s", u.Uid, u.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (d *database) start(t *testing.T) {
	t.Helper()
	d.process = start(t, d.command(t, "postgres", "-D", d.dir, "-p", port(t, d.addr), "-k", filepath.Dir(d.dir),
		"-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"))
	d.until(t, func() error {
		conn, err := pgx.Connect(t.Context(), d.url(""))
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	})
}

// url is for a program, whose tables go into the schema.
func (d *database) url(schema string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: d.addr, Path: "/postgres"}
	if schema != "" {
		u.RawQuery = url.Values{"search_path": {schema}}.Encode()
	}
	return u.String()
}

// exec carries statements out, as an administrator.
func (d *database) exec(t testing.TB, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.url(""))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
