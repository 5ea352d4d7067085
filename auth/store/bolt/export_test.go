package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"mcp-oauth2-proxy/auth/store"
)

func TestExport_names_every_live_record_with_the_rest_of_its_life(t *testing.T) {
	now := time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC)
	s, err := Open(filepath.Join(t.TempDir(), "state.db"), WithClock(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for key, ttl := range map[string]time.Duration{"for good": 0, "an hour": time.Hour, "gone": time.Minute, "damaged": 0} {
		if err := s.Put(t.Context(), "code", key, []byte(key), ttl); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(t.Context(), "grant", "an hour", nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(recordBucket).Bucket([]byte("code")).Put([]byte("damaged"), []byte("????????????damaged"))
	}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(10 * time.Minute)
	got := map[string]time.Duration{}
	err = s.Export(t.Context(), func(kind store.Kind, r store.Record, ttl time.Duration) error {
		got[fmt.Sprintf("%s %s=%s", kind, r.Key, r.Value)] = ttl
		return nil
	})
	want := map[string]time.Duration{"code for good=for good": 0, "code an hour=an hour": 50 * time.Minute, "grant an hour=": 0}
	if fmt.Sprint(got) != fmt.Sprint(want) || !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("got %v, %v\nwant %v and ErrCorrupt", got, err, want)
	}
	stop := errors.New("stop")
	if err := s.Export(t.Context(), func(store.Kind, store.Record, time.Duration) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the function: %v", err)
	}
}
