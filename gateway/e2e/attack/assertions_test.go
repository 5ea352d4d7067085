//go:build e2e

package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// An issuer is an organization's, whose word replaces a browser (ID-JAG). It
// lets two clients act for its people: an honest one, and one of the attacker's.
type issuer struct {
	url   string
	key   *ecdsa.PrivateKey
	given map[string]*permit // by the assertion
	kept  []string           // in order
}

const (
	jwtBearer  = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	works      = "works"
	temp       = "temp" // the attacker's
	tempSecret = "a-secret-of-the-client-of-the-attacker"
)

// A permit is what an assertion is good for; fault says why for nothing.
type permit struct {
	site   *site
	scopes []string
	fault  string
	spent  bool
}

// asserted are the clients of the organization.
func asserted() []settings {
	grants := []string{jwtBearer}
	return []settings{
		{"clientID": works, "clientSecret": "a-secret-that-the-attacker-does-not-know", "name": "Works", "grants": grants},
		{"clientID": temp, "clientSecret": tempSecret, "name": "Temp", "grants": grants},
	}
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, given: map[string]*permit{}}
	keys := map[string]any{"keys": []any{publicJWK(t, key)}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/jwks" {
			_ = json.NewEncoder(w).Encode(keys)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": i.url, "authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token", "jwks_uri": i.url + "/jwks",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	}))
	t.Cleanup(s.Close)
	i.url = s.URL
	return i
}

// publicJWK is the public half of a key, named k1.
func publicJWK(t testing.TB, key *ecdsa.PrivateKey) map[string]any {
	t.Helper()
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding
	return map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k1", "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:])}
}

// signed is a JWT by a key named k1.
func signed(t testing.TB, key *ecdsa.PrivateKey, typ string, claims map[string]any) string {
	t.Helper()
	header, _ := json.Marshal(map[string]any{"alg": "ES256", "kid": "k1", "typ": typ})
	payload, _ := json.Marshal(claims)
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString(header) + "." + b64.EncodeToString(payload)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + b64.EncodeToString(signature)
}

// asserts: the attacker's client shows what the organization has given to it, to
// another client, or for another place or time.
func (w *world) asserts() {
	s, i := w.anySite(), w.issuer
	now, scopes := time.Now(), some(w, s.scopeNames())
	claims := map[string]any{
		"iss": i.url, "sub": "attacker", "email": "attacker@example.com", "email_verified": true, "aud": s.origin, "resource": s.origin + "/mcp",
		"client_id": temp, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "scope": strings.Join(scopes, " "),
	}
	if len(scopes) == 0 {
		scopes = s.scopeNames()
	}
	p, key, typ := &permit{site: s, scopes: scopes}, i.key, "oauth-id-jag+jwt"
	elsewhere := pick(w, slices.DeleteFunc(slices.Clone(w.sites), func(other *site) bool { return other == s }))
	switch w.rng.IntN(12) {
	case 0:
		p.fault, claims["client_id"], claims["sub"], claims["email"] = "another client", works, "victim", "victim@example.com"
	case 1:
		p.fault, claims["aud"] = "another server", elsewhere.origin
	case 2:
		p.fault, claims["resource"] = "another resource", elsewhere.origin+"/mcp"
	case 3:
		p.fault, claims["iat"], claims["exp"] = "too late", now.Add(-time.Hour).Unix(), now.Add(-10*time.Minute).Unix()
	case 4:
		p.fault, claims["exp"] = "for too long", now.Add(30*24*time.Hour).Unix()
	case 5:
		p.fault, typ = "another type", pick(w, []string{"JWT", "at+jwt", ""})
	case 6:
		p.fault, key = "another key", w.keyed.key
	case 7:
		p.fault, claims["sub"], claims["email"] = "a stranger", "stranger", "stranger@example.com"
	case 8:
		claims["sub"], claims["email"] = "colleague", "colleague@example.com"
		if s.strict {
			p.fault = "not at this host"
		}
	}
	assertion := signed(w.tb, key, typ, claims)
	i.given[assertion] = p
	i.kept = append(i.kept, assertion)
	w.shows(s, assertion)
	switch w.rng.IntN(4) {
	case 0:
		w.shows(s, assertion) // again
	case 1:
		w.shows(w.anySite(), pick(w, i.kept))
	}
}

// shows redeems an assertion.
func (w *world) shows(s *site, assertion string) {
	form := url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}, "client_id": {temp}, "client_secret": {tempSecret}}
	if w.chance(4) {
		form.Set("scope", strings.Join(s.scopeNames(), " "))
	}
	if h, _ := w.exchange(s, form, w.evil, w.attacker, assertion); h != nil {
		w.said["an assertion is redeemed"]++
	}
}

// judgeAssertion: an assertion is good for what it says, once.
func (w *world) judgeAssertion(s *site, form url.Values) *family {
	p := w.issuer.given[form.Get("assertion")]
	switch {
	case p == nil:
		return nil
	case p.fault != "":
		w.breaks("no token by an assertion for another", "%s takes one, and it is for %s", s.name, p.fault)
	case p.site != s:
		w.breaks("no token by an assertion for another", "%s takes one for %s", s.name, p.site.name)
	case p.spent:
		w.breaks("no assertion twice", "%s takes one again", s.name)
	}
	p.spent = true
	f := &family{site: s, clientID: temp, browser: w.attacker, request: &request{client: w.evil, site: s}, may: p.scopes, edition: -1}
	w.families = append(w.families, f)
	return f
}
