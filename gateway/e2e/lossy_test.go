//go:build e2e

package e2e

import (
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// A lossy network passes on every word to the server, and breaks one connection
// in so many instead of passing on the answer: what was asked for may have been
// done, and nobody hears of it.
type lossy struct {
	addr  string
	lost  atomic.Int64
	rate  int // one answer in so many
	sound atomic.Bool
}

func newLossy(t *testing.T, server string, rate int) *lossy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	l := &lossy{addr: listener.Addr().String(), rate: rate}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(client, server)
		}
	}()
	return l
}

func (l *lossy) carry(client net.Conn, addr string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	answer := make([]byte, 64<<10)
	for n := 0; ; n++ {
		size, err := server.Read(answer)
		if err != nil {
			return
		}
		if n > 5 && !l.sound.Load() && rand.IntN(l.rate) == 0 { // not while it begins, or nobody ever gets through
			l.lost.Add(1)
			return
		}
		if _, err := client.Write(answer[:size]); err != nil {
			return
		}
	}
}
