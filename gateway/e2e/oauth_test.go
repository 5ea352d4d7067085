//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// callback is where the scripted client is sent back to. Nobody listens there:
// the visitor stops before it.
const callback = "http://127.0.0.1:1/callback"

// register registers a public client and returns its id.
func register(t *testing.T, hc *http.Client, origin, name, redirect string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"client_name": name, "redirect_uris": []string{redirect},
		"token_endpoint_auth_method": "none", "application_type": "native"})
	if err != nil {
		t.Fatal(err)
	}
	var client struct {
		ID string `json:"client_id"`
	}
	send(t, hc, origin+"/register", "application/json", string(body), http.StatusCreated, &client)
	return client.ID
}

// A request is one authorization, from the client's side.
type request struct {
	url, clientID, verifier string
}

func authorize(t *testing.T, origin, clientID, redirect string) request {
	t.Helper()
	r := request{clientID: clientID, verifier: oauth2.GenerateVerifier()}
	r.url = origin + "/authorize?" + url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirect},
		"state": {rand.Text()}, "code_challenge": {oauth2.S256ChallengeFromVerifier(r.verifier)},
		"code_challenge_method": {"S256"}, "resource": {origin + "/mcp"}}.Encode()
	return r
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
}

// signIn is the whole flow at one host, without a browser.
func (v *visitor) signIn(t *testing.T, origin string) tokens {
	t.Helper()
	r := authorize(t, origin, register(t, v.client, origin, "Scripted client", callback), callback)
	answer := v.visit(t, r.url, callback)
	if answer.Get("code") == "" || answer.Get("iss") != origin {
		t.Fatalf("%s answers %v", origin, answer)
	}
	return r.redeem(t, v.client, origin, callback, answer.Get("code"))
}

// redeem trades the code for tokens.
func (r request) redeem(t *testing.T, hc *http.Client, origin, redirect, code string) (got tokens) {
	t.Helper()
	send(t, hc, origin+"/token", "application/x-www-form-urlencoded", url.Values{"grant_type": {"authorization_code"},
		"client_id": {r.clientID}, "redirect_uri": {redirect}, "code": {code},
		"code_verifier": {r.verifier}, "resource": {origin + "/mcp"}}.Encode(), http.StatusOK, &got)
	return got
}

// send posts the body and reads the JSON answer.
func send(t *testing.T, hc *http.Client, to, kind, body string, status int, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	res, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != status {
		t.Fatalf("%s: %s, want %d", to, res.Status, status)
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", to, err)
	}
}
