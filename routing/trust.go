package routing

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// TLS says how an https endpoint is believed, and what we show it. The zero
// value believes the system's authorities and shows nothing.
type TLS struct {
	CAFile                string // PEM: the only authorities to believe
	ClientCert, ClientKey string // PEM: what we show
	ServerName            string // the name in the server's certificate; default: the endpoint's
}

// Check returns what is wrong with it; each fault begins with its key.
func (t TLS) Check() error {
	_, err := t.config()
	return err
}

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	var faults []error
	if t.CAFile != "" {
		var err error
		if c.RootCAs, err = authorities(t.CAFile); err != nil {
			faults = append(faults, fmt.Errorf("caFile: %w", err))
		}
	}
	switch {
	case t.ClientCert == "" && t.ClientKey == "":
	case t.ClientCert == "":
		faults = append(faults, errors.New("clientCert: is missing; clientKey is its key"))
	case t.ClientKey == "":
		faults = append(faults, errors.New("clientKey: is missing; it is the key of clientCert"))
	default:
		shown := &shownCert{of: t}
		if err := shown.load(); err != nil {
			faults = append(faults, fmt.Errorf("clientCert: %w", err))
		}
		c.GetClientCertificate = shown.get
	}
	return c, errors.Join(faults...)
}

func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// shownCert is read again for every handshake, of which there are few, because
// certificates of services live for hours. A bad one leaves the last in place.
type shownCert struct {
	of   TLS
	last atomic.Pointer[tls.Certificate]
}

func (s *shownCert) load() error {
	cert, err := tls.LoadX509KeyPair(s.of.ClientCert, s.of.ClientKey)
	if err == nil {
		s.last.Store(&cert)
	}
	return err
}

func (s *shownCert) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	err := s.load()
	if cert := s.last.Load(); cert != nil {
		return cert, nil
	}
	return nil, err
}
