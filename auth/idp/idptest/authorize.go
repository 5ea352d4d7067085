package idptest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// issued is what a code stands for.
type issued struct {
	user                       User
	redirect, challenge, nonce string
	scope                      string
}

// authorize approves at once, or denies if the test says so. As everywhere, a
// request that does not prove its redirect URI is answered with a page.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || redirect.Host == "" || q.Get("client_id") != ClientID {
		http.Error(w, "unknown client or redirect URI", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prompts = append(p.prompts, q.Get("prompt"))
	back := redirect.Query()
	back.Set("state", q.Get("state"))
	if p.metadata["authorization_response_iss_parameter_supported"] == true {
		back.Set("iss", p.Issuer)
	}
	switch code := p.deny; {
	case code != "":
		back.Set("error", code)
	case q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		back.Set("error", "invalid_request")
	default:
		code = random()
		p.codes[code] = issued{p.person(r), q.Get("redirect_uri"), q.Get("code_challenge"), q.Get("nonce"), q.Get("scope")}
		back.Set("code", code)
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

// person is who sits before the browser: whom its cookie names, else whom the
// test says.
func (p *Provider) person(r *http.Request) User {
	c, err := r.Cookie(PersonCookie)
	if err != nil {
		return p.user
	}
	return User{Sub: c.Value, Email: c.Value + "@example.com", Username: c.Value}
}

// redeem spends the code of a token request. A string is the error.
func (p *Provider) redeem(r *http.Request) (issued, string) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if id != ClientID || secret != ClientSecret {
		return issued{}, "invalid_client"
	}
	code, ok := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || code.redirect != r.PostFormValue("redirect_uri") || code.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		return issued{}, "invalid_grant"
	}
	return code, ""
}

// userinfo tells about whom the access token is.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	user, ok := p.tokens[bearer(r)]
	p.mu.Unlock()
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	writeJSON(w, http.StatusOK, user.claims())
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}
