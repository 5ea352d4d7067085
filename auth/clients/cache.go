package clients

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds on what documents say about their own lifetime (C7).
const (
	keepLeast   = time.Minute
	keepDefault = 10 * time.Minute // where nothing is said
	keepMost    = 24 * time.Hour
	maxCached   = 1000
)

// lifetime reads how long an answer may be kept, as a cache shared by many
// (RFC 9111 §4.2): what must not be stored is not, all else is kept for a
// minute at least, so that one authorization sees one document.
func lifetime(h http.Header, now time.Time) time.Duration {
	control := directives(h)
	for _, never := range []string{"no-store", "no-cache", "private"} {
		if _, ok := control[never]; ok {
			return 0
		}
	}
	keep := keepDefault
	if age, ok := maxAge(control); ok {
		keep = age - seconds(h.Get("Age"))
	} else if expires := h.Get("Expires"); expires != "" {
		keep = 0 // also for what is no date, "0" above all
		if at, err := http.ParseTime(expires); err == nil {
			keep = at.Sub(sentAt(h, now))
		}
	}
	return min(max(keep, keepLeast), keepMost)
}

func directives(h http.Header) map[string]string {
	control := make(map[string]string)
	for part := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		control[strings.ToLower(name)] = strings.Trim(value, `"`)
	}
	return control
}

func maxAge(control map[string]string) (time.Duration, bool) {
	for _, name := range []string{"s-maxage", "max-age"} {
		if value, ok := control[name]; ok {
			return seconds(value), true
		}
	}
	return 0, false
}

// seconds reads a delta of RFC 9111 §1.2.2; what is none counts as 0.
func seconds(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		if s != "" && strings.Trim(s, "0123456789") == "" {
			return keepMost // too large to be meant otherwise
		}
		return 0
	}
	return time.Duration(n) * time.Second
}

func sentAt(h http.Header, now time.Time) time.Time {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		return at
	}
	return now
}

// A cache keeps what was fetched, for as long as it may be kept, and never
// more than maxCached entries: strangers decide how many there could be.
type cache[T any] struct {
	mu      sync.Mutex
	entries map[string]cached[T]
}

type cached[T any] struct {
	value      T
	since, end time.Time
}

func newCache[T any]() *cache[T] {
	return &cache[T]{entries: make(map[string]cached[T])}
}

// get returns what is kept and since when.
func (c *cache[T]) get(key string, now time.Time) (T, time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || !now.Before(e.end) {
		var none T
		return none, time.Time{}, false
	}
	return e.value, e.since, true
}

func (c *cache[T]) put(key string, value T, now time.Time, keep time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if keep <= 0 {
		delete(c.entries, key)
		return
	}
	if _, ok := c.entries[key]; !ok && len(c.entries) >= maxCached {
		c.evict(now)
	}
	c.entries[key] = cached[T]{value, now, now.Add(keep)}
}

// evict makes room: all that has ended, or else what ends first. It looks at
// every entry, but only after a fetch, and fetches are few.
func (c *cache[T]) evict(now time.Time) {
	first := ""
	for key, e := range c.entries {
		if !now.Before(e.end) {
			delete(c.entries, key)
		} else if first == "" || e.end.Before(c.entries[first].end) {
			first = key
		}
	}
	if len(c.entries) >= maxCached {
		delete(c.entries, first)
	}
}
