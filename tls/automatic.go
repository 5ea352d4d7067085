package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// Automatic is the source of certificates that a CA issues by ACME.
//
// A handshake never asks the CA: Watch does, beforehand, one host at a time, and
// only while no other replica does. So strangers cannot spend what a CA allows
// us, whatever they send.
type Automatic struct {
	o       ACME
	account *acme.ExternalAccountBinding
	client  *http.Transport
	front   *autocert.Manager // answers challenges, whichever replica asked
	port80  atomic.Bool       // somebody serves HTTPHandler

	mu      sync.Mutex
	known   map[string]known
	changed chan struct{} // closed and replaced when known changes
}

// known is what there is of a host.
type known struct {
	cert   *tls.Certificate // what we show; it may have expired
	unkept []byte           // the certificate, until the cache has it
	last   attempt          // zero: nothing has failed
}

var (
	// errUnknownHost is what the CA is never asked about.
	errUnknownHost = errors.New("not one of the configured hosts")
	errNone        = errors.New("no certificate yet")
)

// Config implements Source. It answers TLS-ALPN-01 challenges too.
func (a *Automatic) Config() *tls.Config {
	return configuration(a.certificate, acme.ALPNProto)
}

// HTTPHandler implements Source: it answers HTTP-01 challenges.
func (a *Automatic) HTTPHandler(next http.Handler) http.Handler {
	a.port80.Store(true)
	return a.front.HTTPHandler(next)
}

// allow is autocert's HostPolicy. It sees Host headers of port 80 as well,
// which carry whatever port and spelling the client chose.
func (a *Automatic) allow(_ context.Context, host string) error {
	if !a.o.Hosts.has(host) {
		return fmt.Errorf("certificate for %q: %w", host, errUnknownHost)
	}
	return nil
}

// firstWait is how long a handshake waits for the first certificate of a host;
// net/http bounds handshakes too.
const firstWait = 8 * time.Second

func (a *Automatic) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := hostname(hello.ServerName)
	if !a.o.Hosts.has(name) {
		return none()
	}
	if slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) {
		return a.front.GetCertificate(hello)
	}
	if k, _ := a.look(name); k.cert != nil {
		return k.cert, nil
	}
	ctx, cancel := context.WithTimeout(hello.Context(), firstWait)
	defer cancel()
	for {
		k, changed := a.look(name)
		if k.cert != nil {
			return k.cert, nil
		}
		if k.last.Problem != "" {
			return nil, fmt.Errorf("%w for %s: %s", errNone, name, k.last.Problem)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w for %s: the CA has not answered", errNone, name)
		}
	}
}

// look returns what is known of a host, and what is closed when that changes.
func (a *Automatic) look(name string) (known, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[name], a.changed
}

func (a *Automatic) note(name string, change func(*known)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.known[name]
	change(&k)
	a.known[name] = k
	close(a.changed)
	a.changed = make(chan struct{})
}

// Status implements Source.
func (a *Automatic) Status() []Status {
	var all []Status
	for _, name := range a.o.Hosts.Names() {
		k, _ := a.look(name)
		s := Status{Host: name, Problem: k.last.Problem, Next: k.last.NotBefore}
		if k.cert != nil {
			s.NotAfter = k.cert.Leaf.NotAfter
		} else if s.Problem == "" {
			s.Problem = "the CA has not answered yet"
		}
		all = append(all, s)
	}
	return all
}
