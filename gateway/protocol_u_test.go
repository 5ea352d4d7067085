package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// redirects are a client with several redirect URIs of every kind.
func (f *fixture) redirects(t testing.TB) *client {
	t.Helper()
	return f.newClient(t, map[string]any{"redirect_uris": []string{
		"http://127.0.0.1/cb", "http://localhost:8000/cb?a=1", "http://[::1]/cb", "https://client.example/cb", "https://localhost:8443/cb", "cursor://x/cb",
	}})
}

func TestU1_U2_U3_U4_U7_only_a_registered_redirect_URI_is_accepted(t *testing.T) {
	f := newFixture(t)
	c := f.redirects(t)
	for uri, want := range map[string]bool{
		"http://127.0.0.1/cb":                                   true,
		"http://127.0.0.1:1/cb":                                 true,
		"http://127.0.0.1:65535/cb":                             true,
		"http://localhost/cb?a=1":                               true,
		"http://localhost:4711/cb?a=1":                          true,
		"http://[::1]:4711/cb":                                  true,
		"https://client.example/cb":                             true,
		"https://localhost:8443/cb":                             true,
		"cursor://x/cb":                                         true,
		"http://127.0.0.1:0/cb":                                 false,
		"http://127.0.0.1:65536/cb":                             false,
		"http://127.0.0.1:/cb":                                  false,
		"http://127.0.0.1:080/cb":                               false,
		"http://127.0.0.1:x@evil.example/cb":                    false,
		"http://127.0.0.1.evil.example/cb":                      false,
		"http://127.0.0.2/cb":                                   false,
		"http://127.1/cb":                                       false,
		"http://localhost./cb?a=1":                              false,
		"http://127.0.0.1/cb?a=1":                               false,
		"http://localhost/cb":                                   false,
		"http://127.0.0.1/cb/":                                  false,
		"http://127.0.0.1/CB":                                   false,
		"http://127.0.0.1/./cb":                                 false,
		"http://127.0.0.1/cb#x":                                 false,
		"https://127.0.0.1/cb":                                  false,
		"https://localhost:8444/cb":                             false,
		"https://client.example:443/cb":                         false,
		"https://client.example:8443/cb":                        false,
		"https://client.example/cb?x":                           false,
		"https://client.example/cb/../evil":                     false,
		"https://client.example/CB":                             false,
		"https://CLIENT.example/cb":                             false,
		"https://client.example.evil/cb":                        false,
		"https://evil.example/?x=client":                        false,
		"https:/client.example/cb":                              false,
		"https://client.example\\@evil.com/cb":                  false,
		"//client.example/cb":                                   false,
		"/cb":                                                   false,
		"cursor://x/cb/":                                        false,
		"cursor://y/cb":                                         false,
		"javascript:alert(1)":                                   false,
		"data:text/html,x":                                      false,
		" http://127.0.0.1/cb":                                  false,
		"http://127.0.0.1/cb\x00":                               false,
		"http://127.0.0.1/cb\r\nSet-Cookie: x=":                 false,
		"\xff":                                                  false,
		"https://client.example/cb" + strings.Repeat("x", 3000): false,
	} {
		t.Run(uri[:min(len(uri), 60)], func(t *testing.T) {
			// A request that is wrong in nothing else, and one that is: neither
			// leads to an address that was not registered.
			good := f.newBrowser(t).open(t, c.authorizeURL("redirect_uri", uri))
			bad := f.newBrowser(t).once(t, c.authorizeURL("redirect_uri", uri, "response_type", "token"))
			if want {
				good.wantPage(t, http.StatusOK, "Allow access")
				return
			}
			good.wantPage(t, http.StatusBadRequest, "an address that it did not register")
			bad.wantPage(t, http.StatusBadRequest, "an address that it did not register")
			if len(good.links(t)) != 0 || len(good.Cookies()) != 0 {
				t.Errorf("it leads to %v and sets %v", good.links(t), good.Cookies())
			}
		})
	}
}

func TestU2_the_answer_goes_to_the_port_that_was_asked_for(t *testing.T) {
	f := newFixture(t)
	c := f.redirects(t)
	c.redirect = "http://127.0.0.1:4711/cb"
	if code := c.code(t, f.newBrowser(t)); code == "" {
		t.Error("no code")
	}
}

func TestU5_which_redirect_URIs_can_be_registered_is_the_operators_word(t *testing.T) {
	f := newFixture(t, with("PROXY_ALLOWEDREDIRECTURLS", `["https://claude\\.ai/.*","http://localhost/cb","myapp:/cb"]`))
	got := decoded(t, f.register(t, notes, map[string]any{"redirect_uris": []string{
		claude, "https://claude.ai.evil.example/", "https://evil.example/https://claude.ai/x", "http://localhost:5000/cb", "http://127.0.0.1/cb", "cursor://x/cb", "myapp:/cb", "javascript:alert(1)",
	}}).body)
	if want := []string{claude, "http://localhost:5000/cb", "myapp:/cb"}; !slices.Equal(texts(got["redirect_uris"]), want) {
		t.Errorf("kept %v", got["redirect_uris"])
	}
	f.register(t, notes, map[string]any{"redirect_uris": []string{"https://evil.example/"}}).wantJSON(t, http.StatusBadRequest, "invalid_redirect_uri")
}

func TestU6_redirect_uri_may_be_left_out_where_exactly_one_is_registered(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	code := c.code(t, f.newBrowser(t), "redirect_uri", "")
	if tok := c.redeem(t, code, "redirect_uri", "").tokens(t); tok.access == "" {
		t.Error("no token")
	}
	f.newBrowser(t).open(t, f.redirects(t).authorizeURL("redirect_uri", "")).wantPage(t, http.StatusBadRequest, "did not register")
}

func TestU8_the_query_of_a_redirect_URI_is_kept(t *testing.T) {
	f := newFixture(t)
	for _, registered := range []string{"http://127.0.0.1/cb?tenant=1&x=%2F%C3%A4", "http://127.0.0.1/cb?", "com.example.app:/cb?x", "https://client.example/a%2Fb?q"} {
		c := f.newClient(t, map[string]any{"redirect_uris": []string{registered}})
		b := f.newBrowser(t)
		a := b.deny(t, b.open(t, c.authorizeURL()))
		want := registered
		if !strings.HasSuffix(want, "?") {
			want += "&"
		}
		if got := a.Header.Get("Location"); !strings.HasPrefix(got, want+"error=access_denied&") {
			t.Errorf("%s: sent to %s", registered, got)
		}
	}
}

// faulty are requests that are refused before anybody consents, each with its
// error; the client and the redirect URI are good.
var faulty = map[string][]string{
	"invalid_request":           {"code_challenge", ""},
	"unsupported_response_type": {"response_type", "token"},
	"invalid_target":            {"resource", "https://elsewhere.example/mcp"},
	"invalid_scope":             {"scope", "quo\"te"},
	"login_required":            {"prompt", "none"},
}

func TestU9_an_https_address_that_nobody_configured_is_shown_and_not_followed(t *testing.T) {
	f := newFixture(t)
	for code, change := range faulty {
		t.Run(code, func(t *testing.T) {
			f.leavesNothing(t, func() {
				c := f.webClient(t)
				a := f.newBrowser(t).open(t, c.authorizeURL(change...))
				a.wantPage(t, http.StatusBadRequest, "Back to claude.ai")
				to := backTo(t, a, claude)
				if to.Get("error") != code || to.Get("state") != "state-of-the-client" || to.Get("iss") != notes || to.Has("code") {
					t.Errorf("the link leads to %v", to)
				}
			})
		})
	}
}

// backTo is the query of the one link of a page that leads to a client.
func backTo(t testing.TB, a answer, redirect string) url.Values {
	t.Helper()
	for _, link := range a.links(t) {
		if strings.HasPrefix(link, redirect+"?") {
			u, err := url.Parse(link)
			if err != nil {
				t.Fatal(err)
			}
			return u.Query()
		}
	}
	t.Errorf("no link leads to %s: %v", redirect, a.links(t))
	return nil
}

func TestU9_Z12_other_addresses_are_redirected_to(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	portal := &client{f: f, origin: notes, id: "portal", secret: "another-secret-of-the-operator", redirect: "https://portal.example/cb"}
	private := f.newClient(t, map[string]any{"redirect_uris": []string{"cursor://x/cb"}})
	for name, c := range map[string]*client{"loopback": f.newClient(t, nil), "private scheme": private, "https of a configured client": portal} {
		for code, change := range faulty {
			t.Run(name+" "+code, func(t *testing.T) {
				f.leavesNothing(t, func() {
					c.wantError(t, f.newBrowser(t).open(t, c.authorizeURL(change...)), code, "state-of-the-client")
				})
			})
		}
	}
}

func TestU10_every_redirect_is_a_303_and_a_POST_becomes_a_GET(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	a := b.once(t, c.authorizeURL()) // follow checks the others of the flow
	a.wantSeeOther(t)
	a = b.post(t, notes+"/authorize", c.params(), "Origin", "https://client.example", "Sec-Fetch-Site", "cross-site")
	a.wantSeeOther(t)
	if q := c.finish(t, b, b.follow(t, a), "notes:read"); q.Get("code") == "" {
		t.Errorf("Z1: a POST ends with %v", q)
	}
}
