package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"mcp-oauth2-proxy/auth/store"
)

func openAt(t *testing.T, now time.Time) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "state.db"), WithClock(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fill writes n records of a kind in few commits.
func fill(t *testing.T, s *Store, kind store.Kind, n, size int, ttl time.Duration) {
	t.Helper()
	err := s.write(t.Context(), func(b *batch) error {
		for i := range n {
			if err := b.save(kind, fmt.Sprintf("%05d", i), make([]byte, size), ttl); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// counts returns how many records and place holders lie in the file.
func counts(t *testing.T, s *Store, kind store.Kind) (records, expiries int) {
	t.Helper()
	err := s.db.View(func(tx *bbolt.Tx) error {
		expiries = tx.Bucket(expiryBucket).Stats().KeyN
		if b := tx.Bucket(recordBucket).Bucket([]byte(kind)); b != nil {
			records = b.Stats().KeyN
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records, expiries
}

func TestSweep(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	later := now.Add(time.Hour)

	t.Run("one transaction removes a bounded number", func(t *testing.T) {
		s := openAt(t, now)
		fill(t, s, "code", 2*sweepBatch+10, 10, time.Minute)
		removed, more, err := s.sweepOnce(t.Context(), later)
		if err != nil || removed != sweepBatch || !more {
			t.Errorf("removed %d, more: %v, %v", removed, more, err)
		}
		n, err := s.Sweep(t.Context(), later)
		if err != nil || n != sweepBatch+10 {
			t.Errorf("the rest is %d, %v", n, err)
		}
		if r, e := counts(t, s, "code"); r != 0 || e != 0 {
			t.Errorf("%d records and %d expiries are left", r, e)
		}
	})
	t.Run("what has not expired stays", func(t *testing.T) {
		s := openAt(t, now)
		fill(t, s, "code", 5, 10, time.Minute)
		fill(t, s, "grant", 7, 10, 2*time.Hour)
		fill(t, s, "key", 3, 10, 0)
		if n, err := s.Sweep(t.Context(), later); n != 5 || err != nil {
			t.Errorf("Sweep = %d, %v", n, err)
		}
		g, e := counts(t, s, "grant")
		k, _ := counts(t, s, "key")
		if g != 7 || k != 3 || e != 7 {
			t.Errorf("%d grants, %d keys, %d expiries", g, k, e)
		}
	})
	t.Run("every verb keeps the expiries in step", func(t *testing.T) {
		s, ctx := openAt(t, now), t.Context()
		fill(t, s, "code", 6, 10, time.Minute)
		fill(t, s, "code", 1, 10, 2*time.Hour) // 00000 anew
		for _, err := range []error{
			s.Put(ctx, "code", "00001", nil, 0),
			s.Delete(ctx, "code", "00002"),
			s.Update(ctx, "code", "00003", func([]byte) ([]byte, time.Duration, error) { return nil, 0, nil }),
			s.Update(ctx, "code", "00004", func([]byte) ([]byte, time.Duration, error) { return []byte{}, 2 * time.Hour, nil }),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Take(ctx, "code", "00005"); err != nil {
			t.Fatal(err)
		}
		if r, e := counts(t, s, "code"); r != 3 || e != 2 {
			t.Errorf("%d records and %d expiries, want 3 and 2", r, e)
		}
		if n, err := s.Sweep(ctx, later); n != 0 || err != nil {
			t.Errorf("Sweep = %d, %v", n, err)
		}
	})
	t.Run("opening sweeps", func(t *testing.T) {
		s := openAt(t, now)
		fill(t, s, "code", 5, 10, time.Minute)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(s.path, WithClock(func() time.Time { return later }))
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		for r, _ := counts(t, again, "code"); r != 0; r, _ = counts(t, again, "code") {
			time.Sleep(time.Millisecond) // in the background: there is nothing to wait on
		}
	})
}

// damage changes a record in the file.
func damage(t *testing.T, s *Store, kind store.Kind, key string, change func(raw []byte) []byte) {
	t.Helper()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(recordBucket).Bucket([]byte(kind))
		return b.Put([]byte(key), change(append([]byte{}, b.Get([]byte(key))...)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCorrupt_record_fails_alone(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for name, change := range map[string]func([]byte) []byte{
		"a bit of the value":  func(raw []byte) []byte { raw[len(raw)-1] ^= 1; return raw },
		"a bit of the expiry": func(raw []byte) []byte { raw[3] ^= 0x80; return raw },
		"cut short":           func(raw []byte) []byte { return raw[:len(raw)-2] },
		"no header":           func(raw []byte) []byte { return raw[:5] },
		"nothing":             func([]byte) []byte { return nil },
		"another's":           func([]byte) []byte { return encode("grant", "00001", []byte("x"), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			s, ctx := openAt(t, now), t.Context()
			fill(t, s, "grant", 5, 10, time.Minute)
			damage(t, s, "grant", "00002", change)

			_, get := s.Get(ctx, "grant", "00002")
			_, take := s.Take(ctx, "grant", "00002")
			create := s.Create(ctx, "grant", "00002", nil, 0)
			update := s.Update(ctx, "grant", "00002", func([]byte) ([]byte, time.Duration, error) {
				t.Error("Update runs on it")
				return nil, 0, nil
			})
			records, list := s.List(ctx, "grant", "", 4)
			for verb, err := range map[string]error{"Get": get, "Take": take, "Create": create, "Update": update, "List": list} {
				if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), `grant "00002"`) {
					t.Errorf("%s: error %v, want an ErrCorrupt that names it", verb, err)
				}
			}
			if len(records) != 4 || records[2].Key != "00003" {
				t.Errorf("List = %v, want the others", records)
			}
			if _, err := s.Get(ctx, "grant", "00001"); err != nil {
				t.Errorf("another record: %v", err)
			}
			if err := s.Put(ctx, "grant", "00002", []byte("anew"), 0); err != nil {
				t.Errorf("Put over it: %v", err)
			}
			damage(t, s, "grant", "00002", change)
			if err := s.Delete(ctx, "grant", "00002"); err != nil {
				t.Errorf("Delete: %v", err)
			}
			damage(t, s, "grant", "00003", change)
			if n, err := s.Sweep(ctx, now.Add(time.Hour)); n != 4 || err != nil {
				t.Errorf("Sweep = %d, %v; want it removed with the others", n, err)
			}
		})
	}
}

func TestCompact(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files are not compacted on Windows")
	}
	now := time.Unix(1_000_000, 0)
	setUp := func(t *testing.T) *Store {
		s := openAt(t, now)
		fill(t, s, "grant", 100, 1000, time.Hour)
		fill(t, s, "code", 2000, 1000, time.Minute)
		if _, err := s.Sweep(t.Context(), now.Add(2*time.Minute)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("a file that is mostly free is made smaller, and keeps everything", func(t *testing.T) {
		s := setUp(t)
		before := s.size(t)
		if err := os.WriteFile(s.path+compactSuffix, []byte("left behind"), 0o600); err != nil {
			t.Fatal(err)
		}
		did, err := compact(s.db, s.path, 1<<20)
		if err != nil || !did {
			t.Fatalf("compact = %v, %v", did, err)
		}
		_ = s.Close()
		again, err := Open(s.path, WithClock(func() time.Time { return now }))
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if r, e := counts(t, again, "grant"); r != 100 || e != 100 {
			t.Errorf("%d records and %d expiries, want 100 of each", r, e)
		}
		info, err := os.Stat(s.path)
		if err != nil || info.Mode().Perm() != 0o600 || again.size(t) > before/2 {
			t.Errorf("%v, %v; %d bytes were %d", info.Mode(), err, again.size(t), before)
		}
		if entries, _ := os.ReadDir(filepath.Dir(s.path)); len(entries) != 1 {
			t.Errorf("left behind: %v", entries)
		}
	})
	t.Run("a link still leads to the file", func(t *testing.T) {
		s := setUp(t)
		link := filepath.Join(t.TempDir(), "link.db")
		if err := os.Symlink(s.path, link); err != nil {
			t.Fatal(err)
		}
		if did, err := compact(s.db, link, 1<<20); err != nil || !did {
			t.Fatalf("compact = %v, %v", did, err)
		}
		if to, err := os.Readlink(link); err != nil || to != s.path {
			t.Errorf("it leads to %q, %v", to, err)
		}
	})
	t.Run("a small file is left alone", func(t *testing.T) {
		s := setUp(t)
		if did, err := compact(s.db, s.path, compactAbove); did || err != nil {
			t.Errorf("compact = %v, %v", did, err)
		}
	})
	t.Run("a full file is left alone", func(t *testing.T) {
		s := setUp(t)
		fill(t, s, "code", 2000, 1000, time.Hour)
		if did, err := compact(s.db, s.path, 1<<20); did || err != nil {
			t.Errorf("compact = %v, %v", did, err)
		}
	})
	t.Run("who waited for the lock of the former file gets the new one", func(t *testing.T) {
		s := setUp(t)
		opened := make(chan *Store, 1)
		go func() {
			again, err := Open(s.path, WithClock(func() time.Time { return now }))
			if err != nil {
				t.Error(err)
			}
			opened <- again
		}()
		time.Sleep(200 * time.Millisecond) // until it waits; if it does not yet, that is right as well
		if _, err := compact(s.db, s.path, 1<<20); err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		again := <-opened
		if again == nil {
			return
		}
		if err := again.Put(t.Context(), "grant", "new", nil, 0); err != nil {
			t.Fatal(err)
		}
		_ = again.Close()
		third, err := Open(s.path, WithClock(func() time.Time { return now }))
		if err != nil {
			t.Fatal(err)
		}
		defer third.Close()
		if _, err := third.Get(t.Context(), "grant", "new"); err != nil {
			t.Errorf("it wrote to a file without a name: %v", err)
		}
	})
}

func (s *Store) size(t *testing.T) (n int64) {
	t.Helper()
	if err := s.db.View(func(tx *bbolt.Tx) error { n = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLeftovers_are_removed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"state.db.compact", "state.db.backup-123", "state.db.old", "other.db.backup-1"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("%v, %v; want state.db and what is none of ours", entries, err)
	}
}
