package grants

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"mcp-oauth2-proxy/auth/store"
)

// Definition is a tool as somebody consented to it.
type Definition struct {
	Tool        string `json:"t"`
	Digest      string `json:"h"`
	Description string `json:"d,omitempty"`
	Schema      string `json:"s,omitempty"`
	Annotations string `json:"a,omitempty"`
}

// definitions is what a pin stands for, packed: schemas repeat themselves.
type definitions struct {
	Packed []byte `json:"packed"`
}

// maxUnpacked bounds what a record can make us read; we wrote it ourselves.
const maxUnpacked = 4 << 20

// Pin keeps the definitions that a pin stands for, at least as long as any
// grant that is given now. What is too large is kept without the texts: it can
// still be said that a tool has changed, only not how.
func (g *Grants) Pin(ctx context.Context, pin string, d []Definition) error {
	err := g.pin(ctx, pin, d)
	if errors.Is(err, store.ErrTooLarge) {
		bare := make([]Definition, len(d))
		for i := range d {
			bare[i] = Definition{Tool: d[i].Tool, Digest: d[i].Digest}
		}
		err = g.pin(ctx, pin, bare)
	}
	if err != nil {
		return fmt.Errorf("keep the definitions of tools: %w", err)
	}
	return nil
}

func (g *Grants) pin(ctx context.Context, pin string, d []Definition) error {
	plain, err := json.Marshal(d)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(plain); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return g.pins.Put(ctx, pin, definitions{packed.Bytes()}, g.o.RefreshTTL+g.o.AccessTTL)
}

// Pinned returns the definitions that a pin stands for; nil if they are not
// known anymore.
func (g *Grants) Pinned(ctx context.Context, pin string) ([]Definition, error) {
	kept, err := g.pins.Get(ctx, pin)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrNoKey) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the definitions of tools: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(kept.Packed)), maxUnpacked))
	if err != nil {
		return nil, fmt.Errorf("find the definitions of tools: %w", err)
	}
	var d []Definition
	if err := json.Unmarshal(plain, &d); err != nil {
		return nil, fmt.Errorf("find the definitions of tools: %w", err)
	}
	return d, nil
}
