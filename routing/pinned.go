package routing

import (
	"context"
	"sync"
	"time"
)

// Pins tells what a pin stands for: the digest of each tool's definition at
// the time of the consent. It returns nil where nobody knows anymore.
type Pins interface {
	Pinned(ctx context.Context, pin string) (digests map[string]string, err error)
}

// pinned are the definitions that somebody consented to.
type pinned struct {
	digests map[string]string
	folded  map[string]string // a tool's name without its case → the name
}

func newPinned(digests map[string]string) *pinned {
	p := &pinned{digests: digests, folded: make(map[string]string, len(digests))}
	for name := range digests {
		p.folded[foldName(name)] = name
	}
	return p
}

// changed tells whether a call is to something else than what was consented
// to. A tool outside of every scope was never part of a consent, unless it was
// then.
func (p *pinned) changed(x *index, tool string, scoped bool) bool {
	name := x.name(tool)
	before, known := p.digests[name]
	if !known {
		if name, known = p.folded[foldName(tool)]; known {
			before = p.digests[name]
		}
	}
	if !known {
		return scoped
	}
	return before != x.digests[name]
}

// maxRemembered bounds the pins that are remembered at a time; forgotten is how
// long one that nobody knows is not asked for again.
const (
	maxRemembered = 1000
	forgotten     = time.Minute
)

// memory asks for what a pin stands for once, and remembers the answer: it
// never changes.
type memory struct {
	mu   sync.Mutex
	pins map[string]*recollection
}

type recollection struct {
	mu    sync.Mutex // held while it is asked for
	what  *pinned
	until time.Time // zero: for good
}

// recall returns what a pin stands for.
func (m *memory) recall(ctx context.Context, from Pins, pin string, now time.Time) (*pinned, error) {
	m.mu.Lock()
	r := m.pins[pin]
	if r == nil {
		if m.pins == nil || len(m.pins) >= maxRemembered {
			m.pins = map[string]*recollection{}
		}
		r = &recollection{}
		m.pins[pin] = r
	}
	m.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.what != nil && (r.until.IsZero() || now.Before(r.until)) {
		return r.what, nil
	}
	digests, err := from.Pinned(ctx, pin)
	if err != nil {
		return nil, err
	}
	r.what, r.until = newPinned(digests), time.Time{}
	if digests == nil {
		r.until = now.Add(forgotten)
	}
	return r.what, nil
}
