//go:build e2e

package e2e

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// testssl.sh finds nothing in our TLS. It runs in a network of its own, where
// port 443 is free: only there browsers are told to stay on https.
func TestTestsslFindsNothing(t *testing.T) {
	t.Parallel()
	a, dir := newAuthority(t), t.TempDir()
	cert, key := a.issueAsPublicCAsDo(t, "mcp.example.test")
	conf := writeConfig(t, settings{
		"server": settings{"addr": "127.0.0.1:443", "httpAddr": "127.0.0.1:80", "adminAddr": "127.0.0.1:9090", "adminSocket": filepath.Join(os.TempDir(), "gw-testssl-"+strconv.Itoa(os.Getpid())+".sock")},
		"store":  settings{"url": "bolt://" + filepath.Join(dir, "state.db")},
		"tls":    settings{"mode": "files", "files": settings{"cert": cert, "key": key}},
		"provider": settings{"name": "local", "users": []settings{{"username": "ada",
			"passwordHash": "$2a$10$CwTycUXWue0Thq9StjUM0uJ8.Xx1n2n3pUpoB5b1Kk0o2rVXyq0Z6"}}},
		"proxy": settings{"hosts": []settings{{"host": "mcp.example.test", "endpoint": "http://127.0.0.1:3001/mcp"}}},
	})
	g := start(t, exec.Command("unshare", "--net", "sh", "-c", `ip link set lo up && exec "$0" serve --config "$1"`, must(t, product), conf))
	g.says(t, `"address":"127.0.0.1:443"`)
	report := filepath.Join(dir, "report.json")
	args := []string{
		"--net", "--target", strconv.Itoa(g.cmd.Process.Pid), "testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none",
		"--add-ca", a.file, "--ip", "127.0.0.1", "--jsonfile", report,
	}
	if !long() { // what differs between servers; the rest is crypto/tls's
		args = append(args, "--protocols", "--std", "--server-defaults", "--headers")
	}
	// It ends with the number of findings; the report says which.
	out, runErr := exec.CommandContext(t.Context(), "nsenter", append(args, "https://mcp.example.test/.well-known/oauth-authorization-server")...).CombinedOutput()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("testssl: %v %v\n%s", runErr, err, out)
	}
	var findings []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(text, &findings); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	kinds := map[string]int{}
	for _, f := range findings {
		kinds[f.Severity]++
		if f.Severity != "OK" && f.Severity != "INFO" && !notOurs[f.ID] {
			t.Errorf("%s %s: %s", f.Severity, f.ID, f.Finding)
		}
	}
	t.Logf("findings: %v", kinds)
	if kinds["OK"] < 10 {
		t.Errorf("testssl saw little: %v\n%s", runErr, out)
	}
}

// notOurs is what testssl finds that is not for us to change.
var notOurs = map[string]bool{
	"engine_problem":     true, // about the openssl that testssl runs
	"TLS_session_ticket": true, // crypto/tls says that tickets are good for a week, always
}

// issueAsPublicCAsDo says where to ask whether it was revoked, and is not for
// long.
func (a *authority) issueAsPublicCAsDo(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	dir, key := t.TempDir(), newKey(t)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	serial := new(big.Int).SetBytes([]byte("\x4e2e-testssl-serial"))
	a.sign(t, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(89 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		CRLDistributionPoints: []string{"http://crl.example.test/ca.crl"},
	}, key, certFile)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, keyFile, "PRIVATE KEY", der)
	return certFile, keyFile
}
