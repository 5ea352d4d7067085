//go:build e2e

package e2e

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A toxic is a network between the gateway and something that it needs. What is
// wrong with it changes while it runs.
type toxic struct {
	addr, server string

	mu    sync.Mutex
	ill   illness
	over  chan struct{} // closed when the illness changes
	conns map[net.Conn]bool

	fell [illnesses]atomic.Int64 // how often each came over a connection
}

type illness int

const (
	healthy  illness = iota
	dragging         // every piece takes its time
	cut              // connections end in the middle
	closed           // connections end at once
	silent           // nothing comes through, until that is over
	reset            // all connections end, those that were there as well
	illnesses
)

// newToxic leads to the server at addr.
func newToxic(t *testing.T, server string) *toxic {
	t.Helper()
	l, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	x := &toxic{addr: l.Addr().String(), server: server, over: make(chan struct{}), conns: map[net.Conn]bool{}}
	t.Cleanup(func() {
		_ = l.Close()
		x.fall(reset)
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go x.carry(client, server)
		}
	}()
	return x
}

// fall makes it ill in another way, or sound again.
func (x *toxic) fall(ill illness) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ill = ill
	close(x.over)
	x.over = make(chan struct{})
	if ill == reset {
		x.fell[reset].Add(int64(len(x.conns)))
		for c := range x.conns {
			_ = c.Close()
		}
	}
}

func (x *toxic) now() (illness, <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ill, x.over
}

func (x *toxic) keep(c net.Conn, is bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if is {
		x.conns[c] = true
	} else {
		delete(x.conns, c)
	}
}

func (x *toxic) carry(client net.Conn, addr string) {
	defer func() { _ = client.Close() }()
	if ill, _ := x.now(); ill == closed || ill == reset {
		x.fell[ill].Add(1)
		return
	}
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	for _, c := range []net.Conn{client, server} {
		x.keep(c, true)
		defer x.keep(c, false)
	}
	go x.copy(server, client)
	x.copy(client, server)
}

// copy carries one direction, and ends both when that ends.
func (x *toxic) copy(to, from net.Conn) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
	}()
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if err != nil || !x.passes(n) {
			return
		}
		if _, err := to.Write(piece[:n]); err != nil {
			return
		}
	}
}

// passes does to a piece what the illness does, and says whether it arrives.
func (x *toxic) passes(n int) bool {
	ill, over := x.now()
	switch ill {
	case dragging:
		x.fell[ill].Add(1)
		select {
		case <-time.After(time.Duration(20+rand.IntN(200)) * time.Millisecond):
		case <-over:
		}
	case silent:
		x.fell[ill].Add(1)
		<-over
	case cut:
		if n > 0 && rand.IntN(4) == 0 {
			x.fell[ill].Add(1)
			return false
		}
	}
	return true
}

// suffer lets the networks fall ill in turn, each of them by everything, until
// ctx ends, and heals them.
func suffer(ctx context.Context, all ...*toxic) {
	for ctx.Err() == nil {
		for _, n := range rand.Perm(len(all) * int(illnesses)) {
			x := all[n%len(all)]
			x.fall(illness(n / len(all)))
			select {
			case <-time.After(time.Duration(200+rand.IntN(1500)) * time.Millisecond):
			case <-ctx.Done():
			}
			if rand.IntN(2) == 0 {
				x.fall(healthy)
			}
		}
	}
	for _, x := range all {
		x.fall(healthy)
	}
}
