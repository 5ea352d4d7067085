package routing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"mcp-oauth2-proxy/routing/mcp"
)

// A saver keeps the last good catalogue where a restart finds it.
type saver struct {
	to   Snapshots
	host string
	mu   sync.Mutex
	last []byte
}

// save writes a catalogue if it is another one than last time.
func (s *saver) save(c Catalogue) error {
	if s.to == nil {
		return nil
	}
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("save catalogue: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Equal(b, s.last) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.to.Save(ctx, s.host, b); err != nil {
		return fmt.Errorf("save catalogue: %w", err)
	}
	s.last = b
	return nil
}

// restore takes over the copy of an earlier run, as one that is old: it is
// used only where the server cannot be asked.
func (k *keeper) restore(ctx context.Context) {
	if k.saver.to == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	b, err := k.saver.to.Load(ctx, k.route.Host)
	if err != nil || b == nil {
		if err != nil {
			k.complain(ctx, fmt.Errorf("load catalogue: %w", err))
		}
		return
	}
	var c Catalogue
	if err := json.Unmarshal(b, &c); err != nil {
		k.complain(ctx, fmt.Errorf("load catalogue: %w", err))
		return
	}
	c = clean(&mcp.Listing{Scopes: c.Scopes, Tools: c.Tools}) // the store is no better than the wire
	k.mu.Lock()
	defer k.mu.Unlock()
	h := *k.held.Load()
	if !h.until.IsZero() {
		return // the server was quicker
	}
	h.adopt(c, k.route.config.ScopesSet)
	h.known, h.soon, h.until = true, time.Time{}, time.Time{}
	k.held.Store(&h)
}
