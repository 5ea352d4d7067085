package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// content is what the two files of a pair held.
type content struct{ cert, key []byte }

func (f *Files) read() ([]content, error) {
	all := make([]content, len(f.pairs))
	var faults []error
	for i, pair := range f.pairs {
		cert, err := os.ReadFile(pair.Cert)
		faults = append(faults, located("tls.files.cert", err))
		key, err := os.ReadFile(pair.Key)
		faults = append(faults, located("tls.files.key", err))
		all[i] = content{cert, key}
	}
	return all, errors.Join(faults...)
}

// swap takes the new certificates into use if all of them are good.
func (f *Files) swap(raw []content) error {
	next := make([]tls.Certificate, len(raw))
	var faults []error
	for i, c := range raw {
		cert, err := f.check(c)
		faults = append(faults, located("tls.files: "+f.pairs[i].Cert, err))
		next[i] = cert
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if err := f.covered(next); err != nil {
		return err
	}
	f.current.Store(&next)
	return nil
}

// soon is when an operator should hear of a certificate that nobody renewed.
const soon = 14 * 24 * time.Hour

func (f *Files) check(c content) (tls.Certificate, error) {
	cert, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return cert, err
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return cert, err
		}
	}
	switch now := f.now(); {
	case now.After(cert.Leaf.NotAfter):
		return cert, fmt.Errorf("expired on %s", cert.Leaf.NotAfter.Format(time.DateOnly))
	case now.Before(cert.Leaf.NotBefore):
		return cert, fmt.Errorf("not valid before %s: is the clock right?", cert.Leaf.NotBefore.Format(time.RFC3339))
	case now.Add(soon).After(cert.Leaf.NotAfter):
		f.log.Warn("certificate expires soon", "host", cert.Leaf.DNSNames, "not_after", cert.Leaf.NotAfter)
	}
	return cert, nil
}

// covered holds that every host has a certificate that names it.
func (f *Files) covered(all []tls.Certificate) error {
	var faults []error
	for _, name := range f.hosts.Names() {
		ok := false
		for i := range all {
			ok = ok || all[i].Leaf.VerifyHostname(name) == nil
		}
		if !ok {
			faults = append(faults, fmt.Errorf("tls.files: no certificate names the host %s", name))
		}
	}
	return errors.Join(faults...)
}

func located(where string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", where, err)
}
