package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// corp is an identity provider where an organization decides which client may
// act for whom.
type corp struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newCorp(t *testing.T) *corp {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &corp{key: key}
	public, err := jwk.FromRaw(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{public}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": c.URL, "authorization_endpoint": c.URL + "/a", "token_endpoint": c.URL + "/t", "jwks_uri": c.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	}))
	t.Cleanup(c.Close)
	return c
}

// asserts is an assertion about ada for client reports at notes, changed.
func (c *corp) asserts(t *testing.T, changes map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": c.URL, "sub": "u1", "aud": notes, "resource": notes + "/mcp", "client_id": "reports", "jti": rand.Text(),
		"iat": now, "exp": now + 300, "scope": "notes:read notes:write other:scope",
	}
	maps.Copy(claims, changes)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	h := jws.NewHeaders()
	if err := h.Set("typ", "oauth-id-jag+jwt"); err != nil {
		t.Fatal(err)
	}
	raw, err := jws.Sign(payload, jws.WithKey(jwa.ES256, c.key, jws.WithProtectedHeaders(h)))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

const jwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"

func trusting(t *testing.T, c *corp) *fixture {
	return newFixture(t,
		signInAt(`{"name":"oidc","id":"corp","issuerURL":"`+c.URL+`","clientID":"gateway","clientSecret":"s","allowedUsers":["corp:u1"]}`),
		with("TRUSTEDISSUERS", `[{"issuerURL":"`+c.URL+`","provider":"corp"}]`),
		with("PROXY_CLIENTS", `[{"clientID":"reports","clientSecret":"a-long-secret-of-reports","grants":["`+jwtBearerGrant+`"]},
			{"clientID":"web","clientSecret":"a-long-secret-of-web","redirectURIs":["https://web.example/cb"],"grants":["authorization_code"]}]`))
}

func (f *fixture) assert(t *testing.T, assertion string, changes ...string) answer {
	t.Helper()
	form := changed(url.Values{
		"grant_type": {jwtBearerGrant}, "client_id": {"reports"}, "client_secret": {"a-long-secret-of-reports"}, "assertion": {assertion},
	}, changes)
	return f.ask(t, http.MethodPost, notes+"/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

func TestIDJAG_an_organizations_assertion_buys_one_token_and_no_refresh_token(t *testing.T) {
	c := newCorp(t)
	f := trusting(t, c)
	meta := decoded(t, f.get(t, notes+"/.well-known/oauth-authorization-server").body)
	if p := texts(meta["authorization_grant_profiles_supported"]); len(p) != 1 || p[0] != "urn:ietf:params:oauth:grant-profile:id-jag" {
		t.Errorf("profiles %v", p)
	}
	raw := c.asserts(t, nil)
	got := f.assert(t, raw).tokens(t)
	if got.refresh != "" || got.scope != "notes:read notes:write" {
		t.Errorf("got %+v", got)
	}
	if said := claims(t, got.access); said["sub"] != "corp:u1" || said["client_id"] != "reports" {
		t.Errorf("claims %v", said)
	}
	if a := f.call(t, notes, got.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Errorf("a call: %d", a.StatusCode)
	}
	if a := f.call(t, notes, got.access, "delete_note"); a.StatusCode != http.StatusForbidden {
		t.Errorf("a call outside of its scope: %d", a.StatusCode)
	}
	f.assert(t, raw).wantJSON(t, http.StatusBadRequest, "invalid_grant") // a second time
	if n, err := f.revoke(t.Context(), Revocation{User: "corp:u1"}); err != nil || n != 1 {
		t.Fatalf("ended %d, %v", n, err)
	}
	if a := f.call(t, notes, got.access, "read_note"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a call after the grant was ended: %d", a.StatusCode)
	}
}

func TestIDJAG_an_assertion_that_is_not_for_us_buys_nothing_and_leaves_nothing(t *testing.T) {
	c := newCorp(t)
	f := trusting(t, c)
	for name, changes := range map[string]map[string]any{
		"for another authorization server": {"aud": mail},
		"for another client":               {"client_id": "web"},
		"for another resource":             {"resource": "https://mail.example.com/mcp"},
		"of a user who may not enter":      {"sub": "u2"},
		"of an issuer that is not trusted": {"iss": "https://evil.example"},
		"that has expired":                 {"exp": time.Now().Unix() - 120},
	} {
		t.Run(name, func(t *testing.T) {
			f.leavesNothing(t, func() { f.assert(t, c.asserts(t, changes)).wantJSON(t, http.StatusBadRequest, "invalid_grant") })
		})
	}
	f.leavesNothing(t, func() {
		f.assert(t, "").wantJSON(t, http.StatusBadRequest, "invalid_request")
		f.assert(t, "not.a.token").wantJSON(t, http.StatusBadRequest, "invalid_grant")
		f.assert(t, c.asserts(t, nil), "client_secret", "wrong").wantJSON(t, http.StatusUnauthorized, "invalid_client")
		f.assert(t, c.asserts(t, nil), "client_id", "web", "client_secret", "a-long-secret-of-web").wantJSON(t, http.StatusBadRequest, "unauthorized_client")
		f.assert(t, c.asserts(t, nil), "resource", "https://mail.example.com/mcp").wantJSON(t, http.StatusBadRequest, "invalid_grant")
		f.assert(t, c.asserts(t, nil), "scope", "notes:admin").wantJSON(t, http.StatusBadRequest, "invalid_scope")
	})
}

func TestIDJAG_where_nobody_is_trusted_the_grant_is_not_there(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", `[{"clientID":"reports","clientSecret":"a-long-secret-of-reports","grants":["`+jwtBearerGrant+`"]}]`))
	f.assert(t, "a.b.c").wantJSON(t, http.StatusBadRequest, "unsupported_grant_type")
	meta := decoded(t, f.get(t, notes+"/.well-known/oauth-authorization-server").body)
	if meta["authorization_grant_profiles_supported"] != nil {
		t.Error("advertised all the same")
	}
}
