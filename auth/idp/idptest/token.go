package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// An Answer is what the token endpoint is about to give, for a test to spoil.
type Answer struct {
	Claims    map[string]any // of the ID token
	Alg       string         // ES256; HS256 signs with the client's secret, none not at all
	Forged    bool           // signed by a key that is not the provider's
	Spoiled   bool           // the claims change after they were signed
	NoIDToken bool
	// Also are further members of the answer.
	Also map[string]any
}

func newKey(t testing.TB) jwk.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.FromRaw(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]any{jwk.KeyIDKey: random(), jwk.AlgorithmKey: jwa.ES256, jwk.KeyUsageKey: "sig"} {
		if err := key.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return key
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	public, err := p.key.PublicKey()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": []any{public}})
}

// token redeems a code.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	code, fault := p.redeem(r)
	switch fault {
	case "":
	case "invalid_client":
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": fault})
		return
	default:
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": fault, "error_description": "no such code, or not for you"})
		return
	}
	answer := Answer{Claims: code.user.claims(), Alg: "ES256"}
	answer.Claims["iss"], answer.Claims["aud"] = p.Issuer, ClientID
	answer.Claims["iat"], answer.Claims["exp"] = now(), now()+300
	answer.Claims["nonce"] = code.nonce
	if p.tweak != nil {
		p.tweak(&answer)
	}
	p.answer(w, answer, code)
}

func (p *Provider) answer(w http.ResponseWriter, answer Answer, code issued) {
	access := random()
	p.tokens[access] = code.user
	body := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "scope": code.scope}
	if !answer.NoIDToken {
		idToken, err := p.sign(answer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body["id_token"] = idToken
	}
	for name, value := range answer.Also {
		body[name] = value
	}
	writeJSON(w, http.StatusOK, body)
}

func (p *Provider) sign(a Answer) (string, error) {
	payload, err := json.Marshal(a.Claims)
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	if a.Alg == "none" {
		return b64.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b64.EncodeToString(payload) + ".", nil
	}
	option, err := p.signer(a)
	if err != nil {
		return "", err
	}
	signed, err := jws.Sign(payload, option)
	if err != nil || !a.Spoiled {
		return string(signed), err
	}
	return spoil(string(signed), payload), nil
}

func (p *Provider) signer(a Answer) (jws.SignOption, error) {
	if a.Alg == "HS256" {
		return jws.WithKey(jwa.HS256, []byte(ClientSecret)), nil
	}
	if !a.Forged {
		return jws.WithKey(jwa.ES256, p.key), nil
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	headers := jws.NewHeaders()
	if err := headers.Set(jws.KeyIDKey, p.key.KeyID()); err != nil {
		return nil, err
	}
	return jws.WithKey(jwa.ES256, private, jws.WithProtectedHeaders(headers)), nil
}
