package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// at is a provider of the configuration that is p.
func at(p *idptest.Provider, more string) string {
	return `{"name":"oidc","id":"company","displayName":"Company","issuerURL":"` + p.Issuer + `","clientID":"` + idptest.ClientID + `","clientSecret":"` + idptest.ClientSecret + `"` + more + `}`
}

// company is a gateway that has people sign in at an OpenID provider.
func company(t testing.TB, more string, options ...option) (*fixture, *idptest.Provider) {
	t.Helper()
	p := idptest.New(t)
	return newFixture(t, append([]option{signInAt(at(p, more))}, options...)...), p
}

const anyone = `,"allowAnyone":true`

// toProvider goes as far as the redirect to the identity provider.
func (c *client) toProvider(t testing.TB, b *browser, changes ...string) *url.URL {
	t.Helper()
	a := b.allow(t, b.open(t, c.authorizeURL(changes...)), "notes:read")
	a.wantSeeOther(t)
	return a.location(t)
}

// back is where the provider sends the browser, which has not gone there yet.
func back(t testing.TB, p *idptest.Provider, to *url.URL) string {
	t.Helper()
	return notes + "/callback?" + p.Visit(t, to.String()).Encode()
}

func TestS6_S10_the_sign_in_has_a_state_nonce_and_challenge_of_its_own_each_time(t *testing.T) {
	f, p := company(t, anyone)
	c := f.newClient(t, nil)
	seen := map[string]bool{}
	for range 3 {
		b := f.newBrowser(t)
		q := c.toProvider(t, b).Query()
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			if v := q.Get(name); len(v) < 40 || seen[v] {
				t.Errorf("%s is %q", name, v)
			}
			seen[q.Get(name)] = true
		}
		if q.Get("code_challenge_method") != "S256" || q.Get("redirect_uri") != notes+"/callback" || q.Get("code_challenge") == challengeOf(verifier) || strings.Contains(q.Encode(), "state-of-the-client") {
			t.Errorf("the provider is asked %v", q)
		}
		if strings.Contains(q.Get("state"), "notes") {
			t.Errorf("the state says something: %s", q.Get("state"))
		}
	}
	b := f.newBrowser(t)
	tok := c.redeem(t, c.received(t, b.open(t, back(t, p, c.toProvider(t, b)))).Get("code")).tokens(t)
	if got := claims(t, tok.access); got["sub"] != "company:1815" || got["email"] != "ada@example.com" {
		t.Errorf("T19: claims %v", got)
	}
}

func TestS6_a_state_is_good_once_and_in_its_own_browser(t *testing.T) {
	f, p := company(t, anyone)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	callback := back(t, p, c.toProvider(t, b))
	other := f.newBrowser(t)
	c.toProvider(t, other)
	f.leavesNothing(t, func() {
		for name, who := range map[string]*browser{"another browser": other, "no browser": f.newBrowser(t)} {
			t.Run(name, func(t *testing.T) {
				who.open(t, callback).wantPage(t, http.StatusBadRequest, "This page has expired")
			})
		}
	})
	if q := c.received(t, b.open(t, callback)); q.Get("code") == "" {
		t.Fatalf("got %v", q)
	}
	f.leavesNothing(t, func() { b.open(t, callback).wantPage(t, http.StatusBadRequest, "This page has expired") })
}

func TestS6_a_callback_that_is_not_as_it_was_sent_is_refused(t *testing.T) {
	f, p := company(t, anyone)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	callback := back(t, p, c.toProvider(t, b))
	u, err := url.Parse(callback)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	state := q.Get("state")
	id, secret, _ := strings.Cut(state, ".")
	f.leavesNothing(t, func() {
		for name, changed := range map[string]string{
			"no state": "", "half of it": id, "half of it and a dot": id + ".", "the other half": secret, "one character off": state[:len(state)-1] + "~",
			"longer": state + "x", "far too long": strings.Repeat("x", 10_000), "of another alphabet": "\xff\x00", "of another request": id[:24] + "0." + secret, "in capitals": strings.ToUpper(state),
		} {
			t.Run(name, func(t *testing.T) {
				v := url.Values{"code": q["code"], "state": {changed}}
				b.open(t, notes+"/callback?"+v.Encode()).wantPage(t, http.StatusBadRequest, "This page has expired")
			})
		}
		for _, raw := range []string{callback + "&state=" + url.QueryEscape(state), callback + "&code=x", callback + "&iss=a&iss=b", notes + "/callback?%zz"} {
			b.open(t, raw).wantPage(t, http.StatusBadRequest, "")
		}
		// The IdP of another host of this gateway.
		b.open(t, strings.Replace(callback, notes, mail, 1)).wantPage(t, http.StatusBadRequest, "This page has expired")
		a := b.post(t, notes+"/callback", q)
		a.wantPage(t, http.StatusMethodNotAllowed, "")
	})
	if got := c.received(t, b.open(t, callback)); got.Get("code") == "" {
		t.Errorf("the right one does not work any more: %v", got)
	}
}

func TestS10_what_the_provider_answers_is_held_against_the_attempt(t *testing.T) {
	f, p := company(t, anyone)
	c := f.newClient(t, nil)
	for name, tc := range map[string]struct {
		change func(*testing.T, string) string
		status int
		says   string
	}{
		"a code of another attempt": {func(t *testing.T, _ string) string {
			return "&code=" + c.freshCode(t, f, p)
		}, http.StatusBadGateway, "an answer that cannot be accepted"},
		"another issuer":         {func(*testing.T, string) string { return "&code=x&iss=https%3A%2F%2Fevil.example" }, http.StatusBadGateway, "an answer that cannot be accepted"},
		"an error":               {func(*testing.T, string) string { return "&error=invalid_scope" }, http.StatusBadGateway, "an answer that cannot be accepted"},
		"neither code nor error": {func(*testing.T, string) string { return "" }, http.StatusBadGateway, "an answer that cannot be accepted"},
		"the person cancels":     {func(*testing.T, string) string { return "&error=access_denied" }, http.StatusForbidden, "was cancelled"},
		"it is overloaded":       {func(*testing.T, string) string { return "&error=temporarily_unavailable" }, http.StatusServiceUnavailable, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			b := f.newBrowser(t)
			to := c.toProvider(t, b)
			before := f.records(t)
			callback := notes + "/callback?state=" + url.QueryEscape(to.Query().Get("state")) + tc.change(t, "")
			a := b.open(t, callback)
			a.wantPage(t, tc.status, tc.says)
			after := f.records(t)
			if before["session"] != after["session"] || before["code"] != after["code"] || before["family"] != after["family"] {
				t.Errorf("records before %v, after %v", before, after)
			}
			// The state is spent; the request is not: the person tries again.
			b.open(t, callback).wantPage(t, http.StatusBadRequest, "This page has expired")
			retry := a.links(t)
			if len(retry) != 1 || !strings.HasPrefix(retry[0], "/signin?r=") {
				t.Fatalf("links %v", retry)
			}
			page := b.open(t, notes+retry[0])
			page.wantPage(t, http.StatusOK, "Continue with Company")
			again := b.submit(t, page, "provider", "company")
			if q := c.received(t, b.open(t, back(t, p, again.location(t)))); q.Get("code") == "" {
				t.Errorf("got %v", q)
			}
		})
	}
}

// freshCode is a code that the provider issued for an attempt of somebody else.
func (c *client) freshCode(t *testing.T, f *fixture, p *idptest.Provider) string {
	t.Helper()
	return p.Visit(t, c.toProvider(t, f.newBrowser(t)).String()).Get("code")
}

func TestS10_a_provider_that_does_not_work_is_a_page_from_which_one_can_go_on(t *testing.T) {
	for _, tc := range []struct {
		path  string
		fault idptest.Fault
	}{
		{idptest.Token, idptest.HangUp}, {idptest.Token, idptest.NotJSON}, {idptest.Token, idptest.Broken}, {idptest.Token, idptest.Huge}, {idptest.Token, idptest.Redirect}, {idptest.Keys, idptest.Broken},
	} {
		t.Run(tc.path+" "+string(tc.fault), func(t *testing.T) {
			f, p := company(t, anyone)
			c, b := f.newClient(t, nil), f.newBrowser(t)
			callback := back(t, p, c.toProvider(t, b))
			p.Fail(tc.path, tc.fault)
			a := b.open(t, callback)
			if a.StatusCode != http.StatusServiceUnavailable && a.StatusCode != http.StatusBadGateway {
				t.Errorf("%s: %s", a.Status, a.text())
			}
			a.wantPage(t, a.StatusCode, "Try again")
			if n := f.records(t); n["session"]+n["code"]+n["family"] != 0 {
				t.Errorf("records %v", n)
			}
			p.Fail(tc.path, idptest.None)
			page := b.open(t, notes+a.links(t)[0])
			if q := c.received(t, b.open(t, back(t, p, b.submit(t, page, "provider", "company").location(t)))); q.Get("code") == "" {
				t.Errorf("got %v", q)
			}
		})
	}
}

func TestS10_a_provider_that_is_not_there_yet_is_a_page_from_which_one_can_go_on(t *testing.T) {
	f, p := company(t, anyone)
	p.Fail(idptest.Discovery, idptest.HangUp)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	a := b.allow(t, b.open(t, c.authorizeURL()), "notes:read")
	a.wantPage(t, http.StatusServiceUnavailable, "Company does not answer")
	p.Fail(idptest.Discovery, idptest.None)
	f.forward(t, time.Minute)
	page := b.open(t, notes+a.links(t)[0])
	if q := c.received(t, b.open(t, back(t, p, b.submit(t, page, "provider", "company").location(t)))); q.Get("code") == "" {
		t.Errorf("got %v", q)
	}
}

func TestS10_who_is_not_allowed_is_told_which_account_it_was_and_gets_no_session(t *testing.T) {
	f, p := company(t, `,"allowedUsers":["bob@example.com"]`)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	a := b.open(t, back(t, p, c.toProvider(t, b)))
	a.wantPage(t, http.StatusForbidden, "You signed in as ada@example.com")
	if n := f.records(t); n["session"]+n["code"]+n["family"]+n["consent"] != 0 {
		t.Errorf("records %v", n)
	}
	for name := range b.cookies(t, notes) {
		if strings.Contains(name, "-s-") {
			t.Error("a session cookie is set")
		}
	}
	p.SignIn(idptest.User{Sub: "2", Email: "bob@example.com"})
	page := b.open(t, notes+a.links(t)[0])
	tok := c.redeem(t, c.received(t, b.open(t, back(t, p, b.submit(t, page, "provider", "company").location(t)))).Get("code")).tokens(t)
	if claims(t, tok.access)["sub"] != "company:2" {
		t.Errorf("claims %v", claims(t, tok.access))
	}
}

func TestS10_the_host_may_be_stricter_than_the_provider(t *testing.T) {
	f, p := company(t, anyone, serving(`[{"host":"notes.example.com","endpoint":"%[1]s","allow":{"users":["bob@example.com"]}}]`))
	c, b := f.newClient(t, nil), f.newBrowser(t)
	b.open(t, back(t, p, c.toProvider(t, b))).wantPage(t, http.StatusForbidden, "ada@example.com")
}

func TestZ15_prompt_login_is_passed_on_to_the_provider(t *testing.T) {
	f, p := company(t, anyone)
	c := f.newClient(t, nil)
	for _, prompt := range []string{"login", "select_account", "consent", "login consent", "create"} {
		p.Visit(t, c.toProvider(t, f.newBrowser(t), "prompt", prompt).String())
	}
	// consent is ours to show; the identity provider has nothing to do with it.
	// Not every one knows how to let people pick an account.
	if got := p.Prompts(); !slices.Equal(got, []string{"login", "login", "", "login", ""}) {
		t.Errorf("the provider was asked with %q", got)
	}
}

func TestS10_of_several_providers_the_one_that_was_chosen_counts(t *testing.T) {
	first, second := idptest.New(t), idptest.New(t)
	providers := `[` + at(first, anyone) + `,` + strings.Replace(at(second, anyone), `"company"`, `"other"`, 1) + `,` + localProvider + `]`
	f := newFixture(t, with("PROVIDERS", providers), signInAt(""))
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.allow(t, b.open(t, c.authorizeURL()), "notes:read")
	page.wantPage(t, http.StatusOK, "Where do you have an account?")
	if got := page.form(t).buttons; !slices.Equal(got, []string{"provider=company", "provider=other", "provider=local"}) {
		t.Errorf("the choices are %v", got)
	}
	b.submit(t, page, "provider", "nobody").wantPage(t, http.StatusBadRequest, "no such identity provider")
	toFirst := b.submit(t, page, "provider", "company").location(t)
	toSecond := b.submit(t, page, "provider", "other").location(t)
	// The last choice counts: what the first answers is no answer to it.
	b.open(t, back(t, first, toFirst)).wantPage(t, http.StatusBadRequest, "This page has expired")
	tok := c.redeem(t, c.received(t, b.open(t, back(t, second, toSecond))).Get("code")).tokens(t)
	if claims(t, tok.access)["sub"] != "other:1815" {
		t.Errorf("claims %v", claims(t, tok.access))
	}
	b = f.newBrowser(t)
	page = b.submit(t, b.allow(t, b.open(t, c.authorizeURL()), "notes:read"), "provider", "local")
	page.wantPage(t, http.StatusOK, "Password")
	if q := c.received(t, b.signIn(t, page, ada)); q.Get("code") == "" {
		t.Errorf("got %v", q)
	}
}

func TestS16_every_host_has_a_callback_of_its_own(t *testing.T) {
	f, p := company(t, anyone)
	c, b := f.newClientAt(t, mail, nil), f.newBrowser(t)
	to := c.toProvider(t, b)
	if got := to.Query().Get("redirect_uri"); got != mail+"/callback" {
		t.Fatalf("redirect_uri is %s", got)
	}
	if q := c.received(t, b.open(t, mail+"/callback?"+p.Visit(t, to.String()).Encode())); q.Get("code") == "" {
		t.Errorf("got %v", q)
	}
}

func TestBadInput_at_the_local_sign_in(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.allow(t, b.open(t, c.authorizeURL()), "notes:read")
	r := page.form(t).values.Get("r")
	f.leavesNothing(t, func() {
		for name, tc := range map[string]struct {
			form   url.Values
			status int
			says   string
		}{
			"a wrong password":       {url.Values{"r": {r}, "username": {ada}, "password": {"wrong"}}, 401, "is wrong"},
			"no password":            {url.Values{"r": {r}, "username": {ada}}, 401, "is wrong"},
			"an empty password":      {url.Values{"r": {r}, "username": {ada}, "password": {""}}, 401, "is wrong"},
			"a long password":        {url.Values{"r": {r}, "username": {ada}, "password": {strings.Repeat("x", 50_000)}}, 401, "is wrong"},
			"a longer right one":     {url.Values{"r": {r}, "username": {ada}, "password": {passphrase + strings.Repeat("\x00", 2000)}}, 401, "is wrong"},
			"another alphabet":       {url.Values{"r": {r}, "username": {"\xff\x00"}, "password": {"\xff"}}, 401, "is wrong"},
			"an unknown user":        {url.Values{"r": {r}, "username": {"nobody"}, "password": {passphrase}}, 401, "is wrong"},
			"the user in capitals":   {url.Values{"r": {r}, "username": {"ADA"}, "password": {passphrase}}, 401, "is wrong"},
			"no user":                {url.Values{"r": {r}, "password": {passphrase}}, 401, "is wrong"},
			"a user that is markup":  {url.Values{"r": {r}, "username": {`"><script>alert(1)</script>`}, "password": {"x"}}, 401, "is wrong"},
			"a field twice":          {url.Values{"r": {r}, "username": {ada, bob}, "password": {passphrase}}, 400, "given more than once"},
			"no request":             {url.Values{"username": {ada}, "password": {passphrase}}, 400, "This page has expired"},
			"another request":        {url.Values{"r": {strings.Repeat("a", 25)}, "username": {ada}, "password": {passphrase}}, 400, "This page has expired"},
			"a request that is none": {url.Values{"r": {"../../x"}, "username": {ada}, "password": {passphrase}}, 400, "This page has expired"},
			"far too much":           {url.Values{"r": {r}, "x": {strings.Repeat("x", 70<<10)}}, 413, "too large"},
		} {
			t.Run(name, func(t *testing.T) {
				a := b.post(t, notes+"/signin", tc.form)
				a.wantPage(t, tc.status, tc.says)
				if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, passphrase) {
					t.Error("what was typed came back as it was")
				}
			})
		}
	})
	if q := c.received(t, b.signIn(t, page, ada)); q.Get("code") == "" {
		t.Errorf("after all that: %v", q)
	}
}

func TestFailed_sign_ins_are_limited_per_address(t *testing.T) {
	f := newFixture(t, with("SERVER_LIMITS_FAILEDSIGNINSPERMINUTE", "3"), with("SERVER_TRUSTEDPROXIES", "127.0.0.0/8"))
	c := f.newClient(t, nil)
	try := func(address, password string) answer {
		b := f.newBrowser(t, "X-Forwarded-For", address)
		page := b.allow(t, b.open(t, c.authorizeURL()), "notes:read")
		return b.submit(t, page, "username", ada, "password", password)
	}
	for range 3 {
		try("192.0.2.1", "wrong").wantPage(t, http.StatusUnauthorized, "is wrong")
	}
	for _, password := range []string{"wrong", passphrase} { // not even the right one: it must not tell
		a := try("192.0.2.1", password)
		a.wantPage(t, http.StatusTooManyRequests, "Too many attempts")
		if a.Header.Get("Retry-After") == "" {
			t.Error("it does not say how long")
		}
	}
	for range 10 { // who gets it right is not counted
		if q := c.received(t, try("192.0.2.2", passphrase)); q.Get("code") == "" {
			t.Fatalf("another address: %v", q)
		}
	}
	f.forward(t, time.Minute)
	if q := c.received(t, try("192.0.2.1", passphrase)); q.Get("code") == "" {
		t.Errorf("after a minute: %v", q)
	}
}
