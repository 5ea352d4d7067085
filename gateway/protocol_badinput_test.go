package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// mangled are the ways in which one parameter of a request can be wrong.
var mangled = []struct {
	name   string
	values func(good string) []string
}{
	{"absent", func(string) []string { return nil }},
	{"empty", func(string) []string { return []string{""} }},
	{"doubled", func(good string) []string { return []string{good, good} }},
	{"too long", func(good string) []string { return []string{good + strings.Repeat("x", 5000)} }},
	{"of another alphabet", func(good string) []string { return []string{good + "\xff\x00\u202e"} }},
	{"with a line break", func(good string) []string { return []string{good + "\r\nX-Injected: 1"} }},
	{"markup", func(string) []string { return []string{`"><script>alert(1)</script>`} }},
}

// What becomes of it: an error that goes to the client, a page, or ("") that
// the request is good all the same.
const isPage = "page"

func TestBadInput_at_authorize_has_the_right_answer_and_leaves_nothing(t *testing.T) {
	f := newFixture(t)
	app, web := f.newClient(t, map[string]any{"redirect_uris": []string{loopback, "http://localhost/second"}}), f.webClient(t)
	invalid := func(code string) []string { return []string{code, code, "invalid_request", code, code, code, code} }
	for name, want := range map[string][]string{ // in the order of mangled
		"response_type":         {"invalid_request", "invalid_request", "invalid_request", "unsupported_response_type", "unsupported_response_type", "unsupported_response_type", "unsupported_response_type"},
		"client_id":             {isPage, isPage, isPage, isPage, isPage, isPage, isPage},
		"redirect_uri":          {isPage, isPage, isPage, isPage, isPage, isPage, isPage},
		"state":                 {"", "", "invalid_request", "invalid_request", "invalid_request", "", ""},
		"code_challenge":        invalid("invalid_request"),
		"code_challenge_method": invalid("invalid_request"),
		"resource":              {"", "", "", "invalid_target", "invalid_target", "invalid_target", "invalid_target"},
		"scope":                 {"", "", "invalid_request", "invalid_scope", "invalid_scope", "invalid_scope", "invalid_scope"},
		"prompt":                {"", "", "invalid_request", "invalid_request", "", "", ""},
		"response_mode":         {"", "", "invalid_request", "invalid_request", "invalid_request", "invalid_request", "invalid_request"},
		"request":               {"", "", "", "request_not_supported", "request_not_supported", "request_not_supported", "request_not_supported"},
	} {
		for i, way := range mangled {
			t.Run(name+" "+way.name, func(t *testing.T) {
				for _, c := range []*client{app, web} {
					v := c.params("prompt", "consent", "response_mode", "query")
					v[name] = way.values(v.Get(name))
					expected := want[i]
					if c == web && name == "redirect_uri" && i < 2 {
						expected = "" // it has exactly one
					}
					c.wantAnswer(t, v, expected, v.Get("state"))
				}
			})
		}
	}
}

// wantAnswer asks with v, by GET and by POST.
func (c *client) wantAnswer(t *testing.T, v url.Values, want, state string) {
	t.Helper()
	c.f.leavesNothing(t, func() {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			b := c.f.newBrowser(t)
			a := b.post(t, c.origin+"/authorize", v)
			if method == http.MethodGet {
				a = b.once(t, c.origin+"/authorize?"+v.Encode())
			}
			if a.Header.Get("X-Injected") != "" || strings.Contains(a.body, "<script>alert") {
				t.Error("what was sent came back as it was")
			}
			switch {
			case want == "":
				a = b.follow(t, a)
				a.wantPage(t, http.StatusOK, "Allow access")
			case want == isPage || strings.HasPrefix(c.redirect, "https:"):
				a.wantPage(t, http.StatusBadRequest, "Reference")
				if want != isPage {
					if to := backTo(t, a, c.redirect); to.Get("error") != want {
						t.Errorf("the link says %v, want %s", to, want)
					}
				} else if len(a.links(t)) != 0 {
					t.Errorf("the page leads to %v", a.links(t))
				}
			default:
				q := c.received(t, a)
				if q.Get("error") != want || q.Has("code") || q.Get("state") != state && q.Has("state") {
					t.Errorf("the client gets %v, want %s", q, want)
				}
			}
			if want != "" && len(b.cookies(t, c.origin)) != 0 {
				t.Error("a cookie is set")
			}
		}
	})
}

func TestBadInput_at_the_token_endpoint_has_the_right_answer_and_spends_nothing(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	code := c.code(t, f.newBrowser(t))
	tok := c.connect(t, f.newBrowser(t))
	codeForm := c.redemption(code, "client_id", c.id, "resource", notes+"/mcp")
	refreshForm := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.refresh}, "client_id": {c.id}, "resource": {notes + "/mcp"}, "scope": {"notes:read"}}
	grant := []string{"invalid_request", "invalid_request", "invalid_request", "invalid_grant", "invalid_grant", "invalid_grant", "invalid_grant"}
	kind := []string{"invalid_request", "invalid_request", "invalid_request", "unsupported_grant_type", "unsupported_grant_type", "unsupported_grant_type", "unsupported_grant_type"}
	who := []string{"invalid_client", "invalid_client", "invalid_request", "invalid_client", "invalid_client", "invalid_client", "invalid_client"}
	where := []string{"", "", "", "invalid_target", "invalid_target", "invalid_target", "invalid_target"}
	for _, tc := range []struct {
		form url.Values
		name string
		want []string
	}{
		{codeForm, "grant_type", kind},
		{codeForm, "code", grant},
		{codeForm, "code_verifier", grant},
		{codeForm, "redirect_uri", []string{"", "", "invalid_request", "invalid_grant", "invalid_grant", "invalid_grant", "invalid_grant"}},
		{codeForm, "client_id", who},
		{codeForm, "resource", where},
		{refreshForm, "grant_type", kind},
		{refreshForm, "refresh_token", grant},
		{refreshForm, "client_id", who},
		{refreshForm, "resource", where},
		{refreshForm, "scope", []string{"", "", "invalid_request", "invalid_scope", "invalid_scope", "invalid_scope", "invalid_scope"}},
	} {
		for i, way := range mangled {
			if tc.want[i] == "" {
				continue // it is good, and would spend what the others need
			}
			t.Run(tc.form.Get("grant_type")+" "+tc.name+" "+way.name, func(t *testing.T) {
				v := url.Values{}
				for name, values := range tc.form {
					v[name] = values
				}
				v[tc.name] = way.values(v.Get(tc.name))
				status := http.StatusBadRequest
				if tc.want[i] == "invalid_client" {
					status = http.StatusUnauthorized
				}
				f.leavesNothing(t, func() {
					a := f.ask(t, http.MethodPost, notes+"/token", v.Encode(), "Content-Type", "application/x-www-form-urlencoded")
					a.wantJSON(t, status, tc.want[i])
				})
			})
		}
	}
	c.redeem(t, code).tokens(t)
	c.refresh(t, tok.refresh).tokens(t)
}

func TestBadInput_on_the_consent_page_has_the_right_answer_and_leaves_nothing(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	r := page.form(t).values.Get("r")
	f.leavesNothing(t, func() {
		for name, tc := range map[string]struct {
			form   url.Values
			status int
			says   string
		}{
			"no decision":             {url.Values{"r": {r}, "scope": {"notes:read"}}, 400, "decision must be"},
			"another decision":        {url.Values{"r": {r}, "scope": {"notes:read"}, "decision": {"maybe"}}, 400, "decision must be"},
			"two decisions":           {url.Values{"r": {r}, "scope": {"notes:read"}, "decision": {"allow", "deny"}}, 400, "given more than once"},
			"no request":              {url.Values{"scope": {"notes:read"}, "decision": {"allow"}}, 400, "This page has expired"},
			"two requests":            {url.Values{"r": {r, r}, "decision": {"allow"}}, 400, "given more than once"},
			"a request that is none":  {url.Values{"r": {"../../../x"}, "decision": {"allow"}}, 400, "This page has expired"},
			"another alphabet":        {url.Values{"r": {"\xff"}, "decision": {"allow"}}, 400, "This page has expired"},
			"a scope that is not":     {url.Values{"r": {r}, "scope": {"notes:read", "root"}, "decision": {"allow"}}, 200, "has changed"},
			"a scope in another case": {url.Values{"r": {r}, "scope": {"NOTES:READ"}, "decision": {"allow"}}, 200, "has changed"},
			"two scopes in one":       {url.Values{"r": {r}, "scope": {"notes:read notes:admin"}, "decision": {"allow"}}, 200, "has changed"},
			"offline_access as a box": {url.Values{"r": {r}, "scope": {"notes:read", "offline_access"}, "decision": {"allow"}}, 200, "has changed"},
			"nothing ticked":          {url.Values{"r": {r}, "decision": {"allow"}}, 200, "Nothing is ticked"},
			"an empty tick":           {url.Values{"r": {r}, "scope": {""}, "decision": {"allow"}}, 200, "Nothing is ticked"},
			"far too much":            {url.Values{"r": {r}, "x": {strings.Repeat("x", 70<<10)}}, 413, "too large"},
		} {
			t.Run(name, func(t *testing.T) {
				b.post(t, notes+"/consent", tc.form).wantPage(t, tc.status, tc.says)
				if len(b.cookies(t, notes)) != 1 {
					t.Errorf("cookies %v", b.cookies(t, notes))
				}
			})
		}
		for _, contentType := range []string{"", "text/plain", "multipart/form-data; boundary=x", "application/json"} {
			f.ask(t, http.MethodPost, notes+"/consent", "r="+r+"&decision=allow", "Content-Type", contentType).wantPage(t, http.StatusBadRequest, "")
		}
		for _, id := range []string{"", "x", r + "x", strings.Repeat("a", 25), "%00", "%ff"} {
			b.open(t, notes+"/consent?r="+id).wantPage(t, http.StatusBadRequest, "This page has expired")
			b.open(t, notes+"/signin?r="+id).wantPage(t, http.StatusBadRequest, "This page has expired")
		}
		// Nobody signs in to a request that was not approved.
		b.open(t, notes+"/signin?r="+r).wantPage(t, http.StatusBadRequest, "This page has expired")
		b.post(t, notes+"/signin", url.Values{"r": {r}, "username": {ada}, "password": {passphrase}}).wantPage(t, http.StatusBadRequest, "This page has expired")
	})
	// The same scope twice is one.
	page = b.submit(t, page, "decision", "allow", "scope", "notes:read", "scope", "notes:read")
	if tok := c.redeem(t, c.finish(t, b, page).Get("code")).tokens(t); tok.scope != "notes:read" {
		t.Errorf("granted %q", tok.scope)
	}
}

func TestBadInput_in_cookies_is_as_good_as_none(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	name, value := onlyOne(b.cookies(t, notes))
	other := f.newBrowser(t)
	other.open(t, c.authorizeURL())
	_, foreign := onlyOne(other.cookies(t, notes))
	off := "A"
	if value[0] == 'A' {
		off = "B"
	}
	for what, cookie := range map[string]string{
		"cut short": name + "=" + value[:len(value)-1], "cut to nothing": name + "=A", "empty": name + "=", "one character off": name + "=" + off + value[1:], "the value of another request": name + "=" + foreign,
		"not base64": name + "=~~~~", "huge": name + "=" + strings.Repeat("A", 20_000), "twice": name + "=" + value + "; " + name + "=" + value,
	} {
		t.Run(what, func(t *testing.T) {
			f.leavesNothing(t, func() {
				f.get(t, page.at.String(), "Cookie", cookie).wantPage(t, http.StatusBadRequest, "This page has expired")
			})
		})
	}
	if a := f.get(t, page.at.String(), "Cookie", name+"="+value); a.StatusCode != http.StatusOK {
		t.Errorf("as it was: %s", a.Status)
	}
}

func onlyOne(cookies map[string]string) (name, value string) {
	for name, value = range cookies {
		return name, value
	}
	return "", ""
}
