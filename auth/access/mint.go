package access

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"mcp-oauth2-proxy/auth/keys"
)

// Minter makes access tokens.
type Minter struct {
	keys *keys.Ring
	ttl  time.Duration
	now  func() time.Time
}

// NewMinter returns a Minter whose tokens live for ttl.
func NewMinter(ring *keys.Ring, ttl time.Duration, now func() time.Time) *Minter {
	return &Minter{ring, ttl, now}
}

// Mint signs t, filling in its ID and times, and returns it as sent and as it
// reads. It never lives past ends, when that is given.
func (m *Minter) Mint(ctx context.Context, t Token, ends time.Time) (string, Token, error) {
	now := m.now().Truncate(time.Second)
	t.ID = rand.Text()
	t.IssuedAt, t.NotBefore, t.Expiry = now, now, now.Add(m.ttl)
	if !ends.IsZero() && ends.Before(t.Expiry) {
		t.Expiry = ends.Truncate(time.Second)
	}
	payload, err := t.encode()
	if err != nil {
		return "", Token{}, fmt.Errorf("mint: %w", err)
	}
	raw, err := m.keys.Sign(ctx, payload, Type)
	if err != nil {
		return "", Token{}, fmt.Errorf("mint: %w", err)
	}
	return string(raw), t, nil
}
