// Package idptest is identity providers for tests: a small OpenID provider that
// is a real server, and what Google, GitHub and Microsoft add to it. They follow
// the published protocols, PKCE and single-use codes included, and misbehave
// when a test asks for it. They know no policy: everybody is who a test says.
package idptest

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// What the gateway is registered as at every provider of this package.
const (
	ClientID     = "gateway"
	ClientSecret = "gateway-secret"
)

// The endpoints, below the issuer.
const (
	Discovery = "/.well-known/openid-configuration"
	Authorize = "/authorize"
	Token     = "/token"
	UserInfo  = "/userinfo"
	Keys      = "/jwks"
)

// PersonCookie lets each browser of a crowd have its own account: its value is
// the subject, and the name in front of @example.com.
const PersonCookie = "person"

// A User is somebody with an account at the provider.
type User struct {
	Sub        string
	Email      string
	Unverified bool // the address
	Name       string
	Username   string
	Groups     []string
	Claims     map[string]any // further claims, or nil to leave one out
}

// Ada is who signs in unless a test says otherwise.
var Ada = User{Sub: "1815", Email: "ada@example.com", Name: "Ada Lovelace", Username: "ada", Groups: []string{"analysts"}}

func (u User) claims() map[string]any {
	c := map[string]any{"sub": u.Sub}
	if u.Email != "" {
		c["email"], c["email_verified"] = u.Email, !u.Unverified
	}
	if u.Name != "" {
		c["name"] = u.Name
	}
	if u.Username != "" {
		c["preferred_username"] = u.Username
	}
	if u.Groups != nil {
		c["groups"] = u.Groups
	}
	for name, value := range u.Claims {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// A Provider is an OpenID provider. Change it through its methods; they may be
// called while it serves.
type Provider struct {
	*site
	Issuer string

	user     User
	deny     string
	tweak    func(*Answer)
	metadata map[string]any
	key      jwk.Key
	codes    map[string]issued // code → what it is for
	tokens   map[string]User   // access token → whose
	prompts  []string
}

// New starts a provider on loopback, with plain http.
func New(t testing.TB) *Provider {
	mux := http.NewServeMux()
	p := newProvider(t, mux, "")
	p.site = open(t, "", mux)
	p.Issuer = "http://" + p.address
	return p
}

// at starts a provider under the name of a real one. The mux may hold what
// else that one serves, and hosts are its names.
func at(t testing.TB, issuer string, mux *http.ServeMux, hosts ...string) *Provider {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t, mux, u.Path)
	p.site = open(t, u.Path, mux, append(hosts, u.Host)...)
	p.Issuer = issuer
	return p
}

func newProvider(t testing.TB, mux *http.ServeMux, base string) *Provider {
	p := &Provider{
		user: Ada, key: newKey(t), metadata: map[string]any{},
		codes: map[string]issued{}, tokens: map[string]User{},
	}
	mux.HandleFunc("GET "+base+Discovery, p.discovery)
	mux.HandleFunc("GET "+base+Keys, p.keys)
	mux.HandleFunc("GET "+base+Authorize, p.authorize)
	mux.HandleFunc("POST "+base+Token, p.token)
	mux.HandleFunc(base+UserInfo, p.userinfo)
	return p
}

// SignIn makes u the person whom the provider approves from now on.
func (p *Provider) SignIn(u User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.user, p.deny = u, ""
}

// Deny answers authorization requests with an error, access_denied for one.
func (p *Provider) Deny(code string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deny = code
}

// Tweak changes every answer of the token endpoint before it is signed; nil
// ends that.
func (p *Provider) Tweak(change func(*Answer)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tweak = change
}

// Advertise overrides members of the discovery document; nil leaves one out.
func (p *Provider) Advertise(metadata map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.metadata, metadata)
}

// RotateKey replaces the signing key.
func (p *Provider) RotateKey(t testing.TB) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = newKey(t)
}

// Prompts returns the prompt parameter of each authorization request.
func (p *Provider) Prompts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.prompts...)
}

// Tokens returns the access tokens that were issued.
func (p *Provider) Tokens() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.tokens))
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	doc := map[string]any{
		"issuer":                 p.Issuer,
		"authorization_endpoint": p.Issuer + Authorize,
		"token_endpoint":         p.Issuer + Token,
		"userinfo_endpoint":      p.Issuer + UserInfo,
		"jwks_uri":               p.Issuer + Keys,
		// The last two must not tempt anybody.
		"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"code_challenge_methods_supported":      []string{"S256"},
	}
	for name, value := range p.metadata {
		if doc[name] = value; value == nil {
			delete(doc, name)
		}
	}
	writeJSON(w, http.StatusOK, doc)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func random() string { return rand.Text() }

func now() int64 { return time.Now().Unix() }
