package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/bolt"
)

// While somebody writes pairs, every backup has both halves of what was written
// before it began, and is a state file.
func TestBackup_while_writing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "state.db"))
	ctx, cancel := context.WithCancel(t.Context())
	acknowledged := make(chan int, 100_000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			if err := s.Put(ctx, "grant", fmt.Sprintf("%06d", i), bytes.Repeat([]byte("x"), i%5000), time.Hour); err == nil {
				acknowledged <- i
			}
		}
	}()
	for last := 0; last < 50; { // until there is something to copy
		last = <-acknowledged
	}
	for round := range 3 {
		last := <-acknowledged
		path := filepath.Join(dir, fmt.Sprint("backup", round))
		if round == 0 {
			var buf bytes.Buffer
			if err := s.Backup(t.Context(), &buf); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := s.BackupFile(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		restored := open(t, path)
		records, err := restored.List(t.Context(), "grant", "", 0)
		if err != nil || len(records) <= last {
			t.Errorf("the backup has %d records, %v; %d were acknowledged before it", len(records), err, last+1)
		}
		for i, r := range records {
			if r.Key != fmt.Sprintf("%06d", i) || len(r.Value) != i%5000 {
				t.Fatalf("record %d is %q with %d bytes", i, r.Key, len(r.Value))
			}
		}
		if err := restored.Close(); err != nil {
			t.Fatal(err)
		}
		sound(t, path)
	}
	cancel()
	<-done
}

func TestBackup(t *testing.T) {
	setUp := func(t *testing.T) (*bolt.Store, string) {
		dir := t.TempDir()
		s := open(t, filepath.Join(dir, "state.db"))
		if err := s.Put(t.Context(), "grant", "a", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
		return s, dir
	}
	files := func(t *testing.T, dir string) int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	t.Run("a backup file is 0600, also in the place of an open one", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("modes say nothing on Windows")
		}
		s, dir := setUp(t)
		path := filepath.Join(dir, "backup")
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.BackupFile(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if files(t, dir) != 2 {
			t.Error("something is left behind")
		}
	})
	t.Run("the state file is not backed up to itself", func(t *testing.T) {
		s, dir := setUp(t)
		if err := s.BackupFile(t.Context(), filepath.Join(dir, ".", "state.db")); err == nil {
			t.Error("no error")
		}
		if _, err := s.Get(t.Context(), "grant", "a"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a backup that is called off leaves nothing", func(t *testing.T) {
		s, dir := setUp(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.BackupFile(ctx, filepath.Join(dir, "backup")); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if err := s.Backup(t.Context(), failing{}); !errors.Is(err, errFull) {
			t.Errorf("error %v, want the writer's", err)
		}
		if files(t, dir) != 1 {
			t.Error("something is left behind")
		}
	})
	t.Run("a reader that stops does not stop the store", func(t *testing.T) {
		s, _ := setUp(t)
		stuck := make(writes)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Backup(ctx, stuck) }()
		<-stuck // it is being written to, and nobody goes on
		for i := range 300 {
			if err := s.Put(t.Context(), "grant", fmt.Sprint(i), make([]byte, 100_000), 0); err != nil {
				t.Fatal(err)
			}
			if i == 20 {
				break
			}
		}
		cancel()
		for {
			select {
			case <-stuck:
				continue
			case err := <-done:
				t.Logf("the backup ends with %v", err)
			}
			break
		}
	})
	t.Run("a closed store is not backed up", func(t *testing.T) {
		s, dir := setUp(t)
		_ = s.Close()
		if err := s.BackupFile(t.Context(), filepath.Join(dir, "backup")); !errors.Is(err, store.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}

var errFull = errors.New("no space left")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

// writes is a writer that waits for a reader at each write.
type writes chan struct{}

func (w writes) Write(p []byte) (int, error) {
	w <- struct{}{}
	return len(p), nil
}
