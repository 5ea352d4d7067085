package gateway

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"io"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// kindCatalogue is where the last good catalogue of a host lies.
const kindCatalogue store.Kind = "catalogue"

// snapshotLife is how long a catalogue outlives the last time its server
// answered.
const snapshotLife = 90 * 24 * time.Hour

// maxSnapshot bounds what a record can make us read; we wrote it ourselves.
const maxSnapshot = 16 << 20

// snapshots implements routing.Snapshots. They are deflated: the schemas of
// tools repeat themselves, and a record may have store.MaxValue bytes only.
type snapshots struct{ store store.Store }

// Load implements routing.Snapshots.
func (s snapshots) Load(ctx context.Context, host string) ([]byte, error) {
	b, err := s.store.Get(ctx, kindCatalogue, host)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil || len(b) > 0 && b[0] == '{' { // written before they were deflated
		return b, err
	}
	return io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), maxSnapshot))
}

// Save implements routing.Snapshots.
func (s snapshots) Save(ctx context.Context, host string, snapshot []byte) error {
	var small bytes.Buffer
	z, err := flate.NewWriter(&small, flate.DefaultCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(snapshot); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return s.store.Put(ctx, kindCatalogue, host, small.Bytes(), snapshotLife)
}
