//go:build e2e

package e2e

import (
	"context"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// long says whether a test does the whole of what it takes a sample of in CI.
func long() bool { return os.Getenv("LONG") != "" }

// newPlainSite is a site whose certificate is there from the start.
func newPlainSite(t *testing.T) (g *gateway, a *authority, origin string) {
	t.Helper()
	addr := freeAddr(t)
	a = newAuthority(t)
	cert, key := a.issue(t, "mcp.example.test")
	host := "mcp.example.test:" + port(t, addr)
	return serve(t, addr, settings{
		"tls":   settings{"mode": "files", "files": settings{"cert": cert, "key": key}},
		"proxy": settings{"hosts": []settings{{"host": host, "endpoint": startUpstream(t) + "/mcp", "public": true}}},
	}), a, "https://" + host
}

// Clients that connect and are silent, or say a byte in a second, cost nobody
// else an answer, and are sent away.
func TestSilentAndSlowClientsHoldNobodyUp(t *testing.T) {
	g, a, origin := newPlainSite(t)
	const clients = 2000
	var open, sentAway atomic.Int32
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for i := range clients {
		all.Go(func() {
			if err := loiter(ctx, g.addr, i%4, &open); err == nil {
				sentAway.Add(1)
			} else if ctx.Err() == nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	g.until(t, func() error {
		if n := open.Load(); n < clients {
			return fmt.Errorf("%d clients of %d have connected", n, clients)
		}
		return nil
	})
	client := a.client(t)
	answered := 0
	for sentAway.Load() < clients {
		fresh := a.client(t) // a new connection, in the same crowd
		for _, c := range []*http.Client{fresh, client} {
			if _, err := say(t.Context(), c, origin); err != nil {
				t.Fatalf("while %d loiter: %v", clients-sentAway.Load(), err)
			}
		}
		fresh.CloseIdleConnections()
		answered += 2
	}
	t.Logf("%d requests answered before all of %d clients were sent away", answered, clients)
}

// loiter connects and does nothing, or little, until it is sent away.
func loiter(ctx context.Context, addr string, how int, open *atomic.Int32) error {
	var conn net.Conn
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	drip := ""
	switch how {
	case 0: // says nothing at all
	case 1: // half a handshake
		drip = "\x16\x03\x01\x02\x00\x01" + strings.Repeat("x", 100)
	case 2, 3: // a good handshake, and then half a request
		over := stdtls.Client(conn, &stdtls.Config{ServerName: "mcp.example.test", InsecureSkipVerify: true})
		if err := over.HandshakeContext(ctx); err != nil {
			return err
		}
		conn = over
		drip = "GET / HTTP/1.1\r\nHost: mcp.example.test\r\nX: " + strings.Repeat("x", 100)
		if how == 3 {
			drip = ""
		}
	}
	open.Add(1)
	go func() {
		for _, b := range []byte(drip) {
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
	}()
	// Until the other side has had enough; how it says so does not matter.
	_, err = io.Copy(io.Discard, conn)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}
