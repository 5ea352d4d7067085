package gateway

import (
	"context"
	"errors"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// kindCatalogue is where the last good catalogue of a host lies.
const kindCatalogue store.Kind = "catalogue"

// snapshotLife is how long a catalogue outlives the last time its server
// answered.
const snapshotLife = 90 * 24 * time.Hour

// snapshots implements routing.Snapshots.
type snapshots struct{ store store.Store }

// Load implements routing.Snapshots.
func (s snapshots) Load(ctx context.Context, host string) ([]byte, error) {
	b, err := s.store.Get(ctx, kindCatalogue, host)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

// Save implements routing.Snapshots.
func (s snapshots) Save(ctx context.Context, host string, snapshot []byte) error {
	return s.store.Put(ctx, kindCatalogue, host, snapshot, snapshotLife)
}
