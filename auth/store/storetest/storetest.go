// Package storetest is the contract of store.Store as tests: every engine
// passes Run, and nothing may rely on what Run does not ask of an engine.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// An Option tells Run about an engine.
type Option func(*suite)

// Advance gives Run a hand on the clock of the stores it is given: where it
// would sleep it calls fn. Without it records are given a short real life.
func Advance(fn func(time.Duration)) Option {
	return func(s *suite) { s.advance = fn }
}

// MaxValue is for stores that keep a little less than store.MaxValue.
func MaxValue(n int) Option {
	return func(s *suite) { s.maxValue = n }
}

// Run holds the stores that open returns to the contract. Each must be empty;
// Run closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store, options ...Option) {
	t.Helper()
	s := &suite{open: open, advance: time.Sleep, maxValue: store.MaxValue}
	for _, o := range options {
		o(s)
	}
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"verbs on an absent record", s.absent},
		{"verbs on a present record", s.present},
		{"verbs on an expired record", s.expired},
		{"a record lives as long as was said last", s.lives},
		{"values come back as they were", s.values},
		{"keys are any bytes", s.keys},
		{"kinds are separate", s.kinds},
		{"slices are not shared", s.slices},
		{"limits", s.limits},
		{"an update that fails changes nothing", s.failedUpdate},
		{"an ended context changes nothing", s.endedContext},
		{"list is in order and in pages", s.list},
		{"list of a thousand keys", s.listMany},
		{"one of many creates a record", s.createOnce},
		{"one of many takes a record", s.takeOnce},
		{"no update is lost", s.updateAll},
		{"creations and takes alternate", s.createAndTake},
		{"a watch sees every verb", s.watch},
		{"a watch sees its kinds", s.watchKinds},
		{"a watch ends with its context", s.watchEnds},
		{"a slow watcher delays nobody and misses nothing", s.watchSlowly},
		{"a closed store says so", s.closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := open(t)
			t.Cleanup(func() {
				if err := st.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			c.test(t, st)
		})
	}
}

type suite struct {
	open     func(*testing.T) store.Store
	advance  func(time.Duration)
	maxValue int
}

const (
	kind  store.Kind = "code"
	other store.Kind = "grant"

	// brief is longer than any verb takes, or a record would be gone too soon.
	brief = 250 * time.Millisecond
)

// expire lets every record written with a ttl of brief run out.
func (s *suite) expire() { s.advance(brief + 20*time.Millisecond) }

func put(t *testing.T, st store.Store, kind store.Kind, key, value string, ttl time.Duration) {
	t.Helper()
	if err := st.Put(t.Context(), kind, key, []byte(value), ttl); err != nil {
		t.Fatalf("Put(%s, %q): %v", kind, key, err)
	}
}

// holds checks what Get and List say of a record.
func holds(t *testing.T, st store.Store, kind store.Kind, key, want string) {
	t.Helper()
	got, err := st.Get(t.Context(), kind, key)
	if err != nil || got == nil || string(got) != want {
		t.Errorf("Get(%s, %q) = %q, %v; want %q", kind, key, got, err, want)
	}
	for _, r := range list(t, st, kind, "", 0) {
		if r.Key == key && r.Value != nil && bytes.Equal(r.Value, got) {
			return
		}
	}
	t.Errorf("List(%s) does not have %q as Get has it", kind, key)
}

// lacks checks that Get and List know no such record.
func lacks(t *testing.T, st store.Store, kind store.Kind, key string) {
	t.Helper()
	got, err := st.Get(t.Context(), kind, key)
	wantErr(t, "Get", err, store.ErrNotFound)
	if got != nil {
		t.Errorf("Get(%s, %q) = %q beside its error", kind, key, got)
	}
	for _, r := range list(t, st, kind, "", 0) {
		if r.Key == key {
			t.Errorf("List(%s) has %q", kind, key)
		}
	}
}

func list(t *testing.T, st store.Store, kind store.Kind, after string, limit int) []store.Record {
	t.Helper()
	records, err := st.List(t.Context(), kind, after, limit)
	if err != nil {
		t.Fatalf("List(%s, %q, %d): %v", kind, after, limit, err)
	}
	return records
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func name(i int) string { return fmt.Sprintf("key-%05d", i) }
