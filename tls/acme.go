package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME says how certificates are obtained from a CA.
type ACME struct {
	Hosts        *Hosts
	Cache        Cache
	Email        string
	DirectoryURL string // empty: Let's Encrypt
	CAFile       string // PEM roots the directory is trusted by; empty: the system's
	AcceptTOS    bool   // must be true: it is the operator's word, not ours
	EABKeyID     string
	EABMACKey    string // base64url

	Log       *slog.Logger                    // nil: slog.Default
	Now       func() time.Time                // nil: time.Now
	OnFailure func(host string, cause Reason) // told of each order that failed; nil: nobody

	// What a failed order is explained with; nil: the system's.
	Lookup func(ctx context.Context, host string) ([]string, error)
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// NewACME checks o, all of it, and talks to nobody: Watch does.
func NewACME(o ACME) (*Automatic, error) {
	o.complete()
	account, err := o.account()
	faults := []error{err, o.hosts(), o.directory()}
	if !o.AcceptTOS {
		faults = append(faults, errors.New("tls.acme.acceptTOS: must be true: read the CA's terms of service and accept them"))
	}
	client, err := o.client()
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	a := &Automatic{o: o, account: account, client: client, known: map[string]known{}, changed: make(chan struct{})}
	a.front = &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: o.Cache, HostPolicy: a.allow}
	return a, nil
}

func (o *ACME) complete() {
	if o.Hosts == nil {
		o.Hosts = NewHosts()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnFailure == nil {
		o.OnFailure = func(string, Reason) {}
	}
	if o.Lookup == nil {
		o.Lookup = net.DefaultResolver.LookupHost
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
}

func (o ACME) hosts() error {
	var faults []error
	for _, name := range o.Hosts.Names() {
		if net.ParseIP(name) != nil || !strings.Contains(name, ".") || strings.Contains(name, "*") {
			faults = append(faults, fmt.Errorf("proxy.hosts: %q is no full domain name, which tls.mode acme needs; tls.mode selfsigned does not", name))
		}
	}
	return errors.Join(faults...)
}

func (o ACME) directory() error {
	if o.DirectoryURL == "" {
		return nil
	}
	if u, err := url.Parse(o.DirectoryURL); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("tls.acme.directoryURL: %q is not an https URL", o.DirectoryURL)
	}
	return nil
}

// account is the external account binding that some CAs demand.
func (o ACME) account() (*acme.ExternalAccountBinding, error) {
	switch {
	case o.EABKeyID == "" && o.EABMACKey == "":
		return nil, nil
	case o.EABKeyID == "":
		return nil, errors.New("tls.acme.eabKeyID: missing, but eabMACKey is set: the CA gives both")
	case o.EABMACKey == "":
		return nil, errors.New("tls.acme.eabMACKey: missing, but eabKeyID is set: the CA gives both")
	}
	// CAs print it with or without padding. The cause is left out: it quotes
	// nothing of the key today, and need not be trusted to stay so.
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(o.EABMACKey, "="))
	if err != nil || len(key) == 0 {
		return nil, errors.New("tls.acme.eabMACKey: not base64url (letters, digits, - and _)")
	}
	return &acme.ExternalAccountBinding{KID: o.EABKeyID, Key: key}, nil
}

// client talks to the CA, and gives up on one that does not answer.
func (o ACME) client() (*http.Transport, error) {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 45 * time.Second, IdleConnTimeout: time.Minute,
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.acme.caFile: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.acme.caFile: no certificate in %s", o.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return transport, nil
}
