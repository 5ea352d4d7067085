package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// TestBadAnswersOfProviders: each is refused with a page, an audit event, and no
// grant. What is wrong is told apart in auth/idp.
func TestBadAnswersOfProviders(t *testing.T) {
	const notNow, didNotWork = "The sign-in is not available now", "The sign-in did not work"
	claim := func(name string, value any) func(*idptest.Provider) {
		return func(p *idptest.Provider) {
			p.Tweak(func(a *idptest.Answer) {
				if a.Claims[name] = value; value == nil {
					delete(a.Claims, name)
				}
			})
		}
	}
	fault := func(path string, f idptest.Fault) func(*idptest.Provider) {
		return func(p *idptest.Provider) { p.Fail(path, f) }
	}
	answer := func(spoil func(*idptest.Answer)) func(*idptest.Provider) {
		return func(p *idptest.Provider) { p.Tweak(spoil) }
	}
	for name, tc := range map[string]struct {
		spoil  func(*idptest.Provider)
		status int
		title  string
	}{
		"slow":                          {fault(idptest.Token, idptest.Slow), 503, notNow},
		"huge":                          {fault(idptest.Token, idptest.Huge), 503, notNow},
		"not JSON":                      {fault(idptest.Token, idptest.NotJSON), 503, notNow},
		"keys that are not JSON":        {fault(idptest.Keys, idptest.NotJSON), 503, notNow},
		"a wrong iss":                   {claim("iss", "https://evil.example"), 502, didNotWork},
		"a wrong aud":                   {claim("aud", "another"), 502, didNotWork},
		"a wrong nonce":                 {claim("nonce", "another"), 502, didNotWork},
		"no nonce":                      {claim("nonce", nil), 502, didNotWork},
		"an expired ID token":           {claim("exp", time.Now().Add(-time.Hour).Unix()), 502, didNotWork},
		"no sub":                        {claim("sub", nil), 502, didNotWork},
		"a wrong signature":             {answer(func(a *idptest.Answer) { a.Forged = true }), 502, didNotWork},
		"the algorithm of another kind": {answer(func(a *idptest.Answer) { a.Alg = "HS256" }), 502, didNotWork},
		"no algorithm":                  {answer(func(a *idptest.Answer) { a.Alg = "none" }), 502, didNotWork},
		"no ID token":                   {answer(func(a *idptest.Answer) { a.NoIDToken = true }), 502, didNotWork},
		"an e-mail that is not verified": {func(p *idptest.Provider) {
			p.SignIn(idptest.User{Sub: "1", Email: "ada@example.com", Unverified: true})
		}, 403, "This account may not enter"},
		"an error":      {func(p *idptest.Provider) { p.Deny("server_error") }, 503, notNow},
		"access_denied": {func(p *idptest.Provider) { p.Deny("access_denied") }, 403, "The sign-in was cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			server := idptest.New(t)
			client := server.Client()
			client.Timeout = 3 * time.Second // so that "slow" is over soon
			h := newHouse(t, signinConfig(oidcProvider(server, "company", "allowedEmailDomains: [example.com]"), ""), client)
			p := h.person(t, server.Visit)
			tc.spoil(server)
			v := p.follow(t, p.asks(t, notes, nil))
			signin{}.refusedPage(t, h, p, v, tc.status, tc.title)
		})
	}
}

func TestCallbackIsForTheBrowserThatBegan(t *testing.T) {
	h, p, server := openHouse(t)
	other := h.person(t, server.Visit)
	begin := p.asks(t, notes, nil).to
	answer := p.back(t, begin)
	stale := func(name string, v view) {
		t.Helper()
		if v.status != http.StatusBadRequest || v.title() != "This page has expired" {
			t.Errorf("%s is answered by %d %q", name, v.status, v.title())
		}
	}
	stale("S9 a state from another browser", other.get(t, answer))
	stale("S9 a state at another host", p.get(t, strings.Replace(answer, notes, tasks, 1)))
	q := queryOf(t, answer)
	q.Set("state", q.Get("state")+"x")
	stale("S9 a state that is not the one", p.get(t, notes+"/callback?"+q.Encode()))
	if v := p.get(t, answer+"&code=another"); v.status != http.StatusBadRequest || v.to != "" {
		t.Errorf("a code that is there twice is answered by %d", v.status)
	}
	p.redeem(t, notes, p.get(t, answer)) // after all that, the answer is good

	p = h.person(t, server.Visit)
	again := p.back(t, p.asks(t, notes, nil).to)
	p.redeem(t, notes, p.get(t, again))
	stale("S10 a callback that is replayed", p.get(t, again))
	replayed := queryOf(t, again)
	fresh := queryOf(t, p.asks(t, notes, url.Values{"prompt": {"login"}}).to)
	replayed.Set("state", fresh.Get("state"))
	if v := p.get(t, notes+"/callback?"+replayed.Encode()); v.status != http.StatusBadGateway || v.title() != "The sign-in did not work" {
		t.Errorf("S10: a code that is replayed in another attempt is answered by %d %q", v.status, v.title())
	}
}
