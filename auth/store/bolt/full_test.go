//go:build linux

package bolt_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/bolt"
)

// fullEnv makes a test binary fill the state file it names until there is no
// room, and look what becomes of it.
const fullEnv = "STORE_BOLT_TEST_FULL"

// TestNoRoom runs in a process of its own, whose files may not grow beyond a
// megabyte: as on a full disk, writing fails.
func TestNoRoom(t *testing.T) {
	if path := os.Getenv(fullEnv); path != "" {
		noRoom(t, path)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoRoom$", "-test.v")
	cmd.Env = append(os.Environ(), fullEnv+"="+filepath.Join(t.TempDir(), "state.db"))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestNoRoom") {
		t.Errorf("%v\n%s", err, out)
	}
}

func noRoom(t *testing.T, path string) {
	s, err := bolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string) error { return s.Put(t.Context(), "code", key, make([]byte, 100<<10), 0) }
	if err := put("first"); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	limit := func(size uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: 1 << 40}); err != nil {
			t.Fatal(err)
		}
	}
	limit(1 << 20)
	for i := 0; err == nil && i < 100; i++ {
		err = put(strings.Repeat("x", i+1))
	}
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("without room: %v, want ErrUnavailable", err)
	}
	if _, err := s.Get(t.Context(), "code", "first"); err != nil {
		t.Errorf("what was there cannot be read: %v", err)
	}
	limit(1 << 30)
	if err := put("after"); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = bolt.Open(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"first", "after"} {
		if _, err := s.Get(t.Context(), "code", key); err != nil {
			t.Errorf("%s after a restart: %v", key, err)
		}
	}
}
