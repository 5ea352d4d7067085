package gateway

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestS1_S7_S18_who_is_not_signed_in_consents_before_the_sign_in(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	var page answer
	f.leavesNothing(t, func() { // S7: nothing is stored, and no session begins, until somebody says yes
		page = b.open(t, c.authorizeURL())
		page.wantPage(t, http.StatusOK, "Allow access to Notes")
		if names := slices.Collect(maps.Keys(b.cookies(t, notes))); len(names) != 1 || !strings.Contains(names[0], "-r-") {
			t.Errorf("cookies %v", names)
		}
	})
	page = b.allow(t, page, "notes:read")
	page.wantPage(t, http.StatusOK, "Password")
	a := b.signIn(t, page, ada)
	if q := c.received(t, a); q.Get("code") == "" {
		t.Errorf("got %v", q)
	}
}

func TestS2_S5_Z14_consent_is_remembered_for_https_of_the_same_user_client_host_and_scopes(t *testing.T) {
	f := newFixture(t)
	c, b := f.webClient(t), f.newBrowser(t)
	c.connect(t, b, "scope", "notes:read notes:write")
	straight := func(t *testing.T, b *browser, c *client, changes ...string) bool {
		t.Helper()
		a := b.open(t, c.authorizeURL(changes...))
		return a.StatusCode == http.StatusSeeOther && c.received(t, a).Get("code") != ""
	}
	t.Run("the same and less goes straight through", func(t *testing.T) {
		for _, scope := range []string{"notes:read notes:write", "notes:read", "notes:write offline_access", ""} {
			if !straight(t, b, c, "scope", scope) {
				t.Errorf("%q is asked about again", scope)
			}
		}
		tok := c.connect(t, b, "scope", "notes:read")
		if tok.scope != "notes:read" {
			t.Errorf("granted %q", tok.scope)
		}
	})
	t.Run("more is asked about, with the earlier ticks", func(t *testing.T) {
		page := b.open(t, c.authorizeURL("scope", "notes:read notes:admin"))
		page.wantPage(t, http.StatusOK, "Allow access")
		if got := page.form(t).values["scope"]; !slices.Equal(got, []string{"notes:read", "notes:write"}) {
			t.Errorf("ticked %v", got)
		}
	})
	t.Run("another client is asked about", func(t *testing.T) {
		if straight(t, b, f.newClient(t, map[string]any{"redirect_uris": []string{claude}, "client_name": "Another"})) {
			t.Error("it went through")
		}
	})
	t.Run("another redirect host of the same client is asked about", func(t *testing.T) {
		two := f.newClient(t, map[string]any{"redirect_uris": []string{claude, "https://other.example/cb"}})
		two.connect(t, b)
		if !straight(t, b, two) {
			t.Error("the first host is asked about again")
		}
		two.redirect = "https://other.example/cb"
		if straight(t, b, two) {
			t.Error("the second went through")
		}
	})
	t.Run("another user is asked", func(t *testing.T) {
		other := f.newBrowser(t)
		page := other.allow(t, other.open(t, f.newClient(t, nil).authorizeURL()), "notes:read")
		other.signIn(t, page, bob)
		if straight(t, other, c) {
			t.Error("it went through")
		}
	})
	t.Run("another MCP server is asked about", func(t *testing.T) {
		there := f.newClientAt(t, mail, map[string]any{"redirect_uris": []string{claude}, "client_name": "Claude"})
		if straight(t, b, there) {
			t.Error("it went through")
		}
	})
	t.Run("who has ended the connection is asked", func(t *testing.T) {
		a := b.post(t, notes+"/account", url.Values{"action": {"end-all"}})
		a.wantPage(t, http.StatusOK, "All connections have ended")
		if straight(t, b, c) {
			t.Error("it went through")
		}
	})
}

func TestS2_who_never_pressed_Allow_has_not_consented(t *testing.T) {
	f := newFixture(t)
	c, b := f.webClient(t), f.newBrowser(t)
	f.newClient(t, nil).connect(t, b) // signed in
	b.deny(t, b.open(t, c.authorizeURL()))
	b.open(t, c.authorizeURL()).wantPage(t, http.StatusOK, "Allow access")
}

func TestS3_C13_the_page_names_the_client_the_scopes_and_where_the_answer_goes(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	page := f.newBrowser(t).open(t, f.webClient(t).authorizeURL("scope", "notes:read notes:admin"))
	for _, says := range []string{
		"An app that calls itself “Claude” asks to use this MCP server", "Returns to claude.ai", "Redirect URI " + claude, "notes.example.com",
		"Read notes", "notes:read", "notes:write", "notes:admin", "delete_note", "can delete or overwrite", "Also covers: notes:read notes:write",
	} {
		page.wantPage(t, http.StatusOK, says)
	}
	if got := page.form(t).values["scope"]; !slices.Equal(got, []string{"notes:read"}) {
		t.Errorf("ticked %v: only what was asked for and merely reads may be", got)
	}
	if strings.Contains(page.text(), "Did you start this?") {
		t.Error("a warning that is for loopback only")
	}
	f.newBrowser(t).open(t, f.portal().authorizeURL("prompt", "consent")).wantPage(t, http.StatusOK, "The app “Portal” asks")
}

func TestS3_S8_an_answer_counts_from_the_same_browser_and_the_same_origin_alone(t *testing.T) {
	f := newFixture(t)
	c, victim, attacker := f.newClient(t, nil), f.newBrowser(t), f.newBrowser(t)
	page := victim.open(t, c.authorizeURL())
	attackers := attacker.open(t, c.authorizeURL())
	form := page.form(t).values
	form.Set("decision", "allow")
	f.leavesNothing(t, func() {
		for name, headers := range map[string][]string{
			"another origin":                    {"Origin", "https://evil.example"},
			"a neighbour":                       {"Origin", mail},
			"the same name without TLS":         {"Origin", "http://notes.example.com.evil.example"},
			"an opaque origin":                  {"Origin", "null"},
			"another site, as the browser says": {"Sec-Fetch-Site", "cross-site", "Origin", notes},
			"a subdomain, as the browser says":  {"Sec-Fetch-Site", "same-site"},
		} {
			t.Run(name, func(t *testing.T) {
				for _, path := range []string{"/consent", "/signin", "/account"} {
					victim.post(t, notes+path, form, headers...).wantPage(t, http.StatusForbidden, "This came from another page")
				}
			})
		}
		// The right origin, but a browser that does not carry the request.
		attacker.post(t, notes+"/consent", form).wantPage(t, http.StatusBadRequest, "This page has expired")
		f.newBrowser(t).post(t, notes+"/consent", form).wantPage(t, http.StatusBadRequest, "This page has expired")
	})
	if q := c.finish(t, victim, page, "notes:read"); q.Get("code") == "" {
		t.Error("the victim's own answer does not count any more")
	}
	attacker.allow(t, attackers, "notes:read").wantPage(t, http.StatusOK, "Password")
}

var cookieName = regexp.MustCompile(`^__Host-mcp-oauth2-proxy-(s|r|d)-[0-9a-f]{8}(-[0-9a-z]{25})?$`)

func TestS4_cookies_over_https_are_bound_to_the_host_and_unseen_by_scripts(t *testing.T) {
	f := newFixture(t)
	for _, c := range setCookies(t, f, notes) {
		if !cookieName.MatchString(c.Name) || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge == 0 {
			t.Errorf("cookie %s: %+v", c.Name, c)
		}
	}
}

func TestS4_over_plain_http_on_loopback_the_same_cookies_go_without_prefix_and_Secure(t *testing.T) {
	f := newFixture(t, with("SERVER_SCHEME", "http"), serving(`[{"host":"localhost:8080","endpoint":"%[1]s"},{"host":"127.0.0.1:8080","endpoint":"%[1]s"},{"host":"localhost:8081","endpoint":"%[1]s"}]`))
	names := map[string]string{}
	for _, origin := range []string{"http://localhost:8080", "http://127.0.0.1:8080", "http://localhost:8081"} {
		for _, c := range setCookies(t, f, origin) {
			if !cookieName.MatchString("__Host-"+c.Name) || c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("cookie %s: %+v", c.Name, c)
			}
			if at, ok := names[c.Name]; ok && at != origin && strings.Contains(c.Name, "-s-") {
				t.Errorf("%s and %s share the cookie %s: cookies do not know ports", at, origin, c.Name)
			}
			names[c.Name] = origin
		}
	}
}

// setCookies are all that a whole flow sets at an origin.
func setCookies(t testing.TB, f *fixture, origin string) []*http.Cookie {
	t.Helper()
	c, b := f.newClientAt(t, origin, nil), f.newBrowser(t)
	var all []*http.Cookie
	b.client.CheckRedirect = asIs
	a := b.once(t, c.authorizeURL())
	all = append(all, a.Cookies()...)
	for a.at.Path != "/signin" || a.Request.Method != http.MethodPost {
		switch {
		case a.StatusCode == http.StatusSeeOther:
			a = b.once(t, a.location(t).String())
		case a.at.Path == "/consent":
			form := a.form(t).values
			form["scope"], form["decision"] = []string{"notes:read"}, []string{"allow"}
			a = b.post(t, origin+"/consent", form)
		default:
			form := a.form(t).values
			form.Set("username", ada)
			form.Set("password", passphrase)
			a = b.post(t, origin+"/signin", form)
		}
		all = append(all, a.Cookies()...)
	}
	if q := c.received(t, a); q.Get("code") == "" || len(all) < 4 {
		t.Fatalf("the flow ends with %v and cookies %v", q, all)
	}
	return all
}

func TestS8_a_request_is_finished_by_the_browser_that_began_it(t *testing.T) {
	f := newFixture(t)
	c, attacker, victim := f.newClient(t, nil), f.newBrowser(t), f.newBrowser(t)
	// The attacker consents, and hands the sign-in link to the victim.
	page := attacker.allow(t, attacker.open(t, c.authorizeURL()), "notes:read")
	f.leavesNothing(t, func() {
		victim.open(t, page.at.String()).wantPage(t, http.StatusBadRequest, "This page has expired")
		form := page.form(t).values
		form.Set("username", bob)
		form.Set("password", passphrase)
		victim.post(t, notes+"/signin", form).wantPage(t, http.StatusBadRequest, "This page has expired")
	})
	// Nor does the request of a browser work at another host.
	u, err := url.Parse(page.at.String())
	if err != nil {
		t.Fatal(err)
	}
	u.Host = "mail.example.com"
	var cookies []string
	for name, value := range attacker.cookies(t, notes) {
		cookies = append(cookies, name+"="+value)
	}
	f.get(t, u.String(), "Cookie", strings.Join(cookies, "; ")).wantPage(t, http.StatusBadRequest, "This page has expired")
}

func TestS8_two_tabs_at_once_both_finish(t *testing.T) {
	f := newFixture(t)
	b := f.newBrowser(t)
	one, two := f.newClient(t, nil), f.newClient(t, map[string]any{"client_name": "Two", "redirect_uris": []string{"http://localhost:1234/two"}})
	first, second := b.open(t, one.authorizeURL("state", "first")), b.open(t, two.authorizeURL("state", "second"))
	first = b.allow(t, first, "notes:read")
	second = b.allow(t, second, "notes:write")
	second = b.signIn(t, second, ada)
	first = b.signIn(t, first, ada)
	for _, tc := range []struct {
		c            *client
		a            answer
		state, scope string
	}{{one, first, "first", "notes:read"}, {two, second, "second", "notes:write"}} {
		q := tc.c.received(t, tc.a)
		if q.Get("state") != tc.state {
			t.Errorf("state %q, want %q", q.Get("state"), tc.state)
		}
		if tok := tc.c.redeem(t, q.Get("code")).tokens(t); tok.scope != tc.scope {
			t.Errorf("scope %q, want %q", tok.scope, tc.scope)
		}
	}
}

func TestS8_a_browser_carries_eight_requests_and_the_oldest_goes(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	var pages []answer
	for range 10 {
		pages = append(pages, b.open(t, c.authorizeURL()))
		f.forward(t, time.Second)
	}
	if n := len(b.cookies(t, notes)); n != 8 {
		t.Errorf("it carries %d", n)
	}
	b.open(t, pages[1].at.String()).wantPage(t, http.StatusBadRequest, "This page has expired")
	b.allow(t, pages[2], "notes:read").wantPage(t, http.StatusOK, "Password")
}

func TestS8_a_request_lasts_ten_minutes(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	f.forward(t, 10*time.Minute-time.Second)
	page = b.allow(t, page, "notes:read")
	page.wantPage(t, http.StatusOK, "Password")
	late := b.open(t, c.authorizeURL())
	f.forward(t, 10*time.Minute)
	f.leavesNothing(t, func() { b.allow(t, late, "notes:read").wantPage(t, http.StatusBadRequest, "This page has expired") })
	b.signIn(t, page, ada).wantPage(t, http.StatusBadRequest, "This page has expired")
	if n := f.records(t); len(n) != 0 {
		t.Errorf("what expired stays: %v", n)
	}
}

func TestS8_what_was_answered_cannot_be_answered_again(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	consent := b.open(t, c.authorizeURL())
	signin := b.allow(t, consent, "notes:read")
	b.allow(t, consent, "notes:admin").wantPage(t, http.StatusBadRequest, "This page has expired")
	code := c.received(t, b.signIn(t, signin, ada)).Get("code")
	f.leavesNothing(t, func() { b.signIn(t, signin, ada).wantPage(t, http.StatusBadRequest, "This page has expired") })
	if tok := c.redeem(t, code).tokens(t); tok.scope != "notes:read" {
		t.Errorf("granted %q", tok.scope)
	}
	denied := b.open(t, c.authorizeURL())
	b.deny(t, denied)
	b.allow(t, denied, "notes:read").wantPage(t, http.StatusBadRequest, "This page has expired")
}

func TestS9_the_session_is_a_new_one_after_each_sign_in(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	session := func() string {
		for name, value := range b.cookies(t, notes) {
			if strings.Contains(name, "-s-") {
				return value
			}
		}
		return ""
	}
	name := "__Host-mcp-oauth2-proxy-s-"
	u, _ := url.Parse(notes)
	for n := range b.cookies(t, notes) {
		name = n
	}
	c.connect(t, b)
	first := session()
	for n := range b.cookies(t, notes) {
		name = n
	}
	c.connect(t, b, "prompt", "login")
	second := session()
	if first == "" || first == second {
		t.Fatalf("sessions %q and %q", first, second)
	}
	// The one before is over, and one that somebody made up is nobody's.
	for _, value := range []string{first, "made-up", strings.Repeat("x", 3000)} {
		other := f.newBrowser(t)
		other.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Secure: true, Path: "/"}})
		if page := other.open(t, c.authorizeURL()); !strings.Contains(page.text(), "You sign in next") {
			t.Errorf("%.10q is believed: %s", value, page.text())
		}
	}
	if page := b.open(t, c.authorizeURL()); !strings.Contains(page.text(), "You ada@example.com") {
		t.Errorf("the new one is not believed: %s", page.text())
	}
	// Never from the URL.
	if page := f.newBrowser(t).open(t, c.authorizeURL()+"&"+name+"="+second); !strings.Contains(page.text(), "You sign in next") {
		t.Error("a session from the URL is believed")
	}
}

func TestS9_a_session_ends_with_its_time_with_signing_out_and_with_the_user(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *fixture, *browser){
		"its time": func(t *testing.T, f *fixture, _ *browser) { f.forward(t, 12*time.Hour) },
		"signing out": func(t *testing.T, _ *fixture, b *browser) {
			b.post(t, notes+"/account", url.Values{"action": {"sign-out"}})
		},
		"the user": func(t *testing.T, f *fixture, _ *browser) {
			f.reload(t, signInAt(strings.Replace(localProvider, "ada", "grace", 1)))
		},
		"revoke --user": func(t *testing.T, f *fixture, _ *browser) { revokeAt(t, f, Revocation{User: "ada@example.com"}) },
		"revoke --all":  func(t *testing.T, f *fixture, _ *browser) { revokeAt(t, f, Revocation{All: true}) },
		"an allow rule": func(t *testing.T, f *fixture, _ *browser) {
			f.reload(t, signInAt(strings.Replace(localProvider, `"name":"local"`, `"name":"local","allowedUsers":["bob"]`, 1)))
		},
		"a cookie twice": func(t *testing.T, _ *fixture, b *browser) { b.headers = []string{"Cookie", duplicate(t, b)} },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			c, b := f.webClient(t), f.newBrowser(t)
			c.connect(t, b)
			if a := b.open(t, c.authorizeURL()); a.StatusCode != http.StatusSeeOther {
				t.Fatalf("nobody is signed in: %s", a.text())
			}
			end(t, f, b)
			b.open(t, c.authorizeURL()).wantPage(t, http.StatusOK, "You sign in next")
		})
	}
}

func revokeAt(t *testing.T, f *fixture, v Revocation) {
	t.Helper()
	f.forward(t, time.Second)
	if _, err := f.revoke(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}

// duplicate is a Cookie header with the browser's session once more: of two,
// one may be somebody else's.
func duplicate(t *testing.T, b *browser) string {
	t.Helper()
	for name := range b.cookies(t, notes) {
		if strings.Contains(name, "-s-") {
			return name + "=tossed"
		}
	}
	t.Fatal("no session")
	return ""
}

func TestS11_Z14_loopback_and_private_scheme_clients_are_asked_about_each_time(t *testing.T) {
	f := newFixture(t)
	b := f.newBrowser(t)
	for _, uri := range []string{loopback, "http://localhost:1/cb", "http://[::1]/cb", "https://localhost/cb", "https://127.0.0.1/cb", "cursor://x/cb", "com.example.app:/cb"} {
		c := f.newClient(t, map[string]any{"redirect_uris": []string{uri}, "client_name": "At " + uri})
		c.connect(t, b)
		page := b.open(t, c.authorizeURL())
		page.wantPage(t, http.StatusOK, "Allow access")
		if got := page.form(t).values["scope"]; !slices.Equal(got, []string{"notes:read"}) {
			t.Errorf("%s: the earlier ticks are not set: %v", uri, got)
		}
		if warned, want := strings.Contains(page.text(), "Did you start this?"), strings.HasPrefix(uri, "http"); warned != want {
			t.Errorf("%s: warned is %v, want %v", uri, warned, want)
		}
	}
}

func TestS12_S13_Z16_every_page_of_the_flow_has_the_headers(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	consent := b.open(t, c.authorizeURL())
	signin := b.allow(t, consent, "notes:read")
	wrong := b.submit(t, signin, "username", ada, "password", "wrong")
	account := f.newBrowser(t).open(t, notes+"/account")
	for _, page := range []answer{consent, signin, wrong, account, b.open(t, notes+"/signin"), b.open(t, notes+"/callback"), b.open(t, notes+"/authorize"), b.open(t, notes+"/consent?r=x")} {
		if page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %v", page.at, page.Header)
		}
		page.wantPageHeaders(t)
		if strings.Contains(page.body, "<script>") || strings.Contains(page.body, "javascript:") || regexp.MustCompile(` on[a-z]+=`).MatchString(page.body) {
			t.Errorf("%s: there is script in the page", page.at)
		}
	}
	wrong.wantPage(t, http.StatusUnauthorized, "The username or the password is wrong")
}

func TestS14_the_MCP_server_sees_no_cookie_of_ours_and_sets_none(t *testing.T) {
	o := notesServer()
	o.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/page" {
			return false
		}
		w.Header()["Set-Cookie"] = []string{"own=1", "__Host-mcp-oauth2-proxy-s-00000000=evil; Path=/; Secure", "mcp-oauth2-proxy-r-00000000-x=evil"}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<form action=/consent>"))
		return true
	}
	f := newFixture(t, before(o))
	_, tok := f.connected(t, "notes:read")
	a := f.get(t, notes+"/page", "Authorization", "Bearer "+tok.access, "Cookie", "a=b; __Host-mcp-oauth2-proxy-s-00000000=x; c=d")
	if got := a.Header.Values("Set-Cookie"); !slices.Equal(got, []string{"own=1"}) {
		t.Errorf("it sets %v", got)
	}
	if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("headers %v", a.Header)
	}
	all := f.upstream.Requests()
	if got := all[len(all)-1].Header.Get("Cookie"); got != "a=b; c=d" {
		t.Errorf("it sees %q", got)
	}
	for _, headers := range [][]string{{"Service-Worker", "script"}, {"Service-Worker", "script", "Authorization", "Bearer " + tok.access}} {
		if a := f.get(t, notes+"/page", headers...); a.StatusCode != http.StatusForbidden {
			t.Errorf("a service worker: %s", a.Status)
		}
		if a := f.get(t, notes+"/consent/assets/consent.js", headers...); a.StatusCode != http.StatusForbidden {
			t.Errorf("a service worker of ours: %s", a.Status)
		}
	}
}

func TestS15_G3_the_user_may_tick_more_or_less_and_the_token_says_what(t *testing.T) {
	f := newFixture(t)
	for name, tc := range map[string]struct {
		asked  string
		ticked []string
		want   string
	}{
		"less":            {"notes:read notes:write", []string{"notes:read"}, "notes:read"},
		"more":            {"notes:read", []string{"notes:read", "notes:write"}, "notes:read notes:write"},
		"another":         {"notes:read", []string{"notes:write"}, "notes:write"},
		"nothing asked":   {"", []string{"notes:admin"}, "notes:admin"},
		"all, one of all": {allNotesScopes, []string{"notes:write", "notes:admin", "notes:read"}, "notes:admin notes:read notes:write"},
	} {
		t.Run(name, func(t *testing.T) {
			c, b := f.newClient(t, nil), f.newBrowser(t)
			q := c.finish(t, b, b.open(t, c.authorizeURL("scope", tc.asked)), tc.ticked...)
			tok := c.redeem(t, q.Get("code")).tokens(t)
			if tok.scope != tc.want || claims(t, tok.access)["scope"] != tc.want || strings.Join(texts(claims(t, tok.access)["scopes"]), " ") != tc.want {
				t.Errorf("granted %q, %v", tok.scope, claims(t, tok.access))
			}
		})
	}
}

// G4 says access_denied; the design asks again.
func TestS15_G4_Allow_with_nothing_ticked_asks_again(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	f.leavesNothing(t, func() {
		page = b.submit(t, page, "decision", "allow", "scope", "")
		page.wantPage(t, http.StatusOK, "Nothing is ticked")
		page = b.allow(t, page, "notes:unknown")
		page.wantPage(t, http.StatusOK, "has changed")
	})
	if q := c.finish(t, b, page, "notes:read"); q.Get("code") == "" {
		t.Error("the page after it does not work")
	}
}

func TestS15_Deny_is_access_denied_and_leaves_nothing(t *testing.T) {
	f := newFixture(t)
	for _, c := range []*client{f.newClient(t, nil), f.webClient(t)} {
		f.leavesNothing(t, func() {
			b := f.newBrowser(t)
			c.wantError(t, b.deny(t, b.open(t, c.authorizeURL())), "access_denied", "state-of-the-client")
			if len(b.cookies(t, notes)) != 0 {
				t.Error("a cookie stays")
			}
		})
	}
}

func TestS1_the_page_is_left_out_for_who_the_operator_trusts(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	portal, b := f.portal(), f.newBrowser(t)
	page := b.open(t, portal.authorizeURL())
	page.wantPage(t, http.StatusOK, "Password")
	if q := portal.received(t, b.signIn(t, page, ada)); q.Get("code") == "" {
		t.Errorf("got %v", q)
	}
	if tok := portal.connect(t, b, "scope", ""); tok.scope != allNotesScopes {
		t.Errorf("who asks for nothing is granted %q", tok.scope)
	}

	f = newFixture(t, with("PROXY_DISABLECONSENTSCREEN", "true"), with("PROXY_ALLOWEDREDIRECTURLS", `["https://claude\\.ai/.*","http://127\\.0\\.0\\.1:\\d+/trusted"]`))
	c := f.webClient(t)
	b = f.newBrowser(t)
	if tok := c.redeem(t, c.received(t, b.signIn(t, b.open(t, c.authorizeURL()), ada)).Get("code")).tokens(t); tok.scope != "notes:read" {
		t.Errorf("granted %q", tok.scope)
	}
	b.open(t, c.authorizeURL("prompt", "consent")).wantPage(t, http.StatusOK, "Allow access")
}

func TestS17_what_was_asked_allowed_and_denied_is_in_the_audit_log(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	c.connect(t, b)
	b.deny(t, b.open(t, c.authorizeURL()))
	for _, event := range []string{"client_registered", "consent_asked", "consent_given", "signin_ok", "code_issued", "token_issued", "consent_denied"} {
		if !strings.Contains(f.audited.String(), `"audit":"`+event+`"`) {
			t.Errorf("%s is not there", event)
		}
	}
}

func TestS9_S14_a_session_is_good_at_its_own_host_alone(t *testing.T) {
	f := newFixture(t)
	b := f.newBrowser(t)
	f.newClient(t, nil).connect(t, b)
	there := f.newClientAt(t, mail, nil)
	there.connect(t, b)
	session := func(origin string) (name, value string) {
		for name, value := range b.cookies(t, origin) {
			if strings.Contains(name, "-s-") {
				return name, value
			}
		}
		t.Fatalf("no session at %s", origin)
		return "", ""
	}
	_, stolen := session(notes)
	name, own := session(mail)
	for value, want := range map[string]string{own: "You ada@example.com", stolen: "You sign in next"} {
		other := f.newBrowser(t)
		u, err := url.Parse(mail)
		if err != nil {
			t.Fatal(err)
		}
		other.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Secure: true, Path: "/"}})
		other.open(t, there.authorizeURL()).wantPage(t, http.StatusOK, want)
	}
}
