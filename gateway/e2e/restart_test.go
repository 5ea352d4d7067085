//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// supervisor stands for systemd's first process: it keeps the sockets that
// systemd-socket-activate opened, and starts the program again when it ends.
const supervisor = `
while [ ! -e "$2/enough" ]; do
	sh -c 'echo $$ >"$1/next" && mv "$1/next" "$1/pid" && LISTEN_PID=$$ exec "$0" serve --config "$2"' "$0" "$2" "$1" || exit 1
done`

// With the sockets handed over by systemd, restarts cost no connection: those
// that come in between wait.
func TestRestartsUnderLoadFailNoRequest(t *testing.T) {
	requests, restarts := int64(3000), 3
	if long() {
		requests, restarts = 20_000, 10
	}
	addr, admin, dir := freeAddr(t), freeAddr(t), t.TempDir()
	a := newAuthority(t)
	cert, key := a.issue(t, "mcp.example.test")
	host := "mcp.example.test:" + port(t, addr)
	conf := writeConfig(t, settings{
		"server": settings{"addr": addr, "adminAddr": admin, "httpAddr": "", "adminSocket": filepath.Join(os.TempDir(), "gw-"+port(t, addr)+".sock")},
		"store":  settings{"url": "bolt://" + filepath.Join(dir, "state.db")},
		"tls":    settings{"mode": "files", "files": settings{"cert": cert, "key": key}},
		"proxy":  settings{"hosts": []settings{{"host": host, "endpoint": startUpstream(t) + "/mcp", "public": true}}},
	})
	cmd := exec.Command("systemd-socket-activate", "--listen="+addr, "--listen="+admin, "-E", "PATH", "/bin/sh", "-c", supervisor, must(t, product), conf, dir)
	p := start(t, cmd)
	t.Cleanup(func() { // before the supervisor is killed, so that nobody is left behind
		if err := os.WriteFile(filepath.Join(dir, "enough"), nil, 0o600); err != nil {
			t.Error(err)
		}
		terminate(t, dir)
		p.wait(t)
	})
	p.answers(t, "http://"+admin+"/readyz")

	var sent, failed, restarted atomic.Int64
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			client := a.client(t)
			client.Transport.(*http.Transport).DisableKeepAlives = true // each request is a connection
			for sent.Add(1) <= requests || restarted.Load() < int64(restarts) {
				if _, err := say(t.Context(), client, "https://"+host); err != nil {
					failed.Add(1)
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range restarts {
		at := requests * int64(i+1) / int64(restarts+1)
		p.until(t, func() error {
			if n := sent.Load(); n < at && failed.Load() == 0 {
				return fmt.Errorf("%d requests sent", n)
			}
			return nil
		})
		was := terminate(t, dir)
		p.until(t, func() error {
			if now := pid(t, dir); now == was {
				return fmt.Errorf("process %d is not followed", was)
			}
			return nil
		})
		p.answers(t, "http://"+admin+"/readyz")
		restarted.Add(1)
	}
	load.Wait()
	t.Logf("%d requests, %d restarts, %d failed", sent.Load()-8, restarted.Load(), failed.Load())
}

// pid is the process that the supervisor has started last.
func pid(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// terminate ends the program as systemd would.
func terminate(t *testing.T, dir string) int {
	t.Helper()
	n := pid(t, dir)
	if err := syscall.Kill(n, syscall.SIGTERM); err != nil {
		t.Errorf("end process %d: %v", n, err)
	}
	return n
}

// A stop waits for calls, and ends streams at once: their clients come back.
func TestStreamsEndAtOnceWhenTheGatewayStops(t *testing.T) {
	g, a, origin := newPlainSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := a.client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	one := make([]byte, 1)
	if _, err := res.Body.Read(one); err != nil {
		t.Fatal(err)
	}
	g.stop(t, syscall.SIGTERM) // the grace period is 30 s; this waits for less
	if g.err != nil {
		t.Errorf("the gateway ended with %v", g.err)
	}
	for err == nil {
		_, err = res.Body.Read(one)
	}
	if ctx.Err() != nil {
		t.Error("the stream outlived the gateway")
	}
}
