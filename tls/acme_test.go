package tls

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/acme"
)

// directory is a CA of which only the door is there: it counts who knocks.
func directory(t *testing.T) (url, caFile string, knocks *atomic.Int32) {
	t.Helper()
	knocks = &atomic.Int32{}
	url, caFile = front(t, func(w http.ResponseWriter, _ *http.Request) {
		knocks.Add(1)
		http.Error(w, "closed", http.StatusForbidden)
	})
	return url, caFile, knocks
}

// front is a CA that answers everything as told.
func front(t *testing.T, answer http.HandlerFunc) (url, caFile string) {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	write(t, caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return server.URL, caFile
}

// automatic is a source that asks the CA at url, one whose names DNS has not.
func automatic(t *testing.T, cache Cache, url, caFile string, change func(*ACME)) *Automatic {
	t.Helper()
	o := ACME{
		Hosts: NewHosts("mcp.example.com:443"), Cache: cache, DirectoryURL: url, CAFile: caFile, AcceptTOS: true,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Lookup: func(_ context.Context, host string) ([]string, error) {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		},
	}
	if change != nil {
		change(&o)
	}
	a, err := NewACME(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestACMEAsksTheCAForConfiguredHostsOnly(t *testing.T) {
	url, caFile, knocks := directory(t)
	a := automatic(t, &memory{}, url, caFile, nil)
	addr := serve(t, a)
	for name, sni := range map[string]string{"X26 a stranger's name": "stranger.example.com", "no name": "", "X26 a name below ours": "x.mcp.example.com"} {
		t.Run(name+" is refused before the CA is asked", func(t *testing.T) {
			_, err := dial(t, addr, sni, nil, nil)
			wantUnrecognized(t, err)
			if n := knocks.Load(); n != 0 {
				t.Errorf("the CA was asked %d times", n)
			}
		})
	}
	t.Run("our name in capitals fails once the CA that caFile trusts has refused, and asks it nothing", func(t *testing.T) {
		if wait := a.pass(t.Context()); wait <= 0 || knocks.Load() == 0 {
			t.Fatalf("the CA was asked %d times; look again in %s", knocks.Load(), wait)
		}
		asked := knocks.Load()
		for range 3 {
			if _, err := dial(t, addr, "MCP.example.com", nil, nil); err == nil {
				t.Error("a certificate came from nowhere")
			}
		}
		if n := knocks.Load() - asked; n != 0 {
			t.Errorf("handshakes asked the CA %d times", n)
		}
	})
}

func TestACMEHostPolicy(t *testing.T) {
	a, err := NewACME(ACME{Hosts: NewHosts("mcp.example.com", "notes.example.com:8443"), AcceptTOS: true})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"mcp.example.com": true, "MCP.EXAMPLE.COM": true, "mcp.example.com:80": true, "mcp.example.com.": true,
		"notes.example.com": true, "notes.example.com:8443": true,
		"example.com": false, "evil-mcp.example.com": false, "mcp.example.com.evil.example": false, "*.example.com": false, "": false,
	} {
		t.Run("X26 "+host, func(t *testing.T) {
			if err := a.allow(t.Context(), host); (err == nil) != want {
				t.Errorf("allowed: %v, error %v", want, err)
			}
		})
	}
}

func TestACMEConfig(t *testing.T) {
	a, err := NewACME(ACME{Hosts: NewHosts("mcp.example.com"), AcceptTOS: true, EABKeyID: "kid", EABMACKey: "c2VjcmV0LWtleQ=="})
	if err != nil {
		t.Fatal(err)
	}
	if c := a.Config(); c.MinVersion != tls.VersionTLS12 || !slices.Equal(c.NextProtos, []string{"h2", "http/1.1", acme.ALPNProto}) {
		t.Errorf("MinVersion %x, NextProtos %v", c.MinVersion, c.NextProtos)
	}
	if b := a.account; b == nil || b.KID != "kid" || string(b.Key) != "secret-key" {
		t.Errorf("account binding %v", b)
	}
}

func TestACMEServesHTTP01AndPassesTheRest(t *testing.T) {
	cache := &memory{data: map[string][]byte{"token+http-01": []byte("token.thumbprint")}}
	h := NewHosts("mcp.example.com")
	a, err := NewACME(ACME{Hosts: h, Cache: cache, AcceptTOS: true})
	if err != nil {
		t.Fatal(err)
	}
	handler := a.HTTPHandler(Redirect(h))
	for name, tc := range map[string]struct {
		target string
		status int
		body   string
	}{
		"a challenge is answered, whatever the port": {"http://mcp.example.com:80/.well-known/acme-challenge/token", 200, "token.thumbprint"},
		"a stranger's challenge is not":              {"http://stranger.example.com/.well-known/acme-challenge/token", 403, ""},
		"the rest is redirected":                     {"http://mcp.example.com/mcp", 308, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tc.target, nil))
			if w.Code != tc.status || tc.body != "" && w.Body.String() != tc.body {
				t.Errorf("%d %q", w.Code, w.Body)
			}
		})
	}
}

func TestNewACMENamesEveryFault(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	write(t, empty, nil)
	for name, tc := range map[string]struct {
		change func(*ACME)
		want   []string
	}{
		"terms not accepted":     {func(o *ACME) { o.AcceptTOS = false }, []string{"tls.acme.acceptTOS"}},
		"a key without an id":    {func(o *ACME) { o.EABMACKey = "c2VjcmV0" }, []string{"tls.acme.eabKeyID"}},
		"an id without a key":    {func(o *ACME) { o.EABKeyID = "kid" }, []string{"tls.acme.eabMACKey"}},
		"a key in plain base64":  {func(o *ACME) { o.EABKeyID, o.EABMACKey = "kid", "+/s3cret" }, []string{"tls.acme.eabMACKey: not base64url"}},
		"a key that is nothing":  {func(o *ACME) { o.EABKeyID, o.EABMACKey = "kid", "==" }, []string{"tls.acme.eabMACKey"}},
		"an unencrypted CA":      {func(o *ACME) { o.DirectoryURL = "http://ca.example/dir" }, []string{"tls.acme.directoryURL"}},
		"a CA file not there":    {func(o *ACME) { o.CAFile = "/nowhere.pem" }, []string{"tls.acme.caFile"}},
		"a CA file with nothing": {func(o *ACME) { o.CAFile = empty }, []string{"tls.acme.caFile"}},
		"hosts no CA certifies": {func(o *ACME) { o.Hosts.Set("localhost", "127.0.0.1:8443", "*.example.com") },
			[]string{`"localhost"`, `"127.0.0.1"`, `"*.example.com"`}},
		"several at once": {func(o *ACME) { o.AcceptTOS, o.DirectoryURL, o.EABKeyID = false, "x", "y" },
			[]string{"acceptTOS", "directoryURL", "eabMACKey"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := ACME{Hosts: NewHosts("mcp.example.com"), AcceptTOS: true}
			tc.change(&o)
			_, err := NewACME(o)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q carries the key", err)
			}
		})
	}
}
