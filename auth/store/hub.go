package store

import (
	"context"
	"sync"
)

// maxPending bounds what a Hub keeps for a reader that does not read: beyond
// this many changes of a kind, the reader is told to read the kind again.
const maxPending = 256

// A Hub is Watch for engines: they publish what they have committed, and it
// tells everyone who watches. Publishing never waits for a reader. The zero Hub
// is ready for use.
type Hub struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{}
	closed   bool
}

// Watch implements Store.Watch.
func (h *Hub) Watch(ctx context.Context, kinds ...Kind) (<-chan Change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := newWatcher(kinds)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	if h.watchers == nil {
		h.watchers = make(map[*watcher]struct{})
	}
	h.watchers[w] = struct{}{}
	go func() {
		defer close(w.out)
		w.deliver(ctx)
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, w)
	}()
	return w.out, nil
}

// Publish reports changes that can be read by now.
func (h *Hub) Publish(changes ...Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		w.add(changes)
	}
}

// Close ends every watch; a later Watch returns ErrClosed.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for w := range h.watchers {
		close(w.ended)
	}
}

// A watcher is one reader and what it has not read yet.
type watcher struct {
	kinds map[Kind]bool // nil: all
	out   chan Change
	ready chan struct{} // holds a token while there may be something pending
	ended chan struct{}

	mu      sync.Mutex
	pending []Change
	queued  map[Change]bool // what is pending, a Change without a key included
	count   map[Kind]int    // how many of a kind are pending
}

func newWatcher(kinds []Kind) *watcher {
	w := &watcher{
		out:    make(chan Change),
		ready:  make(chan struct{}, 1),
		ended:  make(chan struct{}),
		queued: make(map[Change]bool),
		count:  make(map[Kind]int),
	}
	for _, k := range kinds {
		if w.kinds == nil {
			w.kinds = make(map[Kind]bool)
		}
		w.kinds[k] = true
	}
	return w
}

// add queues the changes. One that is already pending need not be queued again:
// its reader has not been told yet, so it will read later than this.
func (w *watcher) add(changes []Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range changes {
		again := Change{Kind: c.Kind}
		if (w.kinds != nil && !w.kinds[c.Kind]) || w.queued[c] || w.queued[again] {
			continue
		}
		if w.count[c.Kind] >= maxPending {
			c = again
		}
		w.pending = append(w.pending, c)
		w.queued[c] = true
		w.count[c.Kind]++
	}
	if len(w.pending) > 0 {
		select {
		case w.ready <- struct{}{}:
		default:
		}
	}
}

// next takes the oldest pending change.
func (w *watcher) next() (Change, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		w.pending = nil // let go of the array
		return Change{}, false
	}
	c := w.pending[0]
	w.pending = w.pending[1:]
	delete(w.queued, c)
	if w.count[c.Kind]--; w.count[c.Kind] == 0 {
		delete(w.count, c.Kind)
	}
	return c, true
}

// deliver hands changes to the reader until the watch ends.
func (w *watcher) deliver(ctx context.Context) {
	for {
		select {
		case <-w.ready:
		case <-ctx.Done():
			return
		case <-w.ended:
			return
		}
		for c, ok := w.next(); ok; c, ok = w.next() {
			select {
			case w.out <- c:
			case <-ctx.Done():
				return
			case <-w.ended:
				return
			}
		}
	}
}
