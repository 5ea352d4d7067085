package doctor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// random is a value nobody can guess.
func random() string { return rand.Text() + rand.Text() }

// s256 is the code challenge of a verifier (RFC 7636 §4.2).
func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// returns are the redirect URIs of this client's authorization requests.
func (c *client) returns() []string {
	iss := c.server != nil && c.server.flag("authorization_response_iss_parameter_supported")
	if len(c.WithoutIss) > 0 && !iss {
		return c.WithoutIss
	}
	return c.Returns
}

// authorizationRequest is the URL that the client opens in a browser.
func (c *client) authorizationRequest(redirect string) (string, error) {
	q := url.Values{
		"response_type": {"code"}, "client_id": {c.registered.id}, "redirect_uri": {redirect}, "state": {random()},
		"code_challenge": {s256(random())}, "code_challenge_method": {"S256"},
	}
	if scope := c.scope(); scope != "" {
		q.Set("scope", scope)
		if strings.Contains(scope, "offline_access") {
			q.Set("prompt", "consent")
		}
	}
	if resource := c.resource(); resource != "" {
		q.Set("resource", resource)
	}
	return query(c.authorizationEndpoint(), q)
}

const noClient = "the client is not known to the server"

// authorize opens the authorization request as a browser would that was never
// here, and stops at the first page, or where another site takes over.
func (c *client) authorize(ctx context.Context) finding {
	if c.registered.id == "" {
		return skip(noClient)
	}
	seen := ""
	for _, redirect := range c.returns() {
		address, err := c.authorizationRequest(redirect)
		if err != nil || !c.secure(address) {
			return wrong("%s is not an https URL", c.authorizationEndpoint()).ends()
		}
		f := c.judgePage(c.browse(ctx, address), redirect)
		if f.result != OK {
			return f.ends()
		}
		seen = f.seen
	}
	return ok("%s", seen)
}

// browse follows redirects within the origin of the authorization server, with
// the cookies of one browser.
func (s *site) browse(ctx context.Context, address string) *answer {
	jar := newJar()
	var a *answer
	for range maxRedirects {
		req, err := s.web.request(ctx, http.MethodGet, address, nil, "Accept", "text/html")
		if err != nil {
			return &answer{url: &url.URL{}, err: err}
		}
		a = s.web.send(req, jar)
		to := a.leads()
		if to == nil || !sameOrigin(to.String(), address) {
			return a
		}
		address = to.String()
	}
	return a
}

func (c *client) judgePage(a *answer, redirect string) finding {
	rule := "RFC 6749 §4.1.1"
	to := a.leads()
	switch {
	case a.err != nil:
		return wrong("no answer: %v", a.err).by(rule).fixed("let browsers reach the authorization endpoint")
	case to != nil && returnsTo(to, redirect):
		return judgeReturn(to, redirect)
	case to != nil:
		return ok("the person is sent to %s", to.Host)
	case a.status == http.StatusOK && mediaType(a.header) == "text/html":
		return ok("a page")
	case a.status == http.StatusOK:
		return wrong("200 as %q: a person cannot read that", a.header.Get("Content-Type")).by(rule).fixed("show a page")
	}
	f := wrong("%s for redirect_uri %s%s", a, redirect, oauthError(a)).by(rule + ", OAuth 2.1 §4.1.2.1")
	switch {
	case c.registered.document:
		return f.fixed("let the server fetch %s, and accept the redirect URI as it is there (RFC 8252 §7.3: on loopback with any port)", c.registered.id)
	case c.resource() != "":
		return f.fixed("accept the client as it registered, and resource=%s", c.resource())
	}
	return f.fixed("accept the client as it registered, and a request without resource")
}

// returnsTo says whether a redirect is the answer to the client.
func returnsTo(to *url.URL, redirect string) bool {
	u, err := url.Parse(redirect)
	return err == nil && to.Scheme == u.Scheme && to.Host == u.Host && to.Path == u.Path
}

// judgeReturn looks at an answer that came before any person was asked.
func judgeReturn(to *url.URL, redirect string) finding {
	q := to.Query()
	if q.Get("error") == "" {
		return wrong("a code is given to %s before anybody was asked", redirect).
			by("MCP security best practices, Confused Deputy Problem").fixed("ask for consent first").danger()
	}
	said := q.Get("error")
	if d := q.Get("error_description"); d != "" {
		said += ": " + d
	}
	return wrong("refused: %s", said).by("RFC 6749 §4.1.2.1").fixed("accept what this client asks for")
}

// redirectRefused offers a redirect URI that nobody registered.
func (c *client) redirectRefused(ctx context.Context) finding {
	if c.registered.id == "" {
		return skip(noClient)
	}
	return c.once("redirect-refused "+c.authorizationEndpoint(), func() finding {
		const foreign = "https://doctor.invalid/callback"
		address, err := c.authorizationRequest(foreign)
		if err != nil {
			return skip(err.Error())
		}
		a := c.browse(ctx, address)
		if to := a.leads(); to != nil && to.Hostname() == "doctor.invalid" {
			return wrong("a redirect URI that was not registered is followed").by("RFC 9700 §2.1, RFC 6749 §3.1.2.4").
				fixed("compare redirect URIs with the registered ones, letter by letter").danger()
		}
		if a.err == nil && a.status/100 == 2 && mediaType(a.header) == "text/html" {
			return ok("a page")
		}
		return ok("%s", a)
	})
}

// tokenErrors offers a code that was never given.
func (c *client) tokenErrors(ctx context.Context) finding {
	address := c.tokenEndpoint()
	if !c.secure(address) {
		return skip("no token endpoint")
	}
	return c.once("token-errors "+address, func() finding {
		id, redirect := c.registered.id, c.returns()[0]
		if id == "" {
			id = "doctor"
		}
		a := c.web.form(ctx, address, url.Values{
			"grant_type": {"authorization_code"}, "code": {random()}, "redirect_uri": {redirect},
			"client_id": {id}, "code_verifier": {random()},
		})
		return judgeTokenError(a)
	})
}

func judgeTokenError(a *answer) finding {
	const fix = "answer POST at the token endpoint with JSON, always: no page, no redirect; a wrong code is 400 invalid_grant"
	rule := "RFC 6749 §5.2"
	var said struct {
		Error  string `json:"error"`
		Access string `json:"access_token"`
	}
	notJSON := json.Unmarshal(a.body, &said) != nil
	switch {
	case a.err != nil:
		return wrong("no answer: %v", a.err).by(rule).fixed(fix)
	case said.Access != "":
		return wrong("a code that was never given is taken").by(rule).fixed("refuse it with invalid_grant").danger()
	case notJSON || said.Error == "":
		return wrong("%s, and no error in JSON", a).by(rule).fixed(fix)
	case !slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusTooManyRequests}, a.status):
		return wrong("%s%s", a, oauthError(a)).by(rule).fixed(fix)
	case !isJSON(a.header):
		return warn("%s as %q", a, a.header.Get("Content-Type")).by(rule).fixed("send it as application/json")
	case !strings.Contains(a.header.Get("Cache-Control"), "no-store"):
		return warn("%s may be cached", a).by("RFC 6749 §5.1").fixed("send Cache-Control: no-store")
	}
	return ok("%d %s", a.status, plain(said.Error))
}
