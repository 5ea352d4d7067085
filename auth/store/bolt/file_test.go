package bolt_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"mcp-oauth2-proxy/auth/store/bolt"
)

func TestOpen_keeps_the_file_private(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing on Windows")
	}
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	t.Run("a new directory is 0700 and a new file 0600", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "new", "newer", "state.db")
		open(t, path)
		if d, f := mode(filepath.Dir(path)), mode(path); d != 0o700 || f != 0o600 {
			t.Errorf("directory %o, file %o", d, f)
		}
	})
	t.Run("a file that others may read is taken from them", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		for _, m := range []os.FileMode{0o644, 0o660, 0o666, 0o604, 0o755} {
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, m); err != nil {
				t.Fatal(err)
			}
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			if got := mode(path); got != 0o600 {
				t.Errorf("a file of %o is %o after Open", m, got)
			}
		}
	})
	t.Run("an existing directory is left as it is", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		open(t, filepath.Join(dir, "state.db"))
		if got := mode(dir); got != 0o755 {
			t.Errorf("directory %o, was 755", got)
		}
	})
}

func TestOpen_refuses(t *testing.T) {
	foreign := func(t *testing.T, path string, fill func(tx *bbolt.Tx) error) {
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(fill); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"a newer schema": {func(t *testing.T, path string) {
			_ = open(t, path).Close()
			foreign(t, path, func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("2"))
			})
		}, "was written by a newer version of this program"},
		"another program's file": {func(t *testing.T, path string) {
			foreign(t, path, func(tx *bbolt.Tx) error {
				_, err := tx.CreateBucket([]byte("theirs"))
				return err
			})
		}, "was not written by this program"},
		"a file that is no database": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("listen: 443\n", 2000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "open state file"},
		"half a file": {func(t *testing.T, path string) {
			s := open(t, path)
			for i := range 100 {
				if err := s.Put(t.Context(), "code", string(rune('a'+i)), make([]byte, 10_000), 0); err != nil {
					t.Fatal(err)
				}
			}
			_ = s.Close()
			if err := os.Truncate(path, 200_000); err != nil {
				t.Fatal(err)
			}
		}, "it is cut short, restore a backup"},
		"a file of a few bytes": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "open state file"},
		"a directory": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "it is not a regular file"},
		"a file in the place of its directory": {func(t *testing.T, path string) {
			_ = os.Remove(filepath.Dir(path))
			if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "make the directory of state file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "state.db")
			c.make(t, path)
			s, err := bolt.Open(path)
			if err == nil {
				_ = s.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line with the path and %q", err, c.want)
			}
		})
	}
}

func TestOpen_again_finds_what_was_there(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	c := newClock()
	s := open(t, path, bolt.WithClock(c.now))
	for key, ttl := range map[string]time.Duration{"for good": 0, "an hour": time.Hour, "a second": time.Second} {
		if err := s.Put(t.Context(), "code", key, []byte(key), ttl); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Minute)
	s = open(t, path, bolt.WithClock(c.now))
	records, err := s.List(t.Context(), "code", "", 0)
	if err != nil || len(records) != 2 || records[0].Key != "an hour" || string(records[1].Value) != "for good" {
		t.Errorf("List = %v, %v", records, err)
	}
}
