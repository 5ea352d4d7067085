package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

func TestHostsHaveOneSpelling(t *testing.T) {
	h := NewHosts("mcp.example.com", "Notes.Example.com:8443", "[::1]:443", "bücher.example")
	for host, want := range map[string]string{
		"mcp.example.com":       "mcp.example.com",
		"MCP.Example.COM":       "mcp.example.com",
		"mcp.example.com:443":   "mcp.example.com",
		"mcp.example.com.":      "mcp.example.com",
		"mcp.example.com.:8080": "mcp.example.com",
		"notes.example.com":     "Notes.Example.com:8443",
		"[::1]":                 "[::1]:443",
		"::1":                   "[::1]:443",
		"xn--bcher-kva.example": "bücher.example",
		"stranger.example.com":  "",
		"mcp.example.com.evil":  "",
		"xmcp.example.com":      "",
		"":                      "",
		"*.example.com":         "",
	} {
		t.Run(host, func(t *testing.T) {
			if got, ok := h.Authority(host); got != want || ok != (want != "") {
				t.Errorf("Authority(%q) = %q, %v, want %q", host, got, ok, want)
			}
		})
	}
	h.Set("other.example.com")
	if h.has("mcp.example.com") || !h.has("other.example.com") {
		t.Error("Set did not replace the hosts")
	}
}

// serve is a real HTTPS server with the certificates of s; it returns its address.
func serve(t *testing.T, s Source) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: s.Config(), ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	})}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// dial shakes hands as a client that asks for name ("" asks for none) and
// trusts roots (nil trusts anything).
func dial(t *testing.T, addr, name string, roots *x509.CertPool, change func(*tls.Config)) (tls.ConnectionState, error) {
	t.Helper()
	config := &tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: roots == nil}
	if change != nil {
		change(config)
	}
	dialer := &tls.Dialer{Config: config}
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState(), nil
}

// wantUnrecognized holds that a handshake was refused with the alert made for it.
func wantUnrecognized(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "tls: unrecognized name") {
		t.Errorf("handshake: %v, want the alert unrecognized name", err)
	}
}

// pair writes a new certificate and key to dir as name.pem and name.key.
func pair(t *testing.T, dir, file string, from, until time.Time, names ...string) Pair {
	t.Helper()
	ca, err := newAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.issue(names, until.Add(-leafLife))
	if err != nil {
		t.Fatal(err)
	}
	if !from.IsZero() { // a certificate of tomorrow
		if cert, err = ca.issue(names, from.Add(skew)); err != nil {
			t.Fatal(err)
		}
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	p := Pair{filepath.Join(dir, file+".pem"), filepath.Join(dir, file+".key")}
	write(t, p.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	write(t, p.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	return p
}

// good is a pair that is valid now and for another month.
func good(t *testing.T, dir, file string, names ...string) Pair {
	t.Helper()
	return pair(t, dir, file, time.Time{}, time.Now().Add(leafLife), names...)
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// memory is a Cache of as many replicas as share it.
type memory struct {
	mu      sync.Mutex
	data    map[string][]byte
	elected map[string]bool
}

func (m *memory) Elect(_ context.Context, name string) (func(), bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.elected == nil {
		m.elected = map[string]bool{}
	}
	if m.elected[name] {
		return nil, false, nil
	}
	m.elected[name] = true
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.elected[name] = false
	}, true, nil
}

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.data[key]; ok {
		return v, nil
	}
	return nil, autocert.ErrCacheMiss
}

func (m *memory) Put(_ context.Context, key string, v []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		m.data = map[string][]byte{}
	}
	m.data[key] = v
	return nil
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.data, key)
	return nil
}

func TestConfig(t *testing.T) {
	s, err := NewSelfSigned(t.Context(), &memory{}, NewHosts("mcp.example.com"), SelfSignedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, s)
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run("X26 "+name+" is spoken", func(t *testing.T) {
			state, err := dial(t, addr, "mcp.example.com", nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
			if err != nil || state.Version != version {
				t.Errorf("version %x, error %v", state.Version, err)
			}
		})
	}
	t.Run("X26 TLS 1.1 is refused", func(t *testing.T) {
		_, err := dial(t, addr, "mcp.example.com", nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
		if err == nil {
			t.Error("an outdated client got in")
		}
	})
	t.Run("X26 suites without authenticated encryption or forward secrecy are refused", func(t *testing.T) {
		for _, id := range []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256} {
			_, err := dial(t, addr, "mcp.example.com", nil, func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{id} })
			if err == nil {
				t.Errorf("%s is spoken", tls.CipherSuiteName(id))
			}
		}
	})
	t.Run("HTTP/2 is negotiated", func(t *testing.T) {
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{ServerName: "mcp.example.com", InsecureSkipVerify: true}}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Get("https://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.ProtoMajor != 2 {
			t.Errorf("spoke %s", res.Proto)
		}
	})
	t.Run("a session is resumed", func(t *testing.T) {
		cache := tls.NewLRUClientSessionCache(1)
		for i, want := range []bool{false, true} {
			conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "mcp.example.com", InsecureSkipVerify: true, ClientSessionCache: cache})
			if err != nil {
				t.Fatal(err)
			}
			// The ticket comes after the handshake, with the first answer.
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: mcp.example.com\r\nConnection: close\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
			if got := conn.ConnectionState().DidResume; got != want {
				t.Errorf("connection %d resumed: %v", i, got)
			}
			_ = conn.Close()
		}
	})
}
