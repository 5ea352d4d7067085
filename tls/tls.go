// Package tls decides which certificate we show: one that a CA issues by ACME,
// one from files, or one of a local CA of our own.
//
// It promises that a name nobody configured gets no certificate and never
// costs a request to a CA, and that a certificate that works is never replaced
// by one that does not. It knows neither the store (it is given a
// Cache) nor what is served.
package tls

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/idna"
)

// Source is where certificates come from.
type Source interface {
	// Config is for the HTTPS listener.
	Config() *tls.Config
	// HTTPHandler answers on port 80 what proves our names to a CA and leaves
	// the rest to next.
	HTTPHandler(next http.Handler) http.Handler
	// Watch keeps the certificates good until ctx ends.
	Watch(ctx context.Context)
	// Status says of each host how it stands.
	Status() []Status
}

// Status is how it stands with the certificate of a host.
type Status struct {
	Host     string
	NotAfter time.Time // zero: there is none
	Problem  string    // why there is none, or none newer; empty: nothing is wrong
	Next     time.Time // when the CA is asked again; zero: not planned
}

// Cache is what replicas share: certificates, the account at the CA, what
// answers its challenges, and whose turn it is.
type Cache interface {
	autocert.Cache
	// Elect makes the caller the only one who does what name says, until it
	// resigns or dies. elected is false while somebody else is.
	Elect(ctx context.Context, name string) (resign func(), elected bool, err error)
}

// configuration is what all sources have in common: versions and cipher suites
// are Go's defaults, which age better than a list of ours.
func configuration(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   suites(),
		NextProtos:     append([]string{"h2", "http/1.1"}, protocols...),
		GetCertificate: get,
		// An answer of a kilobyte or two is of no use in halves, which is how a new
		// connection would write it.
		DynamicRecordSizingDisabled: true,
	}
}

// suites are Go's for TLS 1.2 but those that encrypt in CBC mode or without
// forward secrecy: no client of the last ten years needs them, and scanners mark
// them. Those of TLS 1.3 are not ours to choose.
func suites() []uint16 {
	var ids []uint16
	for _, s := range tls.CipherSuites() {
		if strings.HasPrefix(s.Name, "TLS_ECDHE_") && !strings.Contains(s.Name, "_CBC_") {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// none makes crypto/tls end the handshake with the alert unrecognized_name;
// an error would be the alert internal_error, as if the fault were ours.
func none() (*tls.Certificate, error) { return nil, nil }

// Hosts are the authorities we answer as. They may be replaced while serving:
// every source and the redirect ask here each time.
type Hosts struct{ current atomic.Pointer[hosts] }

type hosts struct {
	names       []string          // without port, in the order given
	authorities map[string]string // name → authority
	replaced    chan struct{}     // closed when these are no longer the hosts
}

// NewHosts holds the given authorities (host or host:port).
func NewHosts(authorities ...string) *Hosts {
	h := &Hosts{}
	h.Set(authorities...)
	return h
}

// Set replaces all authorities.
func (h *Hosts) Set(authorities ...string) {
	next := &hosts{authorities: map[string]string{}, replaced: make(chan struct{})}
	for _, authority := range authorities {
		name := hostname(authority)
		if _, ok := next.authorities[name]; ok || name == "" {
			continue
		}
		next.names = append(next.names, name)
		next.authorities[name] = authority
	}
	if old := h.current.Swap(next); old != nil {
		close(old.replaced)
	}
}

// replaced is closed at the next Set.
func (h *Hosts) replaced() <-chan struct{} { return h.current.Load().replaced }

// Names are the host names, without ports.
func (h *Hosts) Names() []string { return h.current.Load().names }

// Authority is the configured authority of the host that a client named in
// whatever spelling: any case, any port, with or without a trailing dot.
func (h *Hosts) Authority(host string) (string, bool) {
	authority, ok := h.current.Load().authorities[hostname(host)]
	return authority, ok
}

func (h *Hosts) has(host string) bool {
	_, ok := h.Authority(host)
	return ok
}

// hostname is the one spelling of a host: lower case, ASCII, without port,
// brackets or trailing dot.
func hostname(authority string) string {
	name := authority
	if host, _, err := net.SplitHostPort(authority); err == nil {
		name = host
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if ip := net.ParseIP(name); ip != nil {
		return ip.String()
	}
	if ascii, err := idna.Lookup.ToASCII(name); err == nil {
		return ascii
	}
	return name
}
