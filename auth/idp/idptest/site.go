package idptest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// A site is a server that counts, misbehaves, and may have names of the
// internet.
type site struct {
	address string
	names   []string
	closed  chan struct{}

	mu     sync.Mutex
	faults map[string]Fault
	canned map[string]Canned
	seen   []string // paths, as they were asked for
}

// open serves mux until the test ends. Paths below base are named without it.
func open(t testing.TB, base string, mux *http.ServeMux, names ...string) *site {
	s := &site{names: names, closed: make(chan struct{}), faults: map[string]Fault{}, canned: map[string]Canned{}}
	server := httptest.NewServer(s.failing(base, mux))
	s.address = server.Listener.Addr().String()
	t.Cleanup(func() {
		close(s.closed)
		server.Close()
	})
	return s
}

// Client returns an HTTP client for which the names of the real provider
// (accounts.google.com) lead to this one, and all others nowhere.
func (s *site) Client() *http.Client {
	known := hosts{s.address: s.address}
	for _, name := range s.names {
		known[name] = s.address
	}
	return &http.Client{Transport: known}
}

// Asked returns how often a path was asked for: one of the constants, or a
// whole path of an API.
func (s *site) Asked(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, seen := range s.seen {
		if seen == path {
			n++
		}
	}
	return n
}
