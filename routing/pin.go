package routing

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A pin is the digest of the definitions that some scopes cover: while it is
// the same, no tool behind them has changed, come or gone.

// pinSize is how many bytes of a SHA-256 make a pin.
const pinSize = 16

// Pin returns the pin of what scopes cover; empty where there are no scopes to
// cover anything.
func (c Catalogue) Pin(scopes []string) string {
	if len(c.Scopes) == 0 {
		return ""
	}
	return newIndex(c).pin(scopes)
}

// Covered returns the tools that any of scopes covers, by name. One that the
// server does not list is there with its name alone.
func (c Catalogue) Covered(scopes []string) []Tool {
	x := newIndex(c)
	all := map[string]Tool{}
	for _, t := range c.Tools {
		all[t.Name] = t
	}
	var out []Tool
	for _, name := range x.coveredBy(scopes) {
		t := all[name]
		t.Name = name
		out = append(out, t)
	}
	return out
}

// Version is another one whenever a catalogue says something else.
func (c Catalogue) Version() string {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(c); err != nil {
		return "" // it is of texts, and a hash takes them all
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:pinSize])
}

// coveredBy returns the names of the tools that any of scopes covers, sorted.
func (x *index) coveredBy(scopes []string) []string {
	names := map[string]bool{}
	for _, s := range scopes {
		for _, tool := range x.covers[s] {
			names[tool] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (x *index) pin(scopes []string) string {
	h := sha256.New()
	for _, tool := range x.coveredBy(scopes) {
		write(h, tool, x.digests[tool])
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:pinSize])
}

func write(h hash.Hash, parts ...string) {
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
}

// pinsOf remembers the pin of each set of scopes. The sets are those of signed
// tokens; still there is an end to them.
type pinsOf struct {
	known sync.Map
	count atomic.Int64
}

const maxPins = 10_000

// pinOf is pin, computed once per set of scopes.
func (x *index) pinOf(scopes []string) string {
	key := strings.Join(scopes, " ")
	if pin, ok := x.pins.known.Load(key); ok {
		return pin.(string) //nolint:forcetypeassert // nothing else is stored
	}
	pin := x.pin(scopes)
	if x.pins.count.Load() < maxPins {
		if _, before := x.pins.known.LoadOrStore(key, pin); !before {
			x.pins.count.Add(1)
		}
	}
	return pin
}
