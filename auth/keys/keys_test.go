package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/memory"

	"github.com/lestrrat-go/jwx/v2/jws"
)

// counting counts what is asked of a store.
type counting struct {
	store.Store
	mu   sync.Mutex
	gets int
	fail error
}

func (c *counting) Get(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	c.mu.Lock()
	c.gets++
	fail := c.fail
	c.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	return c.Store.Get(ctx, kind, key)
}

func (c *counting) Put(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	c.mu.Lock()
	fail := c.fail
	c.mu.Unlock()
	if fail != nil {
		return fail
	}
	return c.Store.Put(ctx, kind, key, value, ttl)
}

func (c *counting) stop(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

func newStore(t *testing.T) *counting {
	t.Helper()
	s := memory.New(0)
	t.Cleanup(func() { s.Close() })
	return &counting{Store: s}
}

func open(t *testing.T, s store.Store) *Ring {
	t.Helper()
	r, err := Open(t.Context(), s, Options{Algorithm: "ES256", Rotation: time.Hour, TokenLife: time.Hour + time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func kidOf(t *testing.T, raw []byte) string {
	t.Helper()
	m, err := jws.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return m.Signatures()[0].ProtectedHeaders().KeyID()
}

func sign(t *testing.T, r *Ring) string {
	t.Helper()
	raw, err := r.Sign(t.Context(), []byte("{}"), "at+jwt")
	if err != nil {
		t.Fatal(err)
	}
	return kidOf(t, raw)
}

func kidsOf(t *testing.T, r *Ring) []string {
	t.Helper()
	set, err := r.Set(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Keys []map[string]string }
	if err := json.Unmarshal(set, &doc); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, k := range doc.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if k[private] != "" {
				t.Errorf("the key set shows %q of a private key", private)
			}
		}
		kids = append(kids, k["kid"])
	}
	return kids
}

func TestT18_keys_rotate_by_themselves_and_are_published_before_they_sign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		r := open(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		first := sign(t, r)
		time.Sleep(51 * time.Minute)
		synctest.Wait()
		kids := kidsOf(t, r)
		if len(kids) != 2 || sign(t, r) != first {
			t.Fatalf("ten minutes before the rotation: %d keys, signing with the first: %v", len(kids), sign(t, r) == first)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		second := sign(t, r)
		if second == first || !strings.Contains(strings.Join(kids, " "), second) {
			t.Error("it signs with a key that was not published before")
		}
		// The first key is believed until the last token it may have signed has
		// expired, and then it goes.
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, err := r.Public(ctx, first); err != nil {
			t.Errorf("the first key an hour later: %v", err)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if _, err := r.Public(ctx, first); !errors.Is(err, ErrUnknown) {
			t.Errorf("the first key a day later: %v", err)
		}
		if n := len(kidsOf(t, r)); n > 5 {
			t.Errorf("%d keys are published", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestSign_stops_when_a_key_is_past_its_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		r := open(t, s)
		if err := r.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.stop(errors.New("the store is gone"))
		if err := r.Rotate(t.Context()); err == nil {
			t.Fatal("a key that could not be published signs")
		}
		time.Sleep(2*time.Hour - time.Second)
		sign(t, r) // the old key signs on
		time.Sleep(time.Second)
		if _, err := r.Sign(t.Context(), nil, "at+jwt"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	})
}

func TestA7_private_keys_are_never_stored(t *testing.T) {
	s := newStore(t)
	r := open(t, s)
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	records, err := s.List(t.Context(), Kind, "", 0)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	var p published
	if err := json.Unmarshal(records[0].Value, &p); err != nil {
		t.Fatal(err)
	}
	var key map[string]any
	if err := json.Unmarshal(p.JWK, &key); err != nil {
		t.Fatal(err)
	}
	if key["d"] != nil || key["x"] == nil {
		t.Errorf("stored: %v", key)
	}
}

func TestPublic_refuses_a_private_or_misnamed_key_in_the_store(t *testing.T) {
	s := newStore(t)
	r := open(t, s)
	p, err := newPair("ES256")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(p.jwk)
	if err := r.bucket.Put(t.Context(), "another-name", published{body, time.Now().Add(time.Hour)}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Public(t.Context(), "another-name"); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

func TestPublic_a_flood_of_unknown_keys_is_coalesced_remembered_and_bounded(t *testing.T) {
	s := newStore(t)
	r := open(t, s)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if _, err := r.Public(t.Context(), "one"); !errors.Is(err, ErrUnknown) {
				t.Errorf("got %v, want ErrUnknown", err)
			}
		})
	}
	wg.Wait()
	if s.gets > 40 {
		t.Errorf("64 questions for one key asked the store %d times", s.gets)
	}
	before := s.gets
	if _, err := r.Public(t.Context(), "one"); !errors.Is(err, ErrUnknown) || s.gets != before {
		t.Errorf("asked again at once: %v", err)
	}
	limited := 0
	for i := range 10_000 {
		if _, err := r.Public(t.Context(), fmt.Sprint(i)); errors.Is(err, ErrUnavailable) {
			limited++
		}
	}
	if limited == 0 || s.gets > 1000 {
		t.Errorf("10,000 unknown keys asked the store %d times, %d were limited", s.gets, limited)
	}
	if len(r.strange) > maxStrange {
		t.Errorf("%d unknown keys are remembered", len(r.strange))
	}
}

func TestSet_waits_for_the_first_key(t *testing.T) {
	r := open(t, newStore(t))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := r.Set(ctx); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an empty key set was shown: %v", err)
	}
}

func BenchmarkSign(b *testing.B) {
	for _, algorithm := range []string{"RS256", "ES256"} {
		b.Run(algorithm, func(b *testing.B) {
			r, err := Open(b.Context(), memory.New(0), Options{Algorithm: algorithm, Rotation: time.Hour, TokenLife: time.Hour})
			if err != nil {
				b.Fatal(err)
			}
			if err := r.Rotate(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Sign(b.Context(), []byte(`{"sub":"ada"}`), "at+jwt"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
