package tls

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Pair names the files of a certificate chain and its key, both PEM.
type Pair struct{ Cert, Key string }

// FilesOptions are what NewFiles needs beside the pairs.
type FilesOptions struct {
	Hosts *Hosts           // nil: any name that a pair has
	Log   *slog.Logger     // nil: slog.Default
	Now   func() time.Time // nil: time.Now
}

// Files is the source of certificates that lie in files.
type Files struct {
	pairs   []Pair
	hosts   *Hosts
	log     *slog.Logger
	now     func() time.Time
	current atomic.Pointer[[]tls.Certificate]

	mu   sync.Mutex // one reload at a time
	seen digest     // of what the last one read, good or bad
}

// NewFiles loads the pairs and checks them: each key fits, none is expired,
// and together they name every host.
func NewFiles(pairs []Pair, o FilesOptions) (*Files, error) {
	f := &Files{pairs: pairs, hosts: o.Hosts, log: o.Log, now: o.Now}
	if f.log == nil {
		f.log = slog.Default()
	}
	if f.now == nil {
		f.now = time.Now
	}
	if f.hosts == nil {
		f.hosts = NewHosts()
	}
	if len(pairs) == 0 {
		return nil, errors.New("tls.files: name at least one pair of cert and key")
	}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the files again. On an error the certificates in use stay.
func (f *Files) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, err := f.read()
	f.seen = sum(raw, err)
	if err != nil {
		return err
	}
	return f.swap(raw)
}

// Config implements Source.
func (f *Files) Config() *tls.Config { return configuration(f.certificate) }

// HTTPHandler implements Source: there is nobody to prove anything to.
func (f *Files) HTTPHandler(next http.Handler) http.Handler { return next }

// Status implements Source.
func (f *Files) Status() []Status {
	var all []Status
	for _, name := range f.hosts.Names() {
		s := Status{Host: name}
		for _, c := range *f.current.Load() {
			if c.Leaf.VerifyHostname(name) == nil && c.Leaf.NotAfter.After(s.NotAfter) {
				s.NotAfter = c.Leaf.NotAfter
			}
		}
		if s.NotAfter.IsZero() {
			s.Problem = "no file of tls.files names the host"
		}
		all = append(all, s)
	}
	return all
}

// certificate picks by name, then by what the client can verify, so that an
// ECDSA and an RSA pair may stand for the same host. Clients that dialed an
// address name nothing; they get the pair that names the address, or the first.
func (f *Files) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := *f.current.Load()
	name := hostname(hello.ServerName)
	if name == "" {
		name = address(hello)
	}
	var named *tls.Certificate
	for i := range all {
		if all[i].Leaf.VerifyHostname(name) != nil {
			continue
		}
		if hello.SupportsCertificate(&all[i]) == nil {
			return &all[i], nil
		}
		if named == nil {
			named = &all[i]
		}
	}
	if named == nil && hello.ServerName == "" {
		named = &all[0]
	}
	return named, nil // nil: as none
}

// address is the IP address that the client dialed, as far as we see.
func address(hello *tls.ClientHelloInfo) string {
	if hello.Conn == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String())
	if err != nil {
		return ""
	}
	return host
}
