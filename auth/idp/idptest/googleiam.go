package idptest

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// workloadToken is the security token service: the platform's token for a
// federated one.
func (g *Google) workloadToken(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("subject_token") != "token-of-the-platform" {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	token := "federated." + random()
	g.plain[token] = true
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": token, "expires_in": 3600, "token_type": "Bearer",
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
	})
}

// signJWT is the two methods of the IAM credentials API that are used.
func (g *Google) signJWT(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	account, method, _ := strings.Cut(r.PathValue("account"), ":")
	if !g.plain[bearer(r)] || account != serviceAccount {
		googleError(w, http.StatusForbidden, "forbidden", "Permission 'iam.serviceAccounts."+method+"' denied")
		return
	}
	if method == "generateAccessToken" {
		token := "impersonated." + random()
		g.plain[token] = true
		writeJSON(w, http.StatusOK, map[string]any{"accessToken": token, "expireTime": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
		return
	}
	var body struct {
		Payload string `json:"payload"`
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil || method != "signJwt" || json.NewDecoder(r.Body).Decode(&body) != nil {
		googleError(w, http.StatusBadRequest, "badRequest", "Invalid JSON payload received.")
		return
	}
	signed, err := jws.Sign([]byte(body.Payload), jws.WithKey(jwa.RS256, key))
	if err != nil {
		googleError(w, http.StatusBadRequest, "badRequest", err.Error())
		return
	}
	g.keys = append(g.keys, &key.PublicKey)
	writeJSON(w, http.StatusOK, map[string]any{"keyId": "1", "signedJwt": string(signed)})
}

// MetadataServer starts the metadata server of a virtual machine with the
// service account, and returns its address (for GCE_METADATA_HOST).
func (g *Google) MetadataServer(t testing.TB) string {
	t.Helper()
	mux := http.NewServeMux()
	const account = "GET /computeMetadata/v1/instance/service-accounts/default/"
	mux.HandleFunc(account+"email", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(serviceAccount)) })
	mux.HandleFunc(account+"token", func(w http.ResponseWriter, _ *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		token := "machine." + random()
		g.plain[token] = true
		writeJSON(w, http.StatusOK, map[string]any{"access_token": token, "expires_in": 3599, "token_type": "Bearer"})
	})
	mux.HandleFunc("GET /computeMetadata/v1/project/project-id", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("project")) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
