package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
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
	Cache        autocert.Cache
	Email        string
	DirectoryURL string // empty: Let's Encrypt
	CAFile       string // PEM roots the directory is trusted by; empty: the system's
	AcceptTOS    bool   // must be true: it is the operator's word, not ours
	EABKeyID     string
	EABMACKey    string // base64url
}

// Automatic is the source of certificates that a CA issues by ACME.
type Automatic struct {
	hosts   *Hosts
	manager *autocert.Manager
}

// errUnknownHost is what the CA is never asked about.
var errUnknownHost = errors.New("not one of the configured hosts")

// NewACME checks o, all of it, and talks to nobody: the first certificate is
// asked for when a client wants it.
func NewACME(o ACME) (*Automatic, error) {
	if o.Hosts == nil {
		o.Hosts = NewHosts()
	}
	account, err := o.account()
	faults := []error{err, o.hosts(), o.directory()}
	if !o.AcceptTOS {
		faults = append(faults, errors.New("tls.acme.acceptTOS: must be true: read the CA's terms of service and accept them"))
	}
	client, err := o.client()
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	a := &Automatic{hosts: o.Hosts}
	a.manager = &autocert.Manager{
		Prompt:                 autocert.AcceptTOS,
		Cache:                  o.Cache,
		HostPolicy:             a.allow,
		Email:                  o.Email,
		ExternalAccountBinding: account,
		Client:                 &acme.Client{DirectoryURL: o.DirectoryURL, HTTPClient: client, UserAgent: "mcp-oauth2-proxy"},
	}
	return a, nil
}

// Config implements Source. It answers TLS-ALPN-01 challenges too.
func (a *Automatic) Config() *tls.Config {
	return configuration(a.certificate, acme.ALPNProto)
}

// HTTPHandler implements Source: it answers HTTP-01 challenges.
func (a *Automatic) HTTPHandler(next http.Handler) http.Handler {
	return a.manager.HTTPHandler(next)
}

func (a *Automatic) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if !a.hosts.has(hello.ServerName) {
		return none()
	}
	return a.manager.GetCertificate(hello)
}

// allow is autocert's HostPolicy. It sees Host headers of port 80 as well,
// which carry whatever port and spelling the client chose.
func (a *Automatic) allow(_ context.Context, host string) error {
	if !a.hosts.has(host) {
		return fmt.Errorf("certificate for %q: %w", host, errUnknownHost)
	}
	return nil
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
func (o ACME) client() (*http.Client, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second}
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
	return &http.Client{Transport: transport, Timeout: time.Minute}, nil
}
