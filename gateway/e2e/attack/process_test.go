//go:build e2e

package attack

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// patience bounds every single wait.
const patience = 60 * time.Second

// settings is a piece of configuration; JSON is YAML.
type settings map[string]any

// A gateway is a build of the program, serving.
type gateway struct {
	cmd   *exec.Cmd
	out   *text
	done  chan struct{} // closed when it has ended
	audit string        // the file
}

// text collects what a process prints.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *text) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *text) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// serve starts a build with the configuration and waits until it is ready. It
// believes the servers of those who are in roots, and finds what before has left
// in the file of its store.
func serve(t testing.TB, bin string, conf settings, roots string, before func(store string)) *gateway {
	t.Helper()
	dir := t.TempDir()
	admin := freeAddr(t)
	server := conf["server"].(settings)
	server["adminAddr"] = admin
	server["adminSocket"] = filepath.Join(dir, "admin.sock")
	g := &gateway{out: &text{}, done: make(chan struct{}), audit: filepath.Join(dir, "audit.log")}
	conf["audit"] = settings{"path": g.audit}
	state := filepath.Join(dir, "state.db")
	before(state)
	conf["store"] = settings{"url": "bolt://" + state}
	file := filepath.Join(dir, "config.yaml")
	b, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	g.cmd = exec.Command(bin, "serve", "--config", file)
	g.cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+roots)
	g.cmd.Stdout, g.cmd.Stderr = g.out, g.out
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = g.cmd.Wait()
		close(g.done)
	}()
	t.Cleanup(func() {
		_ = g.cmd.Process.Kill()
		<-g.done
	})
	g.ready(t, "http://"+admin+"/readyz")
	return g
}

func (g *gateway) ready(t testing.TB, url string) {
	t.Helper()
	again, late := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer again.Stop()
	for {
		if res, err := http.Get(url); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-g.done:
			t.Fatalf("the gateway ended:\n%s", g.out)
		case <-late:
			t.Fatalf("the gateway is never ready:\n%s", g.out)
		case <-again.C:
		}
	}
}

// freeAddr is an address on which nobody listens, of a port that the system
// gives to no outgoing connection.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 12000+mrand.IntN(20000)))
		if err == nil {
			defer func() { _ = l.Close() }()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// certificate writes a certificate for the names and its key, and returns who
// believes it.
func certificate(t testing.TB, names ...string) (certFile, keyFile string, believed *x509.CertPool, pair stdtls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "attack"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.ParseIP(honestAddr), net.ParseIP(rogueAddr)},
		IsCA:        true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, b := range map[string][]byte{certFile: certPEM, keyFile: keyPEM} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	believed = x509.NewCertPool()
	believed.AppendCertsFromPEM(certPEM)
	if pair, err = stdtls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile, believed, pair
}
