package clients

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"mcp-oauth2-proxy/auth/store/memory"
)

func TestConfiguredClients(t *testing.T) {
	keys := keySet(t, newSigner(t, jwa.EdDSA, ""))
	uris := []string{"https://a.example/cb"}
	for name, tc := range map[string]struct {
		client Configured
		fault  string // "": none
		ok     func(*Client) bool
	}{
		"a public one": {Configured{ID: "a", Name: "A\u202e", RedirectURIs: uris}, "", func(c *Client) bool {
			return c.Kind == KindConfigured && c.AuthMethod == MethodNone && c.Name == "A" && c.May("refresh_token") && !c.May("client_credentials")
		}},
		"one with a secret":                     {Configured{ID: "a", Secret: "s", RedirectURIs: uris}, "", func(c *Client) bool { return c.AuthMethod == MethodSecretBasic }},
		"one with keys":                         {Configured{ID: "a", JWKS: keys, RedirectURIs: uris}, "", func(c *Client) bool { return c.AuthMethod == MethodPrivateKeyJWT }},
		"C14 a URL as its id":                   {Configured{ID: "https://client.example/c.json", RedirectURIs: uris}, "", func(c *Client) bool { return c.Kind == KindConfigured }},
		"U5 any private scheme":                 {Configured{ID: "a", RedirectURIs: []string{"myapp://cb"}}, "", func(c *Client) bool { return len(c.RedirectURIs) == 1 }},
		"2.2 client_credentials with a secret":  {Configured{ID: "a", Secret: "s", GrantTypes: []string{"client_credentials"}}, "", func(c *Client) bool { return slices.Equal(c.GrantTypes, []string{"client_credentials"}) }},
		"2.2 client_credentials without":        {Configured{ID: "a", GrantTypes: []string{"client_credentials"}}, "grants[0]", nil},
		"2.1 jwt-bearer without a secret":       {Configured{ID: "a", GrantTypes: []string{grantAssertion}}, "grants[0]", nil},
		"a grant type that is none":             {Configured{ID: "a", RedirectURIs: uris, GrantTypes: []string{"authorization_code", "implicit"}}, "grants[1]", nil},
		"no redirect URI":                       {Configured{ID: "a"}, "redirectURIs", nil},
		"U5 javascript, even if configured":     {Configured{ID: "a", RedirectURIs: []string{uris[0], "javascript:x"}}, "redirectURIs[1]", nil},
		"U5 http elsewhere, even if configured": {Configured{ID: "a", RedirectURIs: []string{"http://a.example/"}}, "redirectURIs[0]", nil},
		"no id":                                 {Configured{RedirectURIs: uris}, "clientID", nil},
		"an id with a space":                    {Configured{ID: "a b", RedirectURIs: uris}, "clientID", nil},
		"a long id":                             {Configured{ID: strings.Repeat("a", 1025), RedirectURIs: uris}, "clientID", nil},
		"a secret for none":                     {Configured{ID: "a", Secret: "s", AuthMethod: MethodNone, RedirectURIs: uris}, "none", nil},
		"no secret for basic":                   {Configured{ID: "a", AuthMethod: MethodSecretBasic, RedirectURIs: uris}, "clientSecret", nil},
		"a secret beside keys":                  {Configured{ID: "a", Secret: "s", JWKS: keys, AuthMethod: MethodPrivateKeyJWT, RedirectURIs: uris}, "clientSecret", nil},
		"keys for basic":                        {Configured{ID: "a", Secret: "s", JWKS: keys, RedirectURIs: uris}, "no keys", nil},
		"no keys for private_key_jwt":           {Configured{ID: "a", AuthMethod: MethodPrivateKeyJWT, RedirectURIs: uris}, "jwks", nil},
		"keys that are none":                    {Configured{ID: "a", JWKS: json.RawMessage(`{"keys":7}`), RedirectURIs: uris}, "jwks", nil},
		"an unknown method":                     {Configured{ID: "a", AuthMethod: "tls_client_auth", RedirectURIs: uris}, "tls_client_auth", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(Options{Secret: make([]byte, 32), Store: memory.New(1 << 20), Configured: []Configured{tc.client}})
			if tc.fault != "" {
				if err == nil || !strings.HasPrefix(err.Error(), "clients[0]: ") || !strings.Contains(err.Error(), tc.fault) {
					t.Errorf("got %v, want one that names %s", err, tc.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c, err := r.Lookup(t.Context(), issuer, tc.client.ID)
			if err != nil || !tc.ok(c) {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, err := New(Options{Secret: make([]byte, 32), Store: memory.New(1 << 20), Configured: []Configured{
		{ID: "a", RedirectURIs: []string{"https://a.example/"}},
		{ID: "a", RedirectURIs: []string{"https://a.example/"}},
		{ID: "", Secret: "hush"},
	}})
	if err == nil || !strings.Contains(err.Error(), "clients[1]: clientID") || !strings.Contains(err.Error(), "clients[2]: clientID") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "hush") {
		t.Error("the error tells a secret")
	}
}
