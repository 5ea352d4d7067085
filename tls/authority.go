package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// authority is the local CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 30 * 24 * time.Hour
	// skew lets clients whose clock is behind believe us at once.
	skew = time.Hour
)

func newAuthority(now time.Time) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	number := serial()
	template := &x509.Certificate{
		SerialNumber: number,
		// Told apart in a trust store that has met more than one of us.
		Subject:               pkix.Name{Organization: []string{"mcp-oauth2-proxy"}, CommonName: fmt.Sprintf("mcp-oauth2-proxy local CA %.8x", number)},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return authority{cert, key}, err
}

// issue makes a certificate for names and addresses, good for TLS servers only.
func (a authority) issue(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"mcp-oauth2-proxy"}, CommonName: common(names[0])},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(leafLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, err
}

// encode is the key and the certificate, one PEM block each.
func (a authority) encode() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: key}, {Type: "CERTIFICATE", Bytes: a.cert.Raw}} {
		if err := pem.Encode(&b, block); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

var errBrokenCA = errors.New("the stored local CA cannot be read; delete it to have a new one made, which clients must then trust anew")

func parseAuthority(raw []byte) (authority, error) {
	pair, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		return authority{}, fmt.Errorf("%w: %w", errBrokenCA, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return authority{}, errBrokenCA
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil || !cert.IsCA {
		return authority{}, errBrokenCA
	}
	return authority{cert, key}, nil
}

// addresses are those of the names that are IP addresses.
func addresses(names []string) []string {
	var ips []string
	for _, name := range names {
		if net.ParseIP(name) != nil {
			ips = append(ips, name)
		}
	}
	return ips
}

// common cuts a name to the 64 characters that X.509 allows a common name;
// what counts is the subject alternative name.
func common(name string) string { return name[:min(len(name), 64)] }

func serial() *big.Int {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	raw[0] &= 0x7f
	return new(big.Int).SetBytes(raw)
}
