package tls

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFilesPickByName(t *testing.T) {
	dir := t.TempDir()
	f, err := NewFiles([]Pair{good(t, dir, "a", "a.example", "127.0.0.9"), good(t, dir, "b", "*.b.example", "127.0.0.1")},
		FilesOptions{Hosts: NewHosts("a.example", "x.b.example:8443")})
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, f)
	for name, tc := range map[string]struct{ sni, covers string }{
		"the first pair": {"a.example", "a.example"},
		"in capitals":    {"A.Example", "a.example"},
		"a wildcard":     {"x.b.example", "x.b.example"},
		"without a name, the pair of the address": {"", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			state, err := dial(t, addr, tc.sni, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := state.PeerCertificates[0].VerifyHostname(tc.covers); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("an unknown name is refused", func(t *testing.T) {
		_, err := dial(t, addr, "stranger.example", nil, nil)
		wantUnrecognized(t, err)
	})
}

func TestNewFilesRefusesBadPairs(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	a, b := good(t, dir, "a", "a.example"), good(t, dir, "b", "b.example")
	for name, tc := range map[string]struct {
		pairs []Pair
		want  string
	}{
		"none":                 {nil, "tls.files: name at least one pair"},
		"another's key":        {[]Pair{{a.Cert, b.Key}}, "does not match"},
		"no certificate":       {[]Pair{{a.Key, a.Key}}, "tls.files"},
		"a file not there":     {[]Pair{{a.Cert, filepath.Join(dir, "nowhere.key")}}, "tls.files.key"},
		"a host without one":   {[]Pair{b}, "tls.files: no certificate names the host a.example"},
		"expired":              {[]Pair{pair(t, dir, "old", time.Time{}, now.Add(-time.Hour), "a.example")}, "expired on"},
		"not yet valid":        {[]Pair{pair(t, dir, "new", now.Add(time.Hour), now, "a.example")}, "not valid before"},
		"one bad among others": {[]Pair{a, {b.Cert, a.Key}}, b.Cert},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewFiles(tc.pairs, FilesOptions{Hosts: NewHosts("a.example")})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestFilesWarnBeforeTheEnd(t *testing.T) {
	dir, out := t.TempDir(), &buffer{}
	p := pair(t, dir, "a", time.Time{}, time.Now().Add(5*24*time.Hour), "a.example")
	if _, err := NewFiles([]Pair{p}, FilesOptions{Hosts: NewHosts("a.example"), Log: out.logger()}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "expires soon") {
		t.Errorf("log %q", out)
	}
}

// Watched files: how they may be replaced, and what is served then.
func TestFilesWatch(t *testing.T) {
	start := func(t *testing.T, p Pair) (*Files, *buffer) {
		t.Helper()
		out := &buffer{}
		f, err := NewFiles([]Pair{p}, FilesOptions{Hosts: NewHosts("a.example"), Log: out.logger()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); f.Watch(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		return f, out
	}
	serial := func(f *Files) string { return (*f.current.Load())[0].Leaf.SerialNumber.String() }
	move := func(t *testing.T, from, to Pair) {
		t.Helper()
		for _, names := range [][2]string{{from.Cert, to.Cert}, {from.Key, to.Key}} {
			if err := os.Rename(names[0], names[1]); err != nil {
				t.Fatal(err)
			}
		}
	}

	t.Run("a good replacement is served", func(t *testing.T) {
		dir := t.TempDir()
		p := good(t, dir, "a", "a.example")
		f, out := start(t, p)
		addr, before := serve(t, f), serial(f)
		move(t, good(t, t.TempDir(), "a", "a.example"), p)
		out.wait(t, "certificates reloaded")
		state, err := dial(t, addr, "a.example", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if state.PeerCertificates[0].SerialNumber.String() == before {
			t.Error("still the old one")
		}
	})
	t.Run("files written in place are served", func(t *testing.T) {
		dir := t.TempDir()
		f, out := start(t, good(t, dir, "a", "a.example"))
		before := serial(f)
		good(t, dir, "a", "a.example")
		out.wait(t, "certificates reloaded")
		if serial(f) == before {
			t.Error("still the old one")
		}
	})
	t.Run("a bad replacement keeps the old one and is logged", func(t *testing.T) {
		p := good(t, t.TempDir(), "a", "a.example")
		f, out := start(t, p)
		before := serial(f)
		write(t, p.Key, []byte("half a k"))
		out.wait(t, "keeping the old ones")
		if serial(f) != before {
			t.Error("the old one is gone")
		}
		move(t, good(t, t.TempDir(), "a", "a.example"), p)
		out.wait(t, "certificates reloaded")
	})
	t.Run("the swapped link of a Kubernetes secret is seen", func(t *testing.T) {
		dir := t.TempDir()
		version := func(name string) {
			sub := filepath.Join(dir, name)
			if err := os.Mkdir(sub, 0o700); err != nil {
				t.Fatal(err)
			}
			good(t, sub, "tls", "a.example")
			fresh := filepath.Join(dir, "..data_tmp")
			if err := os.Symlink(name, fresh); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(fresh, filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
		}
		version("..2026_01")
		p := Pair{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
		for link, file := range map[string]string{p.Cert: "..data/tls.pem", p.Key: "..data/tls.key"} {
			if err := os.Symlink(file, link); err != nil {
				t.Fatal(err)
			}
		}
		f, out := start(t, p)
		before := serial(f)
		version("..2026_02")
		out.wait(t, "certificates reloaded")
		if serial(f) == before {
			t.Error("still the old one")
		}
	})
}

func TestReloadKeepsTheOldOnError(t *testing.T) {
	p := good(t, t.TempDir(), "a", "a.example")
	f, err := NewFiles([]Pair{p}, FilesOptions{Hosts: NewHosts("a.example")})
	if err != nil {
		t.Fatal(err)
	}
	before := f.current.Load()
	if err := os.Remove(p.Key); err != nil {
		t.Fatal(err)
	}
	if err := f.Reload(); err == nil || f.current.Load() != before {
		t.Errorf("error %v; certificates changed: %v", err, f.current.Load() != before)
	}
}

// buffer is a log that can be waited for.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *buffer) wait(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(b.String(), text) {
			return
		}
	}
	t.Fatalf("the log never said %q:\n%s", text, b)
}
