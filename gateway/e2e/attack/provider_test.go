//go:build e2e

package attack

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// A provider is an OpenID provider. The rogue one does what it likes: it says
// of anybody that it is anybody, spoils its answers, and sends browsers on to
// the honest one to get at its codes.
type provider struct {
	*idptest.Provider
	w    *world
	name string
	evil bool

	mu     sync.Mutex
	spoil  string
	mixes  bool              // its authorization endpoint is the honest one's
	given  map[string]string // code → whose
	tokens []string          // the codes that it was asked to redeem
	used   string            // how the last answer was spoiled
}

// What the rogue provider does to its answers; now and then nothing.
var spoils = []string{"", "", "", "nonce", "no nonce", "aud", "iss", "forged", "changed", "none", "hs256", "expired", "azp", "audiences", "no sub", "domain", "userinfo", "unverified"}

// wholeAnswers are the first of these.
const wholeAnswers = 3

func newProvider(t testing.TB, w *world, name string) *provider {
	t.Helper()
	p := &provider{Provider: idptest.New(t), w: w, name: name, given: map[string]string{}}
	behind, err := url.Parse(p.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(behind)
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if p.answers(rw, r) {
			return
		}
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(front.Close)
	p.Issuer = front.URL
	p.Advertise(map[string]any{"authorization_response_iss_parameter_supported": true})
	p.Tweak(p.tweak)
	return p
}

func (p *provider) settings() settings {
	s := settings{"id": p.name, "name": "oidc", "displayName": "The " + p.name + " provider", "issuerURL": p.Issuer,
		"clientID": idptest.ClientID, "clientSecret": idptest.ClientSecret}
	if p.name == "honest" {
		s["allowedUsers"] = []string{"victim@example.com", "attacker@example.com", "colleague@example.com"}
	} else {
		s["allowedEmailDomains"] = []string{`example\.com`}
	}
	return s
}

// answers notes what comes, and takes what the rogue answers itself.
func (p *provider) answers(rw http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case idptest.Authorize:
		p.mu.Lock()
		mixes := p.mixes
		p.mu.Unlock()
		if mixes {
			http.Redirect(rw, r, p.w.honest.Issuer+idptest.Authorize+"?"+r.URL.RawQuery, http.StatusFound)
			return true
		}
	case idptest.Token:
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		p.mu.Lock()
		p.tokens = append(p.tokens, form.Get("code"))
		p.mu.Unlock()
		if p.evil && p.w.honest.whose(form.Get("code")) == "victim" {
			p.w.breaks("no code in other hands", "the victim's code of the honest provider is shown to the rogue one")
		}
	case idptest.UserInfo:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.used == "userinfo" {
			rw.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(rw, `{"sub":"somebody-else","email":"victim@example.com","email_verified":true,"preferred_username":"victim","groups":["analysts"]}`)
			return true
		}
	}
	return false
}

// tweak spoils an answer of the rogue provider.
func (p *provider) tweak(a *idptest.Answer) {
	if p.name == "honest" {
		a.Claims["groups"] = []string{"people"}
		if a.Claims["sub"] == "stranger" { // who may call themselves what they like
			a.Claims["preferred_username"] = "victim@example.com"
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = p.spoil
	a.Claims["groups"] = []string{"people"}
	switch p.spoil {
	case "nonce":
		a.Claims["nonce"] = "another"
	case "no nonce":
		delete(a.Claims, "nonce")
	case "aud":
		a.Claims["aud"] = "another-client"
	case "iss":
		a.Claims["iss"] = p.w.honest.Issuer
	case "forged":
		a.Forged = true
	case "changed":
		a.Spoiled = true
	case "none":
		a.Alg = "none"
	case "hs256":
		a.Alg = "HS256"
	case "expired":
		a.Claims["exp"], a.Claims["iat"] = 1000000300, 1000000000
	case "azp":
		a.Claims["azp"] = "another-client"
	case "audiences":
		a.Claims["aud"] = []string{idptest.ClientID, "another-client"}
	case "no sub":
		a.Claims["sub"] = ""
	case "domain":
		a.Claims["email"] = "victim@example.com.evil." + domain
	case "userinfo":
		for _, name := range []string{"email", "email_verified", "preferred_username", "groups"} {
			delete(a.Claims, name)
		}
	case "unverified":
		a.Claims["email_verified"] = false
	}
}

// plan sets how the next answers are spoiled.
func (p *provider) plan(spoil string, mixes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoil, p.mixes = spoil, mixes
}

// spoiled is how the last answer was, and forgets it.
func (p *provider) spoiled() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	used := p.used
	p.used = ""
	return used
}

func (p *provider) redeemed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tokens
}

// whose is the person that a code was given to.
func (p *provider) whose(code string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given[code]
}

func (p *provider) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given, p.tokens, p.used = map[string]string{}, nil, ""
	p.spoil, p.mixes = "", false
}

// visit is a browser at the provider: it is sent back at once.
func (p *provider) visit(address, person string) (to string) {
	r := p.w.request(http.MethodGet, address, "", "Cookie", idptest.PersonCookie+"="+person)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return ""
	}
	_ = res.Body.Close()
	to = res.Header.Get("Location")
	if back, err := url.Parse(to); err == nil && strings.Contains(to, "/callback?") {
		p.mu.Lock()
		p.given[back.Query().Get("code")] = person
		p.mu.Unlock()
	}
	return to
}
