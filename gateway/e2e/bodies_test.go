//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
)

const (
	hundredMB = 100 << 20
	// room for buffers, and what the collector has not come to yet
	bearable = 24 << 10 // kB
)

// TestLargeBodiesAreNotBuffered: nothing is enforced on this host, so nothing is
// parsed: bytes that are no message go up and come down as they are, and the
// gateway does not grow.
func TestLargeBodiesAreNotBuffered(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("down") != "" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.Copy(w, noise())
			return
		}
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		_, _ = fmt.Fprintf(w, "%d %x %v %d", n, h.Sum(nil), err, r.ContentLength)
	})
	h := sha256.New()
	_, _ = io.Copy(h, noise())
	sum := hex.EncodeToString(h.Sum(nil))
	t.Run("up", func(t *testing.T) {
		before := f.forgetPeak(t)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url, noise())
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = hundredMB
		body, err := io.ReadAll(do(t, f.client, req, f.token, "").Body)
		if want := fmt.Sprintf("%d %s <nil> %d", hundredMB, sum, hundredMB); err != nil || string(body) != want {
			t.Errorf("X20: arrived: %s, %v, want %s", body, err, want)
		}
		f.notGrown(t, before)
	})
	t.Run("down", func(t *testing.T) {
		before := f.forgetPeak(t)
		res, err := f.get("down=1")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		h := sha256.New()
		if n, err := io.Copy(h, res.Body); n != hundredMB || err != nil || hex.EncodeToString(h.Sum(nil)) != sum {
			t.Errorf("X20: arrived: %d bytes, %x, %v, want %s", n, h.Sum(nil), err, sum)
		}
		f.notGrown(t, before)
	})
}

// noise is the same bytes each time.
func noise() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), hundredMB) }

// forgetPeak makes the kernel measure the gateway's peak from now on.
func (f *fleet) forgetPeak(t *testing.T) int {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", f.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	return f.memory(t, "VmRSS")
}

func (f *fleet) notGrown(t *testing.T, before int) {
	t.Helper()
	peak := f.memory(t, "VmHWM")
	t.Logf("peak %d MB, before it %d MB", peak>>10, before>>10)
	if peak-before > bearable {
		t.Errorf("X20: 100 MB passed, and the gateway grew by %d MB", (peak-before)>>10)
	}
}
