//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// TestStoreHoldsNoSecretOfARun looks for everything secret that people, clients
// and the identity provider had in their hands, in the bytes of the store.
func TestStoreHoldsNoSecretOfARun(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state.db")
	d := startPostgres(t)
	for name, tc := range map[string]struct {
		url  string
		read func() []byte
	}{
		"the state file":       {"bolt://" + file, func() []byte { return slurp(t, file) }},
		"a dump of PostgreSQL": {d.url(d.schema(t)), func() []byte { return d.dump(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, tc.url)
			const refresh = "a-refresh-token-of-the-provider-0123456789"
			c.provider.Tweak(func(a *idptest.Answer) { a.Also = map[string]any{"refresh_token": refresh} })
			secrets := c.secrets(t)
			secrets["the provider's refresh token"] = refresh
			if len(c.provider.Tokens()) == 0 {
				t.Fatal("the provider issued no access token")
			}
			for _, token := range c.provider.Tokens() {
				secrets["the provider's access token "+token] = token
			}
			c.replicas[0].stop(t, os.Interrupt)
			bytes := tc.read()
			if !contains(bytes, "person0@example.com") { // or it looks in the wrong place
				t.Fatal("not even the user is found")
			}
			for what, secret := range secrets {
				if contains(bytes, secret) {
					t.Errorf("%s is there", what)
				}
			}
			for _, private := range []string{"PRIVATE KEY", `"d":"`} {
				if contains(bytes, private) {
					t.Errorf("a private key is there: %s", private)
				}
			}
		})
	}
}

// secrets is what a run makes known to some and not to others.
func (c *cluster) secrets(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	var tr trouble
	for i := range 3 {
		p := c.person(t, fmt.Sprint("person", i), &tr)
		if err := p.register(t.Context()); err != nil {
			t.Fatal(err)
		}
		unspent, _, err := p.authorize(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		spent, _, err := p.authorize(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := p.redeem(t.Context(), spent)
		if err != nil {
			t.Fatal(err)
		}
		next, _, err := p.refresh(t.Context(), got.Refresh)
		if err != nil {
			t.Fatal(err)
		}
		for what, s := range map[string]string{
			"an unspent code": unspent.value, "its verifier": unspent.verifier, "a spent code": spent.value, "a used refresh token": got.Refresh,
			"a refresh token": next.Refresh, "an access token": next.Access, "a client secret": p.confidential(t.Context(), t),
		} {
			if len(s) < 40 {
				t.Fatalf("%s is %q", what, s)
			}
			out[fmt.Sprint(what, " of person", i)] = s
		}
		// The parts of a refresh token, as they would be kept: without the grant's
		// name, which is none.
		raw, err := base64.RawURLEncoding.DecodeString(next.Refresh)
		if err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprint("the secret in a refresh token of person", i)] = base64.StdEncoding.EncodeToString(raw[16:46])
		at, err := url.Parse(c.origin())
		if err != nil {
			t.Fatal(err)
		}
		for _, cookie := range p.hc.Jar.Cookies(at) {
			if cookie.Name != idptest.PersonCookie {
				out["the cookie "+cookie.Name+fmt.Sprint(" of person", i)] = cookie.Value
			}
		}
	}
	return out
}

// confidential registers a client with a secret and returns that.
func (p *person) confidential(ctx context.Context, t *testing.T) string {
	t.Helper()
	a, err := p.post(ctx, "/register", "application/json", fmt.Sprintf(`{"redirect_uris":[%q],"token_endpoint_auth_method":"client_secret_basic"}`, redirectURI))
	var client struct {
		Secret string `json:"client_secret"`
	}
	if err != nil || a.status != http.StatusCreated || json.Unmarshal(a.body, &client) != nil {
		t.Fatalf("/register: %v, %v", a, err)
	}
	return client.Secret
}

// TestKeyFileSealsTheKeysOfTLS: without it they are there.
func TestKeyFileSealsTheKeysOfTLS(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, bytes.Repeat([]byte("k"), 32), 0o600); err != nil {
		t.Fatal(err)
	}
	for keyFile, want := range map[string]bool{"": true, key: false} {
		file := filepath.Join(t.TempDir(), "state.db")
		c := &cluster{host: "notes.example.test", upstream: startClusterUpstream(t), provider: idptest.New(t)}
		r := c.newReplica(t, 0, "bolt://"+file, []func(settings){storeKey("keyFile", keyFile), func(s settings) {
			s["tls"] = settings{"mode": "selfsigned"}
			delete(s["server"].(settings), "scheme")
		}})
		r.up(t)
		r.stop(t, os.Interrupt)
		if found := contains(slurp(t, file), "PRIVATE KEY"); found != want {
			t.Errorf("with the key file %q, the CA's private key is in the store: %t", keyFile, found)
		}
	}
}

// contains looks for a text in the ways it may be written down.
func contains(in []byte, s string) bool {
	return bytes.Contains(in, []byte(s)) || bytes.Contains(in, []byte(hex.EncodeToString([]byte(s)))) ||
		bytes.Contains(in, []byte(base64.StdEncoding.EncodeToString([]byte(s)[:len(s)/3*3])))
}

func slurp(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dump is what pg_dump says, as a backup would hold it.
func (d *database) dump(t *testing.T) []byte {
	t.Helper()
	out, err := d.command(t, "pg_dump", "-d", d.url("")).Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	return out
}
