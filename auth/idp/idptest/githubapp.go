package idptest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

// InstallApp installs a GitHub App in an organization and returns its private
// key in PEM.
func (g *GitHub) InstallApp(t testing.TB, org string) string {
	t.Helper()
	key, text := rsaKey(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.app, g.appOrg = &key.PublicKey, org
	return text
}

func rsaKey(t testing.TB) (*rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return key, string(pem.EncodeToMemory(block))
}

func (g *GitHub) serveApp(mux *http.ServeMux) {
	mux.HandleFunc("GET /orgs/{org}/installation", g.asApp(g.installation))
	mux.HandleFunc("POST /app/installations/{id}/access_tokens", g.asApp(g.installationToken))
	mux.HandleFunc("GET /user/{id}", g.asInstallation(g.userByID))
	mux.HandleFunc("GET /orgs/{org}/memberships/{login}", g.asInstallation(g.memberByLogin))
	mux.HandleFunc("POST /graphql", g.asInstallation(g.graphQL))
}

// asApp answers to a JWT that the app signed, no longer valid than ten minutes.
func (g *GitHub) asApp(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		key := g.app
		g.mu.Unlock()
		if key == nil {
			gitHubError(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
			return
		}
		token, err := jwt.ParseString(bearer(r), jwt.WithKey(jwa.RS256, key), jwt.WithIssuer(ClientID), jwt.WithMaxDelta(10*time.Minute, "exp", "iat"))
		if err != nil || token.Expiration().IsZero() {
			gitHubError(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
			return
		}
		next(w, r)
	}
}

func (g *GitHub) asInstallation(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		ok := g.installations[bearer(r)]
		g.mu.Unlock()
		if !ok {
			gitHubError(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		next(w, r)
	}
}

func (g *GitHub) installation(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.PathValue("org"), g.appOrg) {
		gitHubError(w, http.StatusNotFound, "Not Found")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"id": 42, "account": map[string]any{"login": g.appOrg}})
}

func (g *GitHub) installationToken(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("id") != "42" {
		gitHubError(w, http.StatusNotFound, "Not Found")
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	token := "ghs_" + random()
	g.installations[token] = true
	writeJSON(w, http.StatusCreated, map[string]any{"token": token, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
}

// account is the only one there is: who signed in last.
func (g *GitHub) account() GitHubUser {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.user
}

func (g *GitHub) userByID(w http.ResponseWriter, r *http.Request) {
	if u := g.account(); r.PathValue("id") == strconv.FormatInt(u.ID, 10) {
		writeJSON(w, http.StatusOK, u.json())
		return
	}
	gitHubError(w, http.StatusNotFound, "Not Found")
}

func (g *GitHub) memberByLogin(w http.ResponseWriter, r *http.Request) {
	if u := g.account(); r.PathValue("login") == u.Login {
		g.membership(w, r, u)
		return
	}
	gitHubError(w, http.StatusNotFound, "Not Found")
}

// graphQL knows one question: the teams of an organization that somebody is in.
func (g *GitHub) graphQL(w http.ResponseWriter, r *http.Request) {
	var question struct {
		Query     string `json:"query"`
		Variables struct {
			Org    string   `json:"org"`
			Logins []string `json:"logins"`
			After  string   `json:"after"`
		} `json:"variables"`
	}
	u := g.account()
	if json.NewDecoder(r.Body).Decode(&question) != nil || !strings.Contains(question.Query, "userLogins: $logins") {
		gitHubError(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	if !strings.EqualFold(question.Variables.Org, g.appOrg) || len(question.Variables.Logins) != 1 || question.Variables.Logins[0] != u.Login {
		writeJSON(w, http.StatusOK, map[string]any{
			"data":   map[string]any{"organization": nil},
			"errors": []any{map[string]any{"type": "NOT_FOUND", "message": "Could not resolve to an Organization."}},
		})
		return
	}
	var slugs []any
	for _, team := range u.Teams {
		if org, slug, _ := strings.Cut(team, "/"); strings.EqualFold(org, question.Variables.Org) {
			slugs = append(slugs, map[string]any{"slug": slug})
		}
	}
	from, _ := strconv.Atoi(question.Variables.After)
	to := min(from+gitHubPage, len(slugs))
	writeJSON(w, http.StatusOK, map[string]any{"data": map[string]any{"organization": map[string]any{"teams": map[string]any{
		"nodes": slugs[from:to], "pageInfo": map[string]any{"hasNextPage": to < len(slugs), "endCursor": strconv.Itoa(to)},
	}}}})
}
