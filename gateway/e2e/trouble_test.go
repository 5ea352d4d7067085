//go:build e2e

package e2e

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// storeKey is a change of a cluster's configuration.
func storeKey(key, value string) func(settings) {
	return func(s settings) { s["store"].(settings)[key] = value }
}

// TestDatabaseThatComesLate: whoever starts first waits, says for what, and ends
// when that takes too long.
func TestDatabaseThatComesLate(t *testing.T) {
	d := startPostgres(t)
	url := d.url(d.schema(t))
	d.stop(t, os.Interrupt)
	c := &cluster{host: freeAddr(t), upstream: startClusterUpstream(t), provider: idptest.New(t)}
	t.Run("it is waited for", func(t *testing.T) {
		r := c.newReplica(t, 0, url, nil)
		r.begin(t)
		r.says(t, `the store does not answer yet.*trying_for`)
		d.start(t)
		r.ready(t)
		r.stop(t, os.Interrupt)
		d.stop(t, os.Interrupt)
	})
	t.Run("but not for ever", func(t *testing.T) {
		r := c.newReplica(t, 0, url, []func(settings){storeKey("connectTimeout", "2s")})
		r.begin(t)
		r.wait(t)
		if r.err == nil || !strings.Contains(r.out.String(), "store.url: no answer within store.connectTimeout, 2s") {
			t.Errorf("it ends with %v", r.err)
		}
	})
}

// TestDatabaseThatIsRefused: what waiting does not mend is said at once.
func TestDatabaseThatIsRefused(t *testing.T) {
	d := startPostgres(t)
	c := &cluster{host: freeAddr(t), upstream: startClusterUpstream(t), provider: idptest.New(t)}
	schema := d.schema(t)
	first := c.newReplica(t, 0, d.url(schema), nil)
	first.up(t)
	first.stop(t, os.Interrupt)
	d.exec(t, "update "+schema+".mcp_oauth2_proxy_meta set schema = schema + 1")
	for name, tc := range map[string]struct{ url, says string }{
		"a newer schema":     {d.url(schema), "was written by a newer version of this program"},
		"no such database":   {strings.TrimSuffix(d.url(""), "/postgres") + "/nowhere", `database \"nowhere\" does not exist`},
		"nowhere for tables": {d.url("nowhere"), "no schema has been selected"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.newReplica(t, 0, tc.url, nil)
			began := time.Now()
			r.begin(t)
			r.wait(t)
			said := strings.ReplaceAll(r.out.String(), `"nowhere"`, `\"nowhere\"`)
			if r.err == nil || !strings.Contains(said, tc.says) || time.Since(began) > 20*time.Second {
				t.Errorf("it ends with %v after %v and says\n%s", r.err, time.Since(began), said)
			}
		})
	}
}

// TestDatabaseThatGoesAway: calls that are authorized already go on for
// store.staleAfter, and are 503 then, never 401; whatever needs the store is
// 503 at once; and all is as before when it is back.
func TestDatabaseThatGoesAway(t *testing.T) {
	d := startPostgres(t)
	c := newCluster(t, 2, d.url(d.schema(t)), storeKey("staleAfter", "4s"))
	var tr trouble
	p := c.person(t, "ada", &tr)
	got, err := p.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.stop(t, os.Interrupt)
	gone := time.Now()
	for range 4 { // on both replicas
		p.expects(t, p.calling(t, got.Access), http.StatusOK)
	}
	p.expects(t, p.get(t, "/account"), http.StatusServiceUnavailable)
	p.expects(t, p.posting(t, "/token", "grant_type=refresh_token&client_id="+p.clientID+"&refresh_token="+got.Refresh), http.StatusServiceUnavailable)
	p.expects(t, p.posting(t, "/revoke", "client_id="+p.clientID+"&token="+got.Refresh), http.StatusServiceUnavailable)
	stale := p.awaits(t, p.calling(t, got.Access), http.StatusServiceUnavailable)
	if after := stale.Sub(gone); after < 3*time.Second {
		t.Errorf("calls end %v after the database, with a staleAfter of 4s", after)
	}
	if said := body(t, "http://"+c.replicas[0].admin+"/readyz"); !strings.Contains(said, `"store":"does not answer"`) {
		t.Errorf("/readyz says %s", said)
	}
	d.start(t)
	p.awaits(t, p.calling(t, got.Access), http.StatusOK)
	next, a, err := p.refresh(t.Context(), got.Refresh)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("the session is lost: %v, %v", a, err)
	}
	if status, err := p.call(t.Context(), next.Access); err != nil || status != http.StatusOK {
		t.Errorf("the new token is answered %d, %v", status, err)
	}
	if tr.wordless.Load() > 0 {
		t.Errorf("%d answers were 503 without Retry-After", tr.wordless.Load())
	}
}

// body is what a URL answers with 200.
func body(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return string(text)
}

// TestDatabaseThatIsSlow: a statement that takes too long is given up, and
// nobody else waits for it.
func TestDatabaseThatIsSlow(t *testing.T) {
	d := startPostgres(t)
	schema := d.schema(t)
	c := newCluster(t, 1, d.url(schema))
	var tr trouble
	p := c.person(t, "ada", &tr)
	got, err := p.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), d.url(schema))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "begin; lock table mcp_oauth2_proxy_records in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.expects(t, p.get(t, "/account"), http.StatusServiceUnavailable)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	p.expects(t, p.calling(t, got.Access), http.StatusOK)
	if _, err := conn.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.session(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCorruptRecordFailsAlone: what cannot be read is named in the log, and
// nobody else is the worse for it.
func TestCorruptRecordFailsAlone(t *testing.T) {
	d := startPostgres(t)
	schema := d.schema(t)
	c := newCluster(t, 1, d.url(schema))
	var tr trouble
	ada, ben := c.person(t, "ada", &tr), c.person(t, "ben", &tr)
	adas, err := ada.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bens, err := ben.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.exec(t, "update "+schema+`.mcp_oauth2_proxy_records set value = '{"half a rec' where kind = 'family' and position('ada@example.com'::bytea in value) > 0`)
	ada.expects(t, ada.posting(t, "/token", "grant_type=refresh_token&client_id="+ada.clientID+"&refresh_token="+adas.Refresh), http.StatusServiceUnavailable)
	id := c.replicas[0].says(t, `record cannot be read: family \\"([\w-]+)\\"`)[1]
	if _, a, err := ben.refresh(t.Context(), bens.Refresh); err != nil || a.status != http.StatusOK {
		t.Errorf("somebody else is answered %v, %v", a, err)
	}
	if list := c.replicas[0].command(t, "connections"); !strings.Contains(list, "ben") || strings.Contains(list, "ada") {
		t.Errorf("connections lists\n%s", list)
	}
	if _, err := ada.session(t.Context()); err != nil {
		t.Errorf("whose record it was cannot begin anew: %v", err)
	}
	if said := c.replicas[0].command(t, "revoke", "--grant", id); said != "1 grants ended\n" {
		t.Errorf("revoke says %s", said)
	}
	ada.expects(t, ada.calling(t, adas.Access), http.StatusUnauthorized)
}
