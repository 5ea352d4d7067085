package idp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// assertingIssuer is an identity provider that signs assertions.
type assertingIssuer struct {
	*httptest.Server
	t   *testing.T
	key *ecdsa.PrivateKey
}

func newAssertingIssuer(t *testing.T) *assertingIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &assertingIssuer{t: t, key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{
			"issuer": i.URL, "authorization_endpoint": i.URL + "/a", "token_endpoint": i.URL + "/t", "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		k, _ := jwk.FromRaw(key.Public())
		_ = k.Set("alg", "ES256")
		answerJSON(w, map[string]any{"keys": []any{k}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// assert signs claims, as the issuer or as somebody else.
func (i *assertingIssuer) assert(typ string, key *ecdsa.PrivateKey, claims map[string]any) string {
	i.t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	h := jws.NewHeaders()
	if err := h.Set("typ", typ); err != nil {
		i.t.Fatal(err)
	}
	raw, err := jws.Sign(payload, jws.WithKey(jwa.ES256, key, jws.WithProtectedHeaders(h)))
	if err != nil {
		i.t.Fatal(err)
	}
	return string(raw)
}

func (i *assertingIssuer) claims() map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"iss": i.URL, "sub": "u1", "aud": "https://notes.example.com", "resource": "https://notes.example.com/mcp",
		"client_id": "reports", "jti": "j1", "iat": now, "exp": now + 300, "scope": "read", "email": "ada@Example.com", "email_verified": true,
	}
}

func TestIDJAG_an_assertion_says_who_may_act_for_whom(t *testing.T) {
	i := newAssertingIssuer(t)
	issuer := NewTrustedIssuer(i.URL, "corp", Options{})
	raw := i.assert("oauth-id-jag+jwt", i.key, i.claims())
	if AssertedIssuer(raw) != i.URL || FindIssuer([]*TrustedIssuer{issuer}, i.URL) != issuer {
		t.Fatal("its issuer is not found")
	}
	a, err := issuer.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if a.Identity.Subject != "corp:u1" || a.Identity.Email != "ada@example.com" || a.ClientID != "reports" || a.ID != "j1" ||
		a.Audience != "https://notes.example.com" || a.Resource[0] != "https://notes.example.com/mcp" || a.Scope != "read" {
		t.Errorf("got %+v", a)
	}
}

func TestIDJAG_what_is_not_a_sound_assertion_is_refused(t *testing.T) {
	i := newAssertingIssuer(t)
	issuer := NewTrustedIssuer(i.URL, "corp", Options{})
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	for name, change := range map[string]map[string]any{
		"without jti":             {"jti": nil},
		"without sub":             {"sub": nil},
		"without client_id":       {"client_id": nil},
		"without resource":        {"resource": nil},
		"without iat":             {"iat": nil},
		"expired":                 {"exp": now - 120},
		"that lives for a day":    {"exp": now + 86400},
		"from the future":         {"iat": now + 600, "exp": now + 900},
		"for two audiences":       {"aud": []string{"https://notes.example.com", "https://mail.example.com"}},
		"of another issuer":       {"iss": "https://evil.example"},
		"with a sub of two lines": {"sub": "u1\nu2"},
	} {
		t.Run(name, func(t *testing.T) {
			claims := i.claims()
			maps.Copy(claims, change)
			maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
			if a, err := issuer.Verify(t.Context(), i.assert("oauth-id-jag+jwt", i.key, claims)); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
	for name, raw := range map[string]string{
		"an ID token":             i.assert("JWT", i.key, i.claims()),
		"an access token":         i.assert("at+jwt", i.key, i.claims()),
		"signed by somebody else": i.assert("oauth-id-jag+jwt", stranger, i.claims()),
		"no token":                "a.b",
		"unsigned":                "eyJhbGciOiJub25lIiwidHlwIjoib2F1dGgtaWQtamFnK2p3dCJ9.e30.",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := issuer.Verify(t.Context(), raw); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
}

func TestIDJAG_an_address_that_is_not_verified_is_not_taken(t *testing.T) {
	i := newAssertingIssuer(t)
	claims := i.claims()
	delete(claims, "email_verified")
	a, err := NewTrustedIssuer(i.URL, "corp", Options{}).Verify(t.Context(), i.assert("oauth-id-jag+jwt", i.key, claims))
	if err != nil || a.Identity.Email != "" {
		t.Errorf("got %q, %v", a.Identity.Email, err)
	}
}

func TestIDJAG_an_issuer_that_does_not_answer_is_unavailable(t *testing.T) {
	i := newAssertingIssuer(t)
	raw := i.assert("oauth-id-jag+jwt", i.key, i.claims())
	i.Close()
	if _, err := NewTrustedIssuer(i.URL, "corp", Options{}).Verify(t.Context(), raw); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}
