package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// robots are clients that the operator configured.
const robots = `[
	{"clientID":"robot","clientSecret":"a-secret-of-the-operator","name":"Robot","grants":["client_credentials"]},
	{"clientID":"portal","clientSecret":"another-secret-of-the-operator","name":"Portal","redirectURIs":["https://portal.example/cb"]},
	{"clientID":"cli","name":"CLI","redirectURIs":["http://127.0.0.1/cb","https://cli.example/cb"]}]`

func (f *fixture) robot() *client {
	return &client{f: f, origin: notes, id: "robot", secret: "a-secret-of-the-operator"}
}

func (f *fixture) portal() *client {
	return &client{f: f, origin: notes, id: "portal", secret: "another-secret-of-the-operator", redirect: "https://portal.example/cb"}
}

func TestT1_the_token_endpoint_takes_a_form_by_POST_and_nothing_of_the_URL(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	code := c.code(t, f.newBrowser(t))
	form := c.redemption(code, "client_id", c.id).Encode()
	f.leavesNothing(t, func() {
		for _, method := range []string{"GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"} {
			a := f.ask(t, method, notes+"/token?"+form, "")
			if a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Cache-Control") != "no-store" || !strings.Contains(a.Header.Get("Allow"), "POST") {
				t.Errorf("%s: %s %v", method, a.Status, a.Header)
			}
		}
		for name, contentType := range map[string]string{"JSON": "application/json", "multipart": "multipart/form-data; boundary=x", "none": "", "text": "text/plain"} {
			t.Run(name, func(t *testing.T) {
				f.ask(t, http.MethodPost, notes+"/token", form, "Content-Type", contentType).wantJSON(t, http.StatusBadRequest, "invalid_request")
			})
		}
		// In the URL they are not parameters at all.
		f.ask(t, http.MethodPost, notes+"/token?"+form, "", "Content-Type", "application/x-www-form-urlencoded").wantJSON(t, http.StatusUnauthorized, "invalid_client")
	})
	f.ask(t, http.MethodPost, notes+"/token", form, "Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8").tokens(t)
}

func TestT1_a_parameter_that_is_given_twice_is_invalid_request(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	code := c.code(t, f.newBrowser(t))
	f.leavesNothing(t, func() {
		for _, name := range []string{"grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret", "scope", "x-unknown"} {
			form := c.redemption(code, "client_id", c.id)
			form[name] = []string{"one", "one"}
			a := c.post(t, "/token", form)
			if v := a.wantJSON(t, http.StatusBadRequest, "invalid_request"); v != nil && !strings.Contains(v["error_description"].(string), name) {
				t.Errorf("%s: it does not say which: %v", name, v)
			}
		}
	})
	c.redeem(t, code).tokens(t)
}

func TestT2_T3_a_client_proves_who_it_is_in_one_way(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	registered := f.newClient(t, map[string]any{"token_endpoint_auth_method": "client_secret_basic"})
	for name, c := range map[string]*client{"registered": registered, "configured": f.robot()} {
		t.Run(name, func(t *testing.T) {
			form := func(more ...string) url.Values {
				return changed(url.Values{"token": {"x"}}, more)
			}
			right := basic(c.id, c.secret)
			inForm := []string{"client_id", c.id, "client_secret", c.secret}
			for name, a := range map[string]answer{
				"Basic":                        c.post(t, "/revoke", form(), "Authorization", right),
				"Basic, in lower case":         c.post(t, "/revoke", form(), "Authorization", "basic"+strings.TrimPrefix(right, "Basic")),
				"Basic, with its id repeated":  c.post(t, "/revoke", form("client_id", c.id), "Authorization", right),
				"the form":                     c.post(t, "/revoke", form(inForm...)),
				"the form, with empty Basic":   c.post(t, "/revoke", form(inForm...), "Authorization", basic(c.id, "")),
				"Basic that was not encoded":   c.post(t, "/revoke", form(), "Authorization", "Basic "+b64(c.id+":"+c.secret)),
				"Basic, with an empty secret=": c.post(t, "/revoke", form("client_id", c.id), "Authorization", right, "X", "y"),
			} {
				if a.StatusCode != http.StatusOK {
					t.Errorf("%s: %s: %s", name, a.Status, a.body)
				}
			}
			for name, a := range map[string]answer{
				"Basic and form":              c.post(t, "/revoke", form(inForm...), "Authorization", right),
				"Basic and assertion":         c.post(t, "/revoke", form("client_assertion", "x"), "Authorization", right),
				"form and assertion":          c.post(t, "/revoke", form(append(inForm, "client_assertion_type", "x")...)),
				"Basic of one, id of another": c.post(t, "/revoke", form("client_id", "other"), "Authorization", right),
			} {
				t.Run(name, func(t *testing.T) { a.wantJSON(t, http.StatusBadRequest, "invalid_request") })
			}
		})
	}
}

func TestT3_T8_a_client_that_cannot_prove_who_it_is_is_401_invalid_client(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	public := f.newClient(t, nil)
	secret := f.newClient(t, map[string]any{"token_endpoint_auth_method": "client_secret_post"})
	other := f.newClient(t, map[string]any{"token_endpoint_auth_method": "client_secret_post", "client_name": "Other"})
	form := func(more ...string) url.Values {
		return changed(url.Values{"grant_type": {"authorization_code"}}, more)
	}
	assertion := []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "eyJhbGciOiJub25lIn0.e30."}
	f.leavesNothing(t, func() {
		for name, tc := range map[string]struct {
			form  url.Values
			basic string
		}{
			"nobody":                             {form("client_id", ""), ""},
			"no secret":                          {form("client_id", secret.id), ""},
			"an empty Basic secret":              {form(), basic(secret.id, "")},
			"a wrong secret":                     {form("client_id", secret.id, "client_secret", secret.secret+"x"), ""},
			"a wrong Basic secret":               {form(), basic(secret.id, "wrong")},
			"another client's secret":            {form("client_id", secret.id, "client_secret", other.secret), ""},
			"a secret for a public client":       {form("client_id", public.id, "client_secret", "x"), ""},
			"a Basic secret for a public one":    {form(), basic(public.id, "x")},
			"an assertion for a public client":   {form(append(assertion, "client_id", public.id)...), ""},
			"an assertion instead of a secret":   {form(append(assertion, "client_id", secret.id)...), ""},
			"an assertion that is not one":       {form(assertion...), ""},
			"a wrong secret of a configured one": {form(), basic("robot", "x")},
			"no secret of a configured one":      {form("client_id", "robot"), ""},
			"Basic that is no base64":            {form(), "Basic !!!"},
			"Basic without a colon":              {form(), "Basic " + b64("nocolon")},
			"Basic without an id":                {form(), "Basic " + b64(":secret")},
			"Basic that is badly encoded":        {form(), "Basic " + b64("a%zz:b")},
			"a scheme that is not offered":       {form("client_id", public.id), "Bearer x"},
		} {
			t.Run(name, func(t *testing.T) {
				headers := []string{"Content-Type", "application/x-www-form-urlencoded"}
				if tc.basic != "" {
					headers = append(headers, "Authorization", tc.basic)
				}
				a := f.ask(t, http.MethodPost, notes+"/token", tc.form.Encode(), headers...)
				a.wantJSON(t, http.StatusUnauthorized, "invalid_client")
				want := ""
				if tc.basic != "" {
					want = `Basic realm="mcp-oauth2-proxy"`
				}
				if got := a.Header.Get("WWW-Authenticate"); got != want {
					t.Errorf("WWW-Authenticate is %q, want %q", got, want)
				}
			})
		}
	})
}

func TestT4_Basic_with_an_empty_secret_is_a_public_client(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	form := c.redemption(c.code(t, f.newBrowser(t)))
	if tok := c.post(t, "/token", form, "Authorization", basic(c.id, "")).tokens(t); tok.access == "" {
		t.Error("no token")
	}
}

func TestT5_redeeming_needs_the_verifier_and_the_same_redirect_URI(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	code := c.code(t, f.newBrowser(t))
	f.leavesNothing(t, func() {
		c.redeem(t, code, "code_verifier", "").wantJSON(t, http.StatusBadRequest, "invalid_request")
		c.redeem(t, "", "code", "").wantJSON(t, http.StatusBadRequest, "invalid_request")
		for _, v := range []string{challengeOf(verifier), verifier[:len(verifier)-1], verifier + "x", strings.ToUpper(verifier), "short", strings.Repeat("v", 129), strings.Repeat("v", 50_000), verifier + "\x00", "\xff"} {
			c.redeem(t, code, "code_verifier", v).wantJSON(t, http.StatusBadRequest, "invalid_grant")
		}
		for _, uri := range []string{claude, loopback + "/", "http://127.0.0.1/callback", "x", "\xff"} {
			c.redeem(t, code, "redirect_uri", uri).wantJSON(t, http.StatusBadRequest, "invalid_grant")
		}
	})
	c.redeem(t, code, "redirect_uri", "").tokens(t) // OAuth 2.1 leaves it out
}

func TestT5_a_code_that_is_shown_again_ends_what_came_of_it(t *testing.T) {
	f := newFixture(t)
	c, thief := f.newClient(t, nil), f.newClient(t, map[string]any{"client_name": "Thief"})
	code := c.code(t, f.newBrowser(t))
	tok := c.redeem(t, code).tokens(t)

	// Whoever could not have redeemed it ends nothing.
	thief.redeem(t, code).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	c.redeem(t, code, "code_verifier", strings.Repeat("w", 50)).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	if a := f.call(t, notes, tok.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Fatalf("a code alone has ended the grant: %s", a.Status)
	}

	c.redeem(t, code).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	f.call(t, notes, tok.access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
	c.refresh(t, tok.refresh).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	if !strings.Contains(f.audited.String(), `"audit":"grant_replayed"`) {
		t.Error("the replay is not in the audit log")
	}
	c.redeem(t, code).wantJSON(t, http.StatusBadRequest, "invalid_grant")
}

func TestT5_of_many_who_redeem_one_code_at_once_at_most_one_gets_tokens(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	code := c.code(t, f.newBrowser(t))
	answers := make(chan answer)
	for range 8 {
		go func() { answers <- c.redeem(t, code) }()
	}
	good := 0
	for range 8 {
		if a := <-answers; a.StatusCode == http.StatusOK {
			good++
		} else {
			a.wantJSON(t, http.StatusBadRequest, "invalid_grant")
		}
	}
	if good != 1 {
		t.Errorf("%d got tokens", good)
	}
}

func TestT6_the_resource_of_a_token_request_is_one_that_was_granted(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	aud := []string{notes, notes + "/mcp"}
	code := c.code(t, f.newBrowser(t))
	for _, resource := range append(slices.Clone(foreign), notes+"/other") {
		c.redeem(t, code, "resource", resource).wantJSON(t, http.StatusBadRequest, "invalid_target")
	}
	tok := c.redeem(t, code, "resource", notes+"/mcp/").tokens(t)
	for _, resource := range append(slices.Clone(foreign), notes+"/other") {
		c.refresh(t, tok.refresh, "resource", resource).wantJSON(t, http.StatusBadRequest, "invalid_target")
	}
	for _, resource := range []string{"", notes, notes + "/", notes + "/mcp", "HTTPS://NOTES.EXAMPLE.COM/mcp"} {
		tok = c.refresh(t, tok.refresh, "resource", resource).tokens(t)
		if got := texts(claims(t, tok.access)["aud"]); !slices.Equal(got, aud) {
			t.Errorf("%q: aud is %v", resource, got)
		}
	}
}

func TestT7_T9_the_answer_is_complete_and_nobody_keeps_it(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	redeemed := c.redeem(t, c.code(t, f.newBrowser(t)))
	refreshed := c.refresh(t, redeemed.tokens(t).refresh)
	for name, a := range map[string]answer{"redeemed": redeemed, "refreshed": refreshed} {
		h, v := a.Header, decoded(t, a.body)
		if a.StatusCode != http.StatusOK || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" {
			t.Errorf("%s: %s %v", name, a.Status, h)
		}
		if v["token_type"] != "Bearer" || v["expires_in"] != float64(3600) || v["scope"] != "notes:read" || v["refresh_token"] == "" || len(v) != 5 {
			t.Errorf("%s: %v", name, v)
		}
		cl := claims(t, a.tokens(t).access)
		if cl["exp"].(float64)-cl["iat"].(float64) != 3600 || cl["nbf"] != cl["iat"] || cl["jti"] == "" || cl["sid"] == "" {
			t.Errorf("%s: claims %v", name, cl)
		}
	}
}

func TestT8_faults_of_a_token_request_are_400_in_JSON(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, map[string]any{"grant_types": []string{"authorization_code"}})
	f.leavesNothing(t, func() {
		for name, tc := range map[string]struct {
			form url.Values
			code string
		}{
			"no grant_type":                   {url.Values{}, "invalid_request"},
			"an empty grant_type":             {url.Values{"grant_type": {""}}, "invalid_request"},
			"a grant_type that is not there":  {url.Values{"grant_type": {"password"}}, "unsupported_grant_type"},
			"a long one":                      {url.Values{"grant_type": {strings.Repeat("x", 50_000)}}, "unsupported_grant_type"},
			"one of another alphabet":         {url.Values{"grant_type": {"\xff\x00"}}, "unsupported_grant_type"},
			"device_code":                     {url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}}, "unsupported_grant_type"},
			"client_credentials, not offered": {url.Values{"grant_type": {"client_credentials"}}, "unsupported_grant_type"},
			"no code":                         {url.Values{"grant_type": {"authorization_code"}, "code_verifier": {verifier}}, "invalid_request"},
			"a code that nobody issued":       {c.redemption("nobody-issued-this"), "invalid_grant"},
			"a long one that nobody issued":   {c.redemption(strings.Repeat("x", 60_000)), "invalid_grant"},
			"one of another alphabet, too":    {c.redemption("\xff\x00ä"), "invalid_grant"},
		} {
			t.Run(name, func(t *testing.T) { c.post(t, "/token", tc.form).wantJSON(t, http.StatusBadRequest, tc.code) })
		}
		c.post(t, "/token", url.Values{"x": {strings.Repeat("x", 70<<10)}}).wantJSON(t, http.StatusRequestEntityTooLarge, "invalid_request")
		f.ask(t, http.MethodPost, notes+"/token", "grant_type=%zz", "Content-Type", "application/x-www-form-urlencoded").wantJSON(t, http.StatusBadRequest, "invalid_request")
	})
}

func TestT16_T19_the_subject_is_the_stable_id_at_its_provider(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	if got := claims(t, tok.access); got["sub"] != "local:ada" || got["email"] != "ada@example.com" || got["preferred_username"] != "ada" || !slices.Equal(texts(got["groups"]), []string{"analysts"}) {
		t.Errorf("claims %v", got)
	}
	f = newFixture(t, signInAt(strings.Replace(localProvider, `"name":"local"`, `"name":"local","usernameAsSubject":true`, 1)))
	_, tok = f.connected(t, "notes:read")
	if got := claims(t, tok.access); got["sub"] != "ada" {
		t.Errorf("with usernameAsSubject: %v", got["sub"])
	}
}

func TestT17_revoking_a_token_ends_the_grant_at_once(t *testing.T) {
	f := newFixture(t)
	for _, kind := range []string{"refresh token", "access token", "the refresh token before"} {
		t.Run(kind, func(t *testing.T) {
			c, tok := f.connected(t, "notes:read")
			token := map[string]string{"refresh token": tok.refresh, "access token": tok.access, "the refresh token before": tok.refresh}[kind]
			if kind == "the refresh token before" {
				tok = c.refresh(t, tok.refresh).tokens(t)
			}
			a := c.post(t, "/revoke", url.Values{"token": {token}, "token_type_hint": {"whatever"}})
			if a.StatusCode != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" || a.body != "" {
				t.Errorf("%s %v: %s", a.Status, a.Header, a.body)
			}
			f.call(t, notes, tok.access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
			c.refresh(t, tok.refresh).wantJSON(t, http.StatusBadRequest, "invalid_grant")
			if a := c.post(t, "/revoke", url.Values{"token": {token}}); a.StatusCode != http.StatusOK {
				t.Errorf("again: %s", a.Status)
			}
		})
	}
}

func TestT17_an_unknown_token_is_200_and_ends_nothing(t *testing.T) {
	f := newFixture(t)
	c, tok := f.connected(t, "notes:read")
	other := f.newClient(t, map[string]any{"client_name": "Other"})
	f.leavesNothing(t, func() {
		for _, token := range []string{"unknown", tok.access, tok.refresh, tok.access + "x", strings.Repeat("x", 60_000), "\xff\x00"} {
			if a := other.post(t, "/revoke", url.Values{"token": {token}}); a.StatusCode != http.StatusOK {
				t.Errorf("%.20q: %s: %s", token, a.Status, a.body)
			}
		}
		c.post(t, "/revoke", url.Values{}).wantJSON(t, http.StatusBadRequest, "invalid_request")
		c.post(t, "/revoke", url.Values{"token": {""}}).wantJSON(t, http.StatusBadRequest, "invalid_request")
		c.post(t, "/revoke", url.Values{"token": {"a", "b"}}).wantJSON(t, http.StatusBadRequest, "invalid_request")
	})
	if a := f.call(t, notes, tok.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Errorf("the grant has ended: %s", a.Status)
	}
}

func TestA7_codes_tokens_and_secrets_are_neither_stored_nor_logged_as_they_are(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, map[string]any{"token_endpoint_auth_method": "client_secret_post"})
	b := f.newBrowser(t)
	spent, unspent := c.code(t, b), c.code(t, b)
	tok := c.redeem(t, spent).tokens(t)
	next := c.refresh(t, tok.refresh).tokens(t)
	c.refresh(t, tok.refresh+"x")
	c.redeem(t, unspent, "code_verifier", "wrong")
	f.call(t, notes, tok.access+"x", "read_note")
	secrets := map[string]string{
		"spent code": spent, "unspent code": unspent, "client secret": c.secret, "passphrase": passphrase,
		"first access token": tok.access, "first refresh token": tok.refresh, "second access token": next.access, "second refresh token": next.refresh,
	}
	for name, value := range b.cookies(t, notes) {
		secrets["cookie "+name] = value
	}
	var stored strings.Builder
	for kind := range f.records(t) {
		records, err := f.store.List(t.Context(), kind, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			stored.WriteString(r.Key + " " + string(r.Value) + "\n")
		}
	}
	if !strings.Contains(stored.String(), "local:ada") || !strings.Contains(f.audited.String(), "local:ada") {
		t.Fatal("nothing to look through")
	}
	for name, secret := range secrets {
		for place, text := range map[string]string{"store": stored.String(), "log": f.logged.String(), "audit log": f.audited.String()} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s is in the %s", name, place)
			}
		}
	}
}

func TestT20_nothing_of_a_token_request_waits(t *testing.T) {
	f := newFixture(t)
	began := time.Now()
	c, tok := f.connected(t, "notes:read")
	c.refresh(t, tok.refresh).tokens(t)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("register, authorize, token and refresh took %v", took)
	}
	if n := f.records(t); n[store.Kind("code")] > 1 {
		t.Errorf("records %v", n)
	}
}
