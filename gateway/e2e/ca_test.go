//go:build e2e

package e2e

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// A publicCA is pebble, the ACME server that Let's Encrypt tests with, and a DNS
// server in which every name is 127.0.0.1. In front of it stands whatever goes
// wrong with a CA.
type publicCA struct {
	directoryURL, file string // file: the certificate that the directory is trusted by
	roots              *x509.CertPool
	front              *front
}

// caOptions are what is special about a publicCA.
type caOptions struct {
	tlsPort, httpPort string // where it looks for proofs; "": where nobody listens
	life              time.Duration
	macKey            string // of the account "known"; if set, others are refused
}

func newPublicCA(t *testing.T, o caOptions) *publicCA {
	t.Helper()
	logger := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	issuer := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(o.life / time.Second)}})
	verifier := va.New(logger, number(t, o.httpPort), number(t, o.tlsPort), false, startDNS(t), store)
	if o.macKey != "" {
		if err := store.AddExternalAccountKeyByID("known", o.macKey); err != nil {
			t.Fatal(err)
		}
	}
	web := wfe.New(logger, store, verifier, issuer, []string{"pebble.letsencrypt.org"}, false, o.macKey != "", 0, 0)
	f := &front{next: web.Handler(), orders: map[string]int{}}
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	root := httptest.NewRecorder()
	web.ManagementHandler().ServeHTTP(root, httptest.NewRequest(http.MethodGet, wfe.RootCertPath+"0", nil))
	c := &publicCA{directoryURL: server.URL + wfe.DirectoryPath, file: filepath.Join(t.TempDir(), "directory.pem"), roots: x509.NewCertPool(), front: f}
	if !c.roots.AppendCertsFromPEM(root.Body.Bytes()) {
		t.Fatalf("pebble has no root: %s", root.Body)
	}
	writePEM(t, c.file, "CERTIFICATE", server.Certificate().Raw)
	return c
}

// settings are those of tls for this CA.
func (c *publicCA) settings() settings {
	return settings{"mode": "acme", "acme": settings{"directoryURL": c.directoryURL, "caFile": c.file, "acceptTOS": true, "email": "ops@example.test"}}
}

// number is a port; "" is one where nobody listens.
func number(t *testing.T, port string) int {
	t.Helper()
	if port == "" {
		return 1
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// startDNS starts a DNS server and returns its address.
func startDNS(t *testing.T) string {
	t.Helper()
	addr := freeAddr(t)
	dns, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{addr}, Log: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	dns.SetDefaultDNSIPv6("")
	go dns.Run()
	t.Cleanup(dns.Shutdown)
	(&process{done: make(chan struct{})}).accepts(t, addr)
	return addr
}

// How a front answers.
type weather int

const (
	fine weather = iota
	down
	slow
	refusing
	limiting
	weathers
)

func (w weather) String() string {
	return [...]string{"is fine", "is down", "is slow", "refuses", "answers rateLimited"}[w]
}

// front stands before a CA: it counts what is asked, and decides what the CA is
// like today.
type front struct {
	next http.Handler

	mu      sync.Mutex
	is      weather
	orders  map[string]int // by host, those that the CA took
	refused int
}

func (f *front) set(w weather) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.is = w
}

// counted returns the orders of each host that the CA took, and how many were
// turned down before.
func (f *front) counted() (map[string]int, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.orders), f.refused
}

// slowness is how long a slow CA takes for each answer. An order takes at least
// eight.
const slowness = 700 * time.Millisecond

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	switch f.today(r.URL.Path, body) {
	case down:
		panic(http.ErrAbortHandler) // the connection breaks
	case slow:
		select {
		case <-time.After(slowness):
		case <-r.Context().Done():
			return
		}
	case refusing:
		f.problem(w, http.StatusForbidden, "rejectedIdentifier", "this name is not wanted today")
		return
	case limiting:
		w.Header().Set("Retry-After", "3")
		f.problem(w, http.StatusTooManyRequests, "rateLimited", "too many new orders recently")
		return
	}
	answer := &statusOf{ResponseWriter: w}
	f.next.ServeHTTP(answer, r)
	if answer.status == http.StatusCreated { // pebble sends some away for their nonce, and they come again
		f.count(ordered(r.URL.Path, body))
	}
}

// statusOf remembers the status of an answer.
type statusOf struct {
	http.ResponseWriter
	status int
}

func (s *statusOf) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (f *front) count(hosts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, host := range hosts {
		f.orders[host]++
	}
}

// today is how this request is answered: refusals and limits are for orders.
func (f *front) today(path string, body []byte) weather {
	f.mu.Lock()
	defer f.mu.Unlock()
	hosts := ordered(path, body)
	if f.is == fine || f.is == slow || len(hosts) == 0 && f.is != down {
		if f.is == slow {
			return slow
		}
		return fine
	}
	f.refused += len(hosts)
	return f.is
}

func (f *front) problem(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":%q,"status":%d}`, kind, detail, status)
}

// ordered are the names of a new order (RFC 8555 §7.4); the signature is
// pebble's to check.
func ordered(path string, body []byte) []string {
	var signed struct{ Payload string }
	if !strings.HasPrefix(path, "/order-plz") || json.Unmarshal(body, &signed) != nil {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(signed.Payload)
	if err != nil {
		return nil
	}
	var order struct{ Identifiers []struct{ Value string } }
	if json.Unmarshal(payload, &order) != nil {
		return nil
	}
	var hosts []string
	for _, id := range order.Identifiers {
		hosts = append(hosts, id.Value)
	}
	return hosts
}
