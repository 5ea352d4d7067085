//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// uses gives the next process of a replica another store.
func (r *replica) uses(t *testing.T, url string) {
	t.Helper()
	var conf settings
	if err := json.Unmarshal(slurp(t, r.config), &conf); err != nil {
		t.Fatal(err)
	}
	conf["store"] = settings{"url": url}
	text, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBackupAndMoves: what a backup holds works in its place, and what moves to
// PostgreSQL and back works there: sessions, access tokens, everything.
func TestBackupAndMoves(t *testing.T) {
	dir := t.TempDir()
	file, copied := filepath.Join(dir, "state.db"), filepath.Join(dir, "copy.db")
	c := newCluster(t, 1, "bolt://"+file)
	r := c.replicas[0]
	var tr trouble
	ada, ben := c.person(t, "ada", &tr), c.person(t, "ben", &tr)
	adas, err := ada.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.command(t, "backup", copied)
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("the backup is %v, %v", info, err)
	}
	bens, err := ben.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fails(t, []string{"migrate-store", "bolt://" + file, "bolt://" + copied}, 1, "in use by another process")
	r.stop(t, os.Interrupt)

	// The backup knows Ada, and not yet Ben.
	r.uses(t, "bolt://"+copied)
	r.up(t)
	adas = ada.goesOn(t, adas)
	if _, a, err := ben.refresh(t.Context(), bens.Refresh); err != nil || a.status != 400 {
		t.Errorf("what came after the backup is answered %v, %v", a, err)
	}
	r.stop(t, os.Interrupt)

	d := startPostgres(t)
	to, back := d.url(d.schema(t)), "bolt://"+filepath.Join(dir, "back.db")
	migrate(t, "bolt://"+copied, to)
	fails(t, []string{"migrate-store", "bolt://" + copied, to}, 1, "TO: it holds records already")
	r.uses(t, to)
	r.up(t)
	adas = ada.goesOn(t, adas)
	out, err := exec.Command(must(t, product), "backup", copied, "--config", r.config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "pg_dump") {
		t.Errorf("a backup of PostgreSQL: %v, %s", err, out)
	}
	r.stop(t, os.Interrupt)
	migrate(t, to, back)
	r.uses(t, back)
	r.up(t)
	ada.goesOn(t, adas)
	fails(t, []string{"migrate-store", back}, 2, "FROM and TO")
	fails(t, []string{"migrate-store", "memory:", back}, 1, "memory: does not outlive its process")
}

// goesOn: the access token from before is good, and so is the refresh token.
func (p *person) goesOn(t *testing.T, got tokens) tokens {
	t.Helper()
	if status, err := p.call(t.Context(), got.Access); err != nil || status != 200 {
		t.Errorf("the access token from before is answered %d, %v", status, err)
	}
	next, a, err := p.refresh(t.Context(), got.Refresh)
	if err != nil || a.status != 200 {
		t.Errorf("the session is lost: %v, %v", a, err)
	}
	return next
}

func migrate(t *testing.T, from, to string) {
	t.Helper()
	out, err := exec.Command(must(t, product), "migrate-store", from, to).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "records copied") {
		t.Fatalf("migrate-store: %v\n%s", err, out)
	}
}

// fails: a command ends with the exit code and says the words, in one line.
func fails(t *testing.T, args []string, code int, words string) {
	t.Helper()
	out, err := exec.Command(must(t, product), args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code || !strings.Contains(string(out), words) || strings.Count(string(out), "\n") != 1 {
		t.Errorf("%s: %v\n%s", args[0], err, out)
	}
}
