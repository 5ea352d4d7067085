package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

func TestSelfSigned(t *testing.T) {
	cache := &memory{}
	hosts := NewHosts("mcp.example.com", "localhost:8443", "127.0.0.1:8443", "[::1]:8443")
	s, err := NewSelfSigned(t.Context(), cache, hosts, SelfSignedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CACertificate()) {
		t.Fatal("no certificate in CACertificate")
	}
	again, err := NewSelfSigned(t.Context(), cache, hosts, SelfSignedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for when, addr := range map[string]string{"at first": serve(t, s), "after a restart": serve(t, again)} {
		for _, name := range []string{"mcp.example.com", "localhost", "127.0.0.1", "::1"} {
			t.Run(name+" verifies "+when, func(t *testing.T) {
				if _, err := dial(t, addr, name, roots, nil); err != nil {
					t.Error(err)
				}
			})
		}
	}
	t.Run("a stranger's name is refused", func(t *testing.T) {
		_, err := dial(t, serve(t, s), "stranger.example.com", nil, nil)
		wantUnrecognized(t, err)
	})
	t.Run("without a name and without addresses of ours it is refused", func(t *testing.T) {
		s, err := NewSelfSigned(t.Context(), cache, NewHosts("mcp.example.com"), SelfSignedOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = dial(t, serve(t, s), "", nil, nil)
		wantUnrecognized(t, err)
	})
	t.Run("a stored CA that cannot be read is not replaced", func(t *testing.T) {
		broken := &memory{data: map[string][]byte{cacheKey: []byte("rubbish")}}
		if _, err := NewSelfSigned(t.Context(), broken, hosts, SelfSignedOptions{}); !errors.Is(err, errBrokenCA) {
			t.Errorf("error %v", err)
		}
		if string(broken.data[cacheKey]) != "rubbish" {
			t.Error("it was replaced")
		}
	})
}

func TestSelfSignedRenewsInMemory(t *testing.T) {
	now := time.Now()
	s, err := NewSelfSigned(t.Context(), &memory{}, NewHosts("a.example"), SelfSignedOptions{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	hello := &tls.ClientHelloInfo{ServerName: "a.example"}
	leaf := func() *tls.Certificate {
		t.Helper()
		c, err := s.certificate(hello)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := leaf()
	if leaf() != first {
		t.Error("a fresh certificate was made again")
	}
	now = now.Add(leafLife*2/3 + time.Hour)
	if second := leaf(); second == first || !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Error("an old certificate was not renewed")
	}
}

func TestParseAuthorityRefusesWhatIsNoCA(t *testing.T) {
	ca, err := newAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.issue([]string{"a.example"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := authority{leaf.Leaf, leaf.PrivateKey.(*ecdsa.PrivateKey)}.encode()
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	swapped, err := authority{ca.cert, other}.encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"nothing": nil, "a leaf": raw, "another's key": swapped} {
		if _, err := parseAuthority(raw); !errors.Is(err, errBrokenCA) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
