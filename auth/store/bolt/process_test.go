package bolt_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"mcp-oauth2-proxy/auth/store/bolt"
)

// childEnv makes a test binary write to the state file it names until it is
// killed.
const childEnv = "STORE_BOLT_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		child(path)
	}
	os.Exit(m.Run())
}

// child prints the name of every record that it was told is written. Some it
// also takes again, and prints that.
func child(path string) {
	s, err := bolt.Open(path)
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	var out sync.Mutex
	say := func(words ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(words...)
	}
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%06d", g, i)
				value := []byte(strings.Repeat(key, 1+i%300))
				if err := s.Create(context.Background(), "code", key, value, time.Hour); err != nil {
					say("failed", err)
					return
				}
				say("wrote", key)
				if i%5 != 4 {
					continue
				}
				if _, err := s.Take(context.Background(), "code", key); err != nil {
					say("failed", err)
					return
				}
				say("took", key)
			}
		}()
	}
	select {}
}

// startChild returns what a child process says. It is killed at the end.
func startChild(t *testing.T, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	wrote, took := make(map[string]bool), make(map[string]bool)
	for round := range 3 {
		cmd, lines := startChild(t, path)
		enough := 150 + 100*round
		for n := 0; lines.Scan(); n++ {
			words := strings.Fields(lines.Text())
			if len(words) != 2 {
				t.Fatalf("the child says %q", lines.Text())
			}
			switch words[0] {
			case "wrote":
				wrote[fmt.Sprint(round, words[1])] = true
			case "took":
				took[fmt.Sprint(round, words[1])] = true
			}
			if n == enough { // what it has said until it dies is read as well
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()

		s := open(t, path)
		survived(t, s, round, wrote, took)
		// Room for the next child, which uses the same names.
		records, err := s.List(t.Context(), "code", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if err := s.Delete(t.Context(), "code", r.Key); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		sound(t, path)
	}
	t.Logf("%d acknowledged writes, %d acknowledged takes", len(wrote), len(took))
}

// survived checks that what was acknowledged before a kill is so after it.
func survived(t *testing.T, s *bolt.Store, round int, wrote, took map[string]bool) {
	t.Helper()
	records, err := s.List(t.Context(), "code", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, r := range records {
		there[fmt.Sprint(round, r.Key)] = true
		if !strings.HasPrefix(string(r.Value), r.Key) || len(r.Value)%len(r.Key) != 0 {
			t.Errorf("record %s has another's value", r.Key)
		}
	}
	prefix := fmt.Sprint(round, "")
	for key := range wrote {
		// The child takes every fifth; it may have died before it could say so.
		maybeTaken := (key[len(key)-1]-'0')%5 == 4
		if strings.HasPrefix(key, prefix) && !there[key] && !maybeTaken {
			t.Errorf("record %s was acknowledged and is lost", key)
		}
	}
	for key := range took {
		if there[key] {
			t.Errorf("record %s was taken and is there again", key)
		}
	}
}

// sound lets bbolt check the pages of a closed file.
func sound(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("after a kill: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpen_refuses_a_second_process(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	_, lines := startChild(t, path)
	if !lines.Scan() || !strings.Contains(lines.Text(), "state file "+path+" is in use by another process") {
		t.Errorf("the second process says %q", lines.Text())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	cmd, lines := startChild(t, path)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "wrote") {
		t.Fatalf("after the first has closed it, the second says %q", lines.Text())
	}
	go func() {
		for lines.Scan() {
			_ = lines.Text() // or it would wait for a reader
		}
	}()
	if _, err := bolt.Open(path); err == nil || !strings.Contains(err.Error(), "is in use by another process") {
		t.Errorf("error %v while the child has it", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	open(t, path) // a process that was killed leaves no lock behind
}
