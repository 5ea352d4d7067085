//go:build e2e

package e2e

import (
	"fmt"
	"sync/atomic"
	"testing"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/postgres"
	"mcp-oauth2-proxy/auth/store/storetest"
)

var schemas atomic.Int64

// schema makes an empty place for a program's tables.
func (d *database) schema(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("s%d", schemas.Add(1))
	d.exec(t, "create schema "+name)
	return name
}

func openStore(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestPostgresStore holds the engine to the contract that all engines pass.
func TestPostgresStore(t *testing.T) {
	d := startPostgres(t)
	storetest.Run(t, func(t *testing.T) store.Store { return openStore(t, d.url(d.schema(t))) })
}

// TestPostgresReplicas holds every verb of one and every report to another.
func TestPostgresReplicas(t *testing.T) {
	d := startPostgres(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		url := d.url(d.schema(t))
		return &alternating{[]store.Store{openStore(t, url), openStore(t, url), openStore(t, url)}, new(atomic.Int64)}
	})
}
