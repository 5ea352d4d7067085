package clients

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"mcp-oauth2-proxy/auth/store/memory"
)

// A signer is a client's key pair.
type signer struct {
	alg     jwa.SignatureAlgorithm
	kid     string
	private crypto.Signer
}

func newSigner(t testing.TB, alg jwa.SignatureAlgorithm, kid string) signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case jwa.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jwa.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signer{alg, kid, key}
}

func (s signer) public(t testing.TB) jwk.Key {
	t.Helper()
	key, err := jwk.FromRaw(s.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	if s.kid != "" {
		must(t, key.Set(jwk.KeyIDKey, s.kid))
	}
	return key
}

func keySet(t testing.TB, signers ...signer) json.RawMessage {
	t.Helper()
	set := jwk.NewSet()
	for _, s := range signers {
		must(t, set.AddKey(s.public(t)))
	}
	return mustJSON(t, set)
}

// sign returns an assertion with these claims; changed ones win, nil removes.
func (s signer) sign(t testing.TB, id string, changed map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": id, "sub": id, "aud": issuer, "jti": rand.Text(),
		"iat": noon.Unix(), "exp": noon.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(claims, changed)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return s.signText(t, mustJSON(t, claims))
}

func (s signer) signText(t testing.TB, payload []byte) string {
	t.Helper()
	header := jws.NewHeaders()
	if s.kid != "" {
		must(t, header.Set(jws.KeyIDKey, s.kid))
	}
	signed, err := jws.Sign(payload, jws.WithKey(s.alg, s.private, jws.WithProtectedHeaders(header)))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func asserted(id, assertion string) Credentials {
	return Credentials{ID: id, Method: MethodPrivateKeyJWT, AssertionType: AssertionType, Assertion: assertion}
}

func withKeys(t testing.TB, keys json.RawMessage) *Registry {
	return newRegistry(t, func(o *Options) {
		o.Configured = []Configured{{ID: "ci", JWKS: keys, GrantTypes: []string{"client_credentials"}}}
	})
}

func TestAssertionAlgorithms(t *testing.T) {
	for _, name := range Algorithms() {
		t.Run("C15 private_key_jwt with "+name, func(t *testing.T) {
			s := newSigner(t, jwa.SignatureAlgorithm(name), "1")
			c, err := withKeys(t, keySet(t, s)).Authenticate(t.Context(), issuer, asserted("ci", s.sign(t, "ci", nil)))
			if err != nil || c.ID != "ci" || !c.May("client_credentials") {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}

func TestAssertionClaims(t *testing.T) {
	s := newSigner(t, jwa.ES256, "1")
	r := withKeys(t, keySet(t, s))
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	for name, tc := range map[string]struct {
		changed map[string]any
		ok      bool
	}{
		"RFC 7523 §3 as it should be":                 {nil, true},
		"RFC 7523 §3 the issuer with a slash":         {map[string]any{"aud": issuer + "/"}, true},
		"RFC 7523 §3 the token endpoint":              {map[string]any{"aud": issuer + "/token"}, true},
		"RFC 7523 §3 a list of one":                   {map[string]any{"aud": []string{issuer}}, true},
		"RFC 7523 §3 a list of ours":                  {map[string]any{"aud": []string{issuer, issuer + "/token"}}, true},
		"RFC 7523 §3 somebody else beside us":         {map[string]any{"aud": []string{issuer, "https://other.example"}}, false},
		"RFC 7523 §3 somebody else":                   {map[string]any{"aud": "https://other.example"}, false},
		"RFC 7523 §3 our metadata":                    {map[string]any{"aud": issuer + "/.well-known/oauth-authorization-server"}, false},
		"RFC 7523 §3 no aud":                          {map[string]any{"aud": nil}, false},
		"RFC 7523 §3 an empty list":                   {map[string]any{"aud": []string{}}, false},
		"RFC 7523 §3 another iss":                     {map[string]any{"iss": "other"}, false},
		"RFC 7523 §3 another sub":                     {map[string]any{"sub": "other"}, false},
		"RFC 7523 §3 no iss":                          {map[string]any{"iss": nil}, false},
		"RFC 7523 §3 no sub":                          {map[string]any{"sub": nil}, false},
		"RFC 7523 §3 no exp":                          {map[string]any{"exp": nil}, false},
		"RFC 7523 §3 an exp that is text":             {map[string]any{"exp": fmt.Sprint(at(time.Minute))}, false},
		"RFC 7523 §3 a negative exp":                  {map[string]any{"exp": -1}, false},
		"RFC 7523 §3 a fraction of a second":          {map[string]any{"exp": float64(at(time.Minute)) + 0.5}, true},
		"RFC 7523 §3 ended within the leeway":         {map[string]any{"exp": at(-59 * time.Second)}, true},
		"RFC 7523 §3 ended before the leeway":         {map[string]any{"exp": at(-60 * time.Second)}, false},
		"RFC 7523 §3 good for ten minutes":            {map[string]any{"exp": at(10 * time.Minute)}, true},
		"RFC 7523 §3 good for an hour":                {map[string]any{"exp": at(time.Hour)}, false},
		"RFC 7523 §3 issued within the leeway":        {map[string]any{"iat": at(59 * time.Second)}, true},
		"RFC 7523 §3 issued in the future":            {map[string]any{"iat": at(2 * time.Minute)}, false},
		"RFC 7523 §3 valid from the future":           {map[string]any{"nbf": at(2 * time.Minute)}, false},
		"RFC 7523 §3 no iat is fine":                  {map[string]any{"iat": nil}, true},
		"RFC 7523 §3 no jti":                          {map[string]any{"jti": nil}, false},
		"RFC 7523 §3 an endless jti":                  {map[string]any{"jti": strings.Repeat("x", 257)}, false},
		"RFC 7523 §3 further claims are nobody's":     {map[string]any{"x": map[string]any{"y": 1}}, true},
		"RFC 7523 §3 a list of numbers is no address": {map[string]any{"aud": []int{1}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Authenticate(t.Context(), issuer, asserted("ci", s.sign(t, "ci", tc.changed)))
			if tc.ok && err != nil {
				t.Error(err)
			}
			if !tc.ok {
				refusedWith(t, err, InvalidClient)
			}
		})
	}
}

func TestAssertionSignature(t *testing.T) {
	ours, others := newSigner(t, jwa.ES256, "1"), newSigner(t, jwa.ES256, "1")
	rsaKey := newSigner(t, jwa.RS256, "2")
	keys := keySet(t, ours, rsaKey)
	r := withKeys(t, keys)
	good := ours.sign(t, "ci", nil)
	part := strings.Split(good, ".")
	noKid := ours
	noKid.kid = ""
	unknown := ours
	unknown.kid = "3"
	long := rsaKey
	long.alg = jwa.RS512
	encode := base64.RawURLEncoding.EncodeToString
	for name, tc := range map[string]struct {
		assertion string
		ok        bool
	}{
		"another key with our kid":        {others.sign(t, "ci", nil), false},
		"a kid that is not ours":          {unknown.sign(t, "ci", nil), false},
		"no kid: any of our keys":         {noKid.sign(t, "ci", nil), true},
		"an algorithm that is not listed": {long.sign(t, "ci", nil), false},
		"alg none":                        {encode([]byte(`{"alg":"none"}`)) + "." + part[1] + ".", false},
		"HMAC with the public key":        {hmacWith(t, keys), false},
		"no signature":                    {part[0] + "." + part[1] + ".", false},
		"another payload":                 {part[0] + "." + encode([]byte(`{"iss":"ci"}`)) + "." + part[2], false},
		"an extension nobody understands": {encode([]byte(`{"alg":"ES256","kid":"1","crit":["x"],"x":1}`)) + "." + part[1] + "." + part[2], false},
		"the JSON form":                   {`{"payload":"` + part[1] + `","signatures":[{"protected":"` + part[0] + `","signature":"` + part[2] + `"}]}`, false},
		"five parts":                      {good + ".a.b", false},
		"not base64":                      {"a.b.c", false},
		"endless":                         {good + strings.Repeat("A", maxAssertion), false},
		"a claim twice":                   {ours.signText(t, []byte(`{"iss":"x","iss":"ci","sub":"ci","aud":"`+issuer+`","jti":"7","exp":`+fmt.Sprint(noon.Unix()+60)+`}`)), false},
		"a payload that is not an object": {ours.signText(t, []byte(`[]`)), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Authenticate(t.Context(), issuer, asserted("ci", tc.assertion))
			if tc.ok && err != nil {
				t.Error(err)
			}
			if !tc.ok {
				refusedWith(t, err, InvalidClient)
			}
		})
	}
	// RFC 7523 §3: the jti is spent with the first use, whatever the spelling.
	if _, err := r.Authenticate(t.Context(), issuer, asserted("ci", good)); err != nil {
		t.Fatal(err)
	}
	_, err := r.Authenticate(t.Context(), issuer, asserted("ci", good))
	refusedWith(t, err, InvalidClient)
	_, err = r.Authenticate(t.Context(), issuer, asserted("ci", good+"\n"))
	refusedWith(t, err, InvalidClient)
}

func hmacWith(t *testing.T, secret []byte) string {
	t.Helper()
	signed, err := jws.Sign([]byte(`{}`), jws.WithKey(jwa.HS256, secret))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func TestAssertionIsSpentAtAllReplicas(t *testing.T) {
	s := newSigner(t, jwa.ES256, "")
	shared := memory.New(1 << 20)
	replica := func() *Registry {
		return newRegistry(t, func(o *Options) {
			o.Store, o.Configured = shared, []Configured{{ID: "ci", JWKS: keySet(t, s), GrantTypes: []string{"client_credentials"}}}
		})
	}
	assertion := s.sign(t, "ci", nil)
	if _, err := replica().Authenticate(t.Context(), issuer, asserted("ci", assertion)); err != nil {
		t.Fatal(err)
	}
	_, err := replica().Authenticate(t.Context(), issuer, asserted("ci", assertion))
	refusedWith(t, err, InvalidClient)

	shared.Close()
	_, err = replica().Authenticate(t.Context(), issuer, asserted("ci", s.sign(t, "ci", nil)))
	refusedWith(t, err, TemporarilyUnavailable)
}

func TestAssertionNamesItsClient(t *testing.T) {
	s := newSigner(t, jwa.ES256, "")
	r := withKeys(t, keySet(t, s))
	if c, err := r.Authenticate(t.Context(), issuer, asserted("", s.sign(t, "ci", nil))); err != nil || c.ID != "ci" {
		t.Errorf("RFC 7521 §4.2: %+v, %v", c, err)
	}
	for _, assertion := range []string{"x", "a.!.c", "a.e30.c", "a.W10.c"} {
		_, err := r.Authenticate(t.Context(), issuer, asserted("", assertion))
		refusedWith(t, err, InvalidClient)
	}
}

func TestDocumentClientMustPresentItsAssertion(t *testing.T) {
	p := newPublisher(t)
	first, second := newSigner(t, jwa.ES256, "1"), newSigner(t, jwa.RS256, "2")
	keys, fetches := keySet(t, first), 0
	p.show(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/jwks" {
			fetches++
			writeJSON(w, string(keys))
			return
		}
		p.document(w, r, `,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"`+p.URL+`/jwks","token_endpoint_auth_methods_supported":["none"]`)
	})
	r, clock := documentRegistry(t, p)
	authenticate := func(c Credentials) error {
		_, err := r.Authenticate(t.Context(), issuer, c)
		return err
	}

	refusedWith(t, authenticate(Credentials{ID: p.id(), Method: MethodNone}), InvalidClient)
	if err := authenticate(asserted(p.id(), first.sign(t, p.id(), nil))); err != nil {
		t.Fatalf("C15: %v", err)
	}
	if err := authenticate(asserted(p.id(), first.sign(t, p.id(), nil))); err != nil || fetches != 1 {
		t.Fatalf("C12: %v after %d fetches of the keys", err, fetches)
	}

	// The client rotates. An unknown key id is looked up, but not at any rate.
	keys = keySet(t, second)
	refusedWith(t, authenticate(asserted(p.id(), second.sign(t, p.id(), nil))), InvalidClient)
	if fetches != 1 {
		t.Errorf("an invented key id made a fetch")
	}
	clock.forward(keysRest)
	if err := authenticate(asserted(p.id(), second.sign(t, p.id(), nil))); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	keys = json.RawMessage(`{"keys":[]}`)
	clock.forward(keepDefault)
	refusedWith(t, authenticate(asserted(p.id(), second.sign(t, p.id(), map[string]any{"exp": clock.now().Unix() + 60}))), InvalidClient)
}

func TestKeysMustFit(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key  any
		alg  jwa.SignatureAlgorithm
		more map[string]any
		kid  string
		want int
	}{
		"a P-384 key is not for ES256":     {p384.Public(), jwa.ES256, nil, "", 0},
		"an RSA key of 1024 bits":          {weak.Public(), jwa.RS256, nil, "", 0},
		"an elliptic key is not for RS256": {newSigner(t, jwa.ES256, "").private.Public(), jwa.RS256, nil, "", 0},
		"a key for encryption":             {newSigner(t, jwa.ES256, "").private.Public(), jwa.ES256, map[string]any{"use": "enc"}, "", 0},
		"a key for another algorithm":      {newSigner(t, jwa.RS256, "").private.Public(), jwa.PS256, map[string]any{"alg": "RS256"}, "", 0},
		"another key id":                   {newSigner(t, jwa.RS256, "").private.Public(), jwa.RS256, map[string]any{"kid": "a"}, "b", 0},
		"a key that says nothing":          {newSigner(t, jwa.EdDSA, "").private.Public(), jwa.EdDSA, nil, "b", 1},
		"a key that says it all":           {newSigner(t, jwa.RS256, "").private.Public(), jwa.RS256, map[string]any{"use": "sig", "alg": "RS256", "kid": "b"}, "b", 1},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := jwk.FromRaw(tc.key)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range tc.more {
				if err := key.Set(name, value); err != nil {
					t.Fatal(err)
				}
			}
			set := jwk.NewSet()
			must(t, set.AddKey(key))
			if got := keysFor(set, tc.alg, tc.kid); len(got) != tc.want {
				t.Errorf("%d keys", len(got))
			}
		})
	}
}
