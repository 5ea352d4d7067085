package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestZ1_unknown_parameters_are_ignored_and_empty_ones_count_as_left_out(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	raw := c.authorizeURL("scope", "", "resource", "") + "&scope=&resource=&prompt=&login_hint=x&x-unknown=1&x-unknown=&audience=y&nonce=n&display=page&ui_locales=de"
	if q := c.finish(t, b, b.open(t, raw), "notes:read"); q.Get("code") == "" {
		t.Errorf("got %v", q)
	}
}

func TestZ1_a_parameter_that_is_given_twice_is_invalid_request(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	for _, name := range []string{"response_type", "state", "code_challenge", "code_challenge_method", "scope", "prompt", "x-unknown"} {
		t.Run(name, func(t *testing.T) {
			f.leavesNothing(t, func() {
				state := "state-of-the-client"
				if name == "state" {
					state = "" // which of them?
				}
				for _, second := range []string{"the same", "another"} {
					v := c.params(name, "one")
					v[name] = append(v[name], map[string]string{"the same": v.Get(name), "another": "other"}[second])
					c.wantError(t, f.newBrowser(t).open(t, notes+"/authorize?"+v.Encode()), "invalid_request", state)
				}
			})
		})
	}
	for _, name := range []string{"client_id", "redirect_uri"} {
		v := c.params()
		v[name] = append(v[name], v.Get(name))
		f.newBrowser(t).open(t, notes+"/authorize?"+v.Encode()).wantPage(t, http.StatusBadRequest, "given more than once")
	}
	// RFC 8707 §2 lets a resource repeat.
	v := c.params()
	v["resource"] = []string{notes + "/mcp", notes}
	f.newBrowser(t).open(t, notes+"/authorize?"+v.Encode()).wantPage(t, http.StatusOK, "Allow access")
}

func TestZ2_no_page_shares_itself_with_other_origins(t *testing.T) {
	f := newFixture(t, with("PROXY_ALLOWEDORIGINS", "*"))
	c := f.newClient(t, nil)
	for _, path := range []string{"/authorize", "/authorize?" + c.params().Encode(), "/consent", "/signin", "/callback", "/account", "/consent/assets/consent.js"} {
		for _, origin := range []string{"https://app.example", notes, "null"} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
				a := f.ask(t, method, notes+path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Content-Type", "application/x-www-form-urlencoded")
				for name := range a.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %s from %s: %s", method, path, origin, name)
					}
				}
			}
		}
	}
}

func TestZ3_plain_and_missing_code_challenges_are_refused(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	portal := &client{f: f, origin: notes, id: "portal", secret: "another-secret-of-the-operator", redirect: "https://portal.example/cb"}
	for name, change := range map[string][]string{
		"no challenge":              {"code_challenge", ""},
		"no challenge, no method":   {"code_challenge", "", "code_challenge_method", ""},
		"no method, which is plain": {"code_challenge_method", ""},
		"plain":                     {"code_challenge_method", "plain"},
		"s256":                      {"code_challenge_method", "s256"},
		"S512":                      {"code_challenge_method", "S512"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []*client{f.newClient(t, nil), portal} {
				q := c.wantError(t, f.newBrowser(t).open(t, c.authorizeURL(change...)), "invalid_request", "state-of-the-client")
				if !strings.Contains(q.Get("error_description"), "code_challenge") {
					t.Errorf("it does not say why: %v", q)
				}
			}
		})
	}
}

func TestZ4_a_code_challenge_is_43_characters_of_base64url(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	good := challengeOf(verifier)
	for _, challenge := range []string{good[:42], good + "A", good[:42] + "=", good[:42] + "+", good[:42] + "/", good[:42] + " ", good[:42] + "\x00", good[:41] + "ä", good + "\n", strings.Repeat("A", 5000)} {
		c.wantError(t, f.newBrowser(t).open(t, c.authorizeURL("code_challenge", challenge)), "invalid_request", "state-of-the-client")
	}
}

func TestZ5_Z6_all_spellings_of_the_resource_mean_the_MCP_server_of_this_host(t *testing.T) {
	f := newFixture(t)
	for resource, aud := range map[string]string{
		"":                                 notes + "/mcp",
		notes:                              notes + "/mcp",
		notes + "/":                        notes + "/mcp",
		notes + "/mcp":                     notes + "/mcp",
		notes + "/mcp/":                    notes + "/mcp",
		"HTTPS://NOTES.example.COM/mcp":    notes + "/mcp",
		"https://notes.example.com:443":    notes + "/mcp",
		"https://notes.example.com./mcp":   notes + "/mcp",
		notes + "/other/path":              notes + "/other/path",
		"https://NOTES.EXAMPLE.COM:443/a/": notes + "/a",
	} {
		t.Run(resource, func(t *testing.T) {
			c := f.newClient(t, nil)
			tok := c.connect(t, f.newBrowser(t), "resource", resource)
			if got := texts(claims(t, tok.access)["aud"]); !slices.Equal(got, []string{notes, aud}) {
				t.Errorf("aud is %v, want the origin and %s", got, aud)
			}
			if a := f.call(t, notes, tok.access, "read_note"); a.StatusCode != http.StatusOK {
				t.Errorf("the token is refused: %s", a.Status)
			}
		})
	}
}

// foreign are resources that are not at notes.
var foreign = []string{
	mail, mail + "/mcp", "http://notes.example.com/mcp", "https://notes.example.com:8443/mcp", "https://notes.example.com.evil.example/", "https://notes.example.com@evil.example/",
	"https://evil.example/https://notes.example.com", "notes.example.com", "//notes.example.com/mcp", "/mcp", "https:notes.example.com", "https:///mcp",
	notes + "/mcp#fragment", notes + "/mcp?query", notes + "/a/../b", notes + "/a/%2e%2e/b", notes + "\\@evil.example", "urn:example:notes", "\xff", "x", notes + "/" + strings.Repeat("x", 3000),
}

func TestZ5_Z7_a_resource_of_elsewhere_is_invalid_target(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	f.leavesNothing(t, func() {
		for _, resource := range foreign {
			c.wantError(t, f.newBrowser(t).open(t, c.authorizeURL("resource", resource)), "invalid_target", "state-of-the-client")
		}
		v := c.params()
		v["resource"] = []string{notes + "/mcp", mail + "/mcp"}
		c.wantError(t, f.newBrowser(t).open(t, notes+"/authorize?"+v.Encode()), "invalid_target", "state-of-the-client")
	})
}

func TestZ8_unknown_scopes_are_ignored_and_the_answer_says_what_was_granted(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL("scope", "notes:read unknown openid profile offline_access"))
	if boxes := page.form(t).boxes; !slices.Equal(boxes, strings.Fields(allNotesScopes)) {
		t.Errorf("the boxes are %v", boxes)
	}
	tok := c.redeem(t, c.finish(t, b, page, "notes:read").Get("code")).tokens(t)
	if tok.scope != "notes:read" || claims(t, tok.access)["scope"] != "notes:read" || !slices.Equal(texts(claims(t, tok.access)["scopes"]), []string{"notes:read"}) {
		t.Errorf("granted %q, %v", tok.scope, claims(t, tok.access))
	}
}

func TestZ8_a_server_without_scopes_grants_the_default_one(t *testing.T) {
	o := notesServer()
	o.Scopes = nil
	f := newFixture(t, before(o))
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL("scope", "whatever"))
	if boxes := page.form(t).boxes; len(boxes) != 0 {
		t.Errorf("the boxes are %v", boxes)
	}
	if tok := c.redeem(t, c.finish(t, b, page).Get("code")).tokens(t); tok.scope != "mcp-oauth2-proxy" || f.call(t, notes, tok.access, "delete_note").StatusCode != http.StatusOK {
		t.Errorf("granted %q", tok.scope)
	}
}

// states are what real clients send, and what none should.
var states = []string{
	"x", "with space", "a+b/c==", `{"json":"yes"}`, "%25%20&=#?", "<script>\"'", "\u202eumlaut ä \U0001f600", "line\r\nbreak: x", "tab\tnul\x00", strings.Repeat("s", 1024), "é́",
}

func TestZ9_state_comes_back_to_the_byte(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	for _, state := range states {
		b := f.newBrowser(t)
		if q := c.finish(t, b, b.open(t, c.authorizeURL("state", state)), "notes:read"); q.Get("state") != state || q.Get("code") == "" {
			t.Errorf("with a code: %q came back as %q", state, q.Get("state"))
		}
		c.wantError(t, f.newBrowser(t).open(t, c.authorizeURL("state", state, "response_type", "token")), "unsupported_response_type", state)
		b = f.newBrowser(t)
		c.wantError(t, b.deny(t, b.open(t, c.authorizeURL("state", state))), "access_denied", state)
	}
	b := f.newBrowser(t)
	if q := c.finish(t, b, b.open(t, c.authorizeURL("state", "")), "notes:read"); q.Has("state") {
		t.Errorf("a state that was never sent came back: %v", q)
	}
}

func TestZ9_a_state_that_cannot_come_back_as_it_was_is_refused(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	for _, state := range []string{strings.Repeat("s", 1025), "\xff\xfe"} {
		f.leavesNothing(t, func() {
			b := f.newBrowser(t)
			c.wantError(t, b.open(t, c.authorizeURL("state", state)), "invalid_request", "")
			if len(b.cookies(t, notes)) != 0 {
				t.Error("the browser carries it all the same")
			}
		})
	}
}

func TestZ10_Z11_iss_is_the_issuer_of_the_metadata_on_success_and_on_error(t *testing.T) {
	f := newFixture(t)
	for _, origin := range []string{notes, mail} {
		c := f.newClientAt(t, origin, nil)
		issuer := f.metadata(t, origin+serverMetadata)["issuer"]
		b := f.newBrowser(t)
		success := c.finish(t, b, b.open(t, c.authorizeURL()), "notes:read")
		b = f.newBrowser(t)
		denied := c.received(t, b.deny(t, b.open(t, c.authorizeURL())))
		refused := c.received(t, f.newBrowser(t).open(t, c.authorizeURL("response_type", "x")))
		for name, q := range map[string]url.Values{"success": success, "denied": denied, "refused": refused} {
			if q.Get("iss") != issuer {
				t.Errorf("%s at %s: iss is %q", name, origin, q.Get("iss"))
			}
		}
	}
}

func TestZ12_what_is_not_offered_has_its_own_error(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", `[{"clientID":"robot","clientSecret":"secret","grants":["client_credentials"],"redirectURIs":["http://127.0.0.1/cb"]}]`))
	robot := &client{f: f, origin: notes, id: "robot", secret: "secret", redirect: "http://127.0.0.1/cb"}
	robot.wantError(t, f.newBrowser(t).open(t, robot.authorizeURL()), "unauthorized_client", "state-of-the-client")
	c := f.newClient(t, nil)
	for code, change := range map[string][]string{
		"unsupported_response_type": {"response_type", "code token"},
		"request_not_supported":     {"request", "eyJ"},
		"request_uri_not_supported": {"request_uri", "https://client.example/r"},
		"invalid_request":           {"response_mode", "fragment"},
	} {
		c.wantError(t, f.newBrowser(t).open(t, c.authorizeURL(change...)), code, "state-of-the-client")
	}
	b := f.newBrowser(t)
	c.wantError(t, b.deny(t, b.open(t, c.authorizeURL())), "access_denied", "state-of-the-client")
}

func TestZ13_a_code_is_bound_to_all_that_it_was_asked_with(t *testing.T) {
	f := newFixture(t)
	c, other := f.newClient(t, nil), f.newClient(t, map[string]any{"client_name": "Other"})
	atMail := f.newClientAt(t, mail, nil)
	code := c.code(t, f.newBrowser(t))
	if len(code) < 22 {
		t.Errorf("%q has not 128 bits", code)
	}
	other.redeem(t, code).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	atMail.redeem(t, code, "redirect_uri", "").wantJSON(t, http.StatusBadRequest, "invalid_grant")
	c.redeem(t, code, "redirect_uri", "http://127.0.0.1:1/callback").wantJSON(t, http.StatusBadRequest, "invalid_grant")
	c.redeem(t, code, "code_verifier", verifier+"x").wantJSON(t, http.StatusBadRequest, "invalid_grant")
	c.redeem(t, code, "resource", mail).wantJSON(t, http.StatusBadRequest, "invalid_target")
	// None of these has spent it.
	tok := c.redeem(t, code).tokens(t)
	if got := claims(t, tok.access); got["client_id"] != c.id || got["sub"] != "local:ada" || got["iss"] != notes {
		t.Errorf("claims %v", got)
	}
}

func TestZ13_a_code_lasts_for_a_minute(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	code := c.code(t, f.newBrowser(t))
	f.forward(t, 59*time.Second)
	c.redeem(t, code).tokens(t)
	code = c.code(t, f.newBrowser(t))
	f.forward(t, 60*time.Second)
	c.redeem(t, code).wantJSON(t, http.StatusBadRequest, "invalid_grant")
}

func TestZ15_prompt_consent_always_shows_the_page(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	portal := &client{f: f, origin: notes, id: "portal", secret: "another-secret-of-the-operator", redirect: "https://portal.example/cb"}
	b := f.newBrowser(t)
	b.open(t, portal.authorizeURL("prompt", "consent", "scope", "notes:read offline_access")).wantPage(t, http.StatusOK, "Allow access")
	web := f.webClient(t)
	web.connect(t, b)
	b.open(t, web.authorizeURL("prompt", "consent")).wantPage(t, http.StatusOK, "Allow access")
	b.open(t, web.authorizeURL("prompt", "login consent")).wantPage(t, http.StatusOK, "Allow access")
}

func TestZ15_prompt_login_asks_for_the_password_again(t *testing.T) {
	f := newFixture(t)
	c, b := f.webClient(t), f.newBrowser(t)
	c.connect(t, b)
	for _, prompt := range []string{"login", "select_account"} {
		page := b.open(t, c.authorizeURL("prompt", prompt))
		page.wantPage(t, http.StatusOK, "Allow access")
		page = b.allow(t, page, "notes:read")
		page.wantPage(t, http.StatusOK, "Password")
		if q := c.finish(t, b, page); q.Get("code") == "" {
			t.Errorf("prompt %s: %v", prompt, q)
		}
	}
}

func TestZ15_prompt_none_never_shows_a_page_where_the_client_can_be_told(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	c, b := f.newClient(t, nil), f.newBrowser(t)
	c.wantError(t, b.open(t, c.authorizeURL("prompt", "none")), "login_required", "state-of-the-client")
	c.connect(t, b)
	c.wantError(t, b.open(t, c.authorizeURL("prompt", "none")), "consent_required", "state-of-the-client") // loopback: S11
	c.wantError(t, b.open(t, c.authorizeURL("prompt", "none login")), "invalid_request", "state-of-the-client")
	for name := range b.cookies(t, notes) {
		if strings.Contains(name, "-r-") {
			t.Errorf("a request that is over stays in the browser: %s", name)
		}
	}
	web := f.webClient(t)
	web.connect(t, b)
	if q := web.received(t, b.open(t, web.authorizeURL("prompt", "none"))); q.Get("code") == "" {
		t.Errorf("allowed before, signed in: %v", q)
	}
	portal := &client{f: f, origin: notes, id: "portal", secret: "another-secret-of-the-operator", redirect: "https://portal.example/cb"}
	if q := portal.received(t, b.open(t, portal.authorizeURL("prompt", "none"))); q.Get("code") == "" {
		t.Errorf("configured, signed in: %v", q)
	}
	portal.wantError(t, f.newBrowser(t).open(t, portal.authorizeURL("prompt", "none")), "login_required", "state-of-the-client")
}

func TestZ15_other_prompts_are_ignored(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	f.newBrowser(t).open(t, c.authorizeURL("prompt", "create whatever")).wantPage(t, http.StatusOK, "Allow access")
	c.wantError(t, f.newBrowser(t).open(t, c.authorizeURL("prompt", strings.Repeat("x", 200))), "invalid_request", "state-of-the-client")
}

func TestZ17_a_request_that_does_not_fit_a_cookie_is_refused(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	var scopes []string
	for i := range 300 {
		scopes = append(scopes, challengeOf(strings.Repeat("x", i))[:12])
	}
	f.leavesNothing(t, func() {
		b := f.newBrowser(t)
		c.wantError(t, b.open(t, c.authorizeURL("scope", strings.Join(scopes, " "))), "invalid_request", "state-of-the-client")
		c.wantError(t, b.open(t, c.authorizeURL("scope", strings.Repeat("x", 4097))), "invalid_scope", "state-of-the-client")
		if len(b.cookies(t, notes)) != 0 {
			t.Error("a cookie is set")
		}
	})
	long := notes + "/authorize?" + c.params().Encode() + "&x=" + strings.Repeat("x", 70<<10)
	f.newBrowser(t).open(t, long).wantPage(t, http.StatusBadRequest, "too long")
	a := f.newBrowser(t).post(t, notes+"/authorize", c.params("x", strings.Repeat("x", 70<<10)))
	a.wantPage(t, http.StatusRequestEntityTooLarge, "too large")
}
