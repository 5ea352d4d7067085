package gateway

import (
	"context"

	"mcp-oauth2-proxy/auth/grants"
)

// pins implements routing.Pins: it gives away digests, never a grant.
type pins struct{ grants *grants.Grants }

// Pinned implements routing.Pins.
func (p pins) Pinned(ctx context.Context, pin string) (map[string]string, error) {
	defs, err := p.grants.Pinned(ctx, pin)
	if err != nil || defs == nil {
		return nil, err
	}
	digests := make(map[string]string, len(defs))
	for _, d := range defs {
		digests[d.Tool] = d.Digest
	}
	return digests, nil
}
