package idptest

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A GitHubUser is an account at GitHub.
type GitHubUser struct {
	ID     int64
	Login  string
	Name   string
	Emails []GitHubEmail
	Orgs   map[string]string // organization → active or pending
	Teams  []string          // org/team-slug
}

// A GitHubEmail is an address of an account.
type GitHubEmail struct {
	Email    string `json:"email"`
	Primary  bool   `json:"primary"`
	Verified bool   `json:"verified"`
}

// Octocat is who signs in at GitHub unless a test says otherwise: a member of
// acme, in more teams than fit a page.
var Octocat = GitHubUser{
	ID: 583231, Login: "octocat", Name: "The Octocat",
	Emails: []GitHubEmail{
		{"shown@example.com", false, true}, {"other@example.com", false, false}, {"octocat@example.com", true, true},
	},
	Orgs:  map[string]string{"acme": "active"},
	Teams: []string{"acme/core", "other/core", "acme/docs", "acme/web", "acme/ops"},
}

// A GitHub is github.com and api.github.com, as far as a sign-in goes. Lists
// come two by two, whatever per_page says.
type GitHub struct {
	*site
	user   GitHubUser
	deny   string
	codes  map[string]issuedByGitHub
	tokens map[string]issuedByGitHub

	app           *rsa.PublicKey // of the installed app
	appOrg        string
	installations map[string]bool // its tokens
}

type issuedByGitHub struct {
	user                GitHubUser
	redirect, challenge string
	scopes              []string
}

const gitHubPage = 2

// NewGitHub starts a GitHub.
func NewGitHub(t testing.TB) *GitHub {
	g := &GitHub{
		user: Octocat, codes: map[string]issuedByGitHub{}, tokens: map[string]issuedByGitHub{}, installations: map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/oauth/authorize", g.authorize)
	mux.HandleFunc("POST /login/oauth/access_token", g.token)
	mux.HandleFunc("GET /user", g.asUser("", g.whoAmI))
	mux.HandleFunc("GET /user/emails", g.asUser("user:email", g.emails))
	mux.HandleFunc("GET /user/teams", g.asUser("read:org", g.teams))
	mux.HandleFunc("GET /user/memberships/orgs/{org}", g.asUser("read:org", g.membership))
	g.serveApp(mux)
	g.site = open(t, "", mux, "github.com", "api.github.com")
	return g
}

// SignIn makes u the person who approves from now on, and how the API knows
// that account.
func (g *GitHub) SignIn(u GitHubUser) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.user, g.deny = u, ""
}

// Deny answers authorization requests with an error.
func (g *GitHub) Deny(code string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deny = code
}

func (g *GitHub) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || redirect.Host == "" || q.Get("client_id") != ClientID {
		http.NotFound(w, r)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	back := url.Values{"state": {q.Get("state")}}
	if g.deny != "" {
		back.Set("error", g.deny)
		back.Set("error_description", "The user has denied your application access.")
	} else {
		code := random()
		g.codes[code] = issuedByGitHub{g.user, q.Get("redirect_uri"), q.Get("code_challenge"), strings.Fields(q.Get("scope"))}
		back.Set("code", code)
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

// token answers as GitHub does: a form, and errors with status 200.
func (g *GitHub) token(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	code, ok := g.codes[r.PostFormValue("code")]
	delete(g.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	answer := url.Values{}
	switch {
	case r.PostFormValue("client_id") != ClientID || r.PostFormValue("client_secret") != ClientSecret:
		answer.Set("error", "incorrect_client_credentials")
	case !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != code.challenge:
		answer.Set("error", "bad_verification_code")
		answer.Set("error_description", "The code passed is incorrect or expired.")
	case code.redirect != r.PostFormValue("redirect_uri"):
		answer.Set("error", "redirect_uri_mismatch")
	default:
		token := "gho_" + random()
		g.tokens[token] = code
		answer = url.Values{"access_token": {token}, "token_type": {"bearer"}, "scope": {strings.Join(code.scopes, ",")}}
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = fmt.Fprint(w, answer.Encode())
}

// asUser answers only to a token of a person that has the scope.
func (g *GitHub) asUser(scope string, next func(http.ResponseWriter, *http.Request, GitHubUser)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		grant, ok := g.tokens[bearer(r)]
		g.mu.Unlock()
		switch {
		case r.Header.Get("User-Agent") == "":
			http.Error(w, "Request forbidden by administrative rules.", http.StatusForbidden)
		case !ok:
			gitHubError(w, http.StatusUnauthorized, "Bad credentials")
		case scope != "" && !slices.Contains(grant.scopes, scope):
			gitHubError(w, http.StatusNotFound, "Not Found")
		default:
			next(w, r, grant.user)
		}
	}
}

func gitHubError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status),
	})
}
