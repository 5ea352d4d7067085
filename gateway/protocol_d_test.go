package gateway

import (
	"crypto/rand"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestD3_a_web_client_on_loopback_is_registered_and_can_connect(t *testing.T) {
	f := newFixture(t)
	for name, metadata := range map[string]map[string]any{
		"application_type left out": {"application_type": nil},
		"application_type web":      {"application_type": "web"},
		"application_type native":   {"application_type": "native"},
	} {
		t.Run(name, func(t *testing.T) {
			if tok := f.newClient(t, metadata).connect(t, f.newBrowser(t)); tok.access == "" {
				t.Error("no token")
			}
		})
	}
}

func TestD4_D5_D8_D13_the_answer_says_what_was_kept_and_nothing_is_null(t *testing.T) {
	f := newFixture(t)
	a := f.register(t, notes, map[string]any{
		"client_name": "Scripted client", "logo_uri": "https://evil.example/logo", "software_id": "x", "scope": "notes:read other", "x-unknown": map[string]any{"a": 1},
		"contacts": []string{"a@b.example"}, "client_uri": nil,
	})
	if a.StatusCode != http.StatusCreated || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		t.Errorf("D5: %s %v", a.Status, a.Header)
	}
	got := decoded(t, a.body)
	id, _ := got["client_id"].(string)
	if delete(got, "client_id"); id == "" || len(id) > 1024 || strings.HasPrefix(id, "https://") || strings.ContainsFunc(id, notUnreserved) {
		t.Errorf("C16, T2: client_id %q", id)
	}
	if got["client_id_issued_at"] != float64(f.clock.now().Unix()) {
		t.Errorf("client_id_issued_at %v", got["client_id_issued_at"])
	}
	delete(got, "client_id_issued_at")
	wantSame(t, got, map[string]any{
		"client_name": "Scripted client", "redirect_uris": []any{loopback}, "grant_types": []any{"authorization_code", "refresh_token"},
		"response_types": []any{"code"}, "token_endpoint_auth_method": "none", "application_type": "native", "scope": "notes:read other",
	})
}

func notUnreserved(r rune) bool {
	return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", r)
}

func TestD5_D9_a_client_gets_the_method_it_asks_for(t *testing.T) {
	f := newFixture(t)
	for method, want := range map[string]struct {
		said   string
		secret bool
	}{
		"": {"client_secret_basic", true}, "none": {"none", false}, "client_secret_basic": {"client_secret_basic", true}, "client_secret_post": {"client_secret_post", true},
	} {
		metadata := map[string]any{"token_endpoint_auth_method": method}
		if method == "" {
			metadata["token_endpoint_auth_method"] = nil
		}
		got := decoded(t, f.register(t, notes, metadata).body)
		secret, _ := got["client_secret"].(string)
		_, expires := got["client_secret_expires_at"]
		if got["token_endpoint_auth_method"] != want.said || (secret != "") != want.secret || expires != want.secret || expires && got["client_secret_expires_at"] != float64(0) {
			t.Errorf("%q: %v", method, got)
		}
		if strings.ContainsFunc(secret, notUnreserved) {
			t.Errorf("T2: the secret %q does not stay as it is in Basic", secret)
		}
	}
}

func TestD6_a_registration_is_refused_with_400_in_JSON(t *testing.T) {
	f := newFixture(t)
	var many []string
	for range 10 {
		many = append(many, "https://client.example/"+rand.Text()+rand.Text()+rand.Text()+rand.Text())
	}
	for name, tc := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"nothing":                         {``, 400, "invalid_client_metadata"},
		"not JSON":                        {`{`, 400, "invalid_client_metadata"},
		"a list":                          {`[]`, 400, "invalid_client_metadata"},
		"null":                            {`null`, 400, "invalid_client_metadata"},
		"a member twice":                  {`{"redirect_uris":["` + loopback + `"],"redirect_uris":["` + claude + `"]}`, 400, "invalid_client_metadata"},
		"no redirect_uris":                {`{}`, 400, "invalid_redirect_uri"},
		"empty redirect_uris":             {`{"redirect_uris":[]}`, 400, "invalid_redirect_uri"},
		"redirect_uris that are a text":   {`{"redirect_uris":"` + loopback + `"}`, 400, "invalid_client_metadata"},
		"a null among them":               {`{"redirect_uris":[null]}`, 400, "invalid_client_metadata"},
		"http elsewhere":                  {`{"redirect_uris":["http://client.example/cb"]}`, 400, "invalid_redirect_uri"},
		"javascript":                      {`{"redirect_uris":["javascript:alert(1)"]}`, 400, "invalid_redirect_uri"},
		"a fragment":                      {`{"redirect_uris":["https://client.example/cb#x"]}`, 400, "invalid_redirect_uri"},
		"a wildcard":                      {`{"redirect_uris":["https://*.client.example/cb"]}`, 400, "invalid_redirect_uri"},
		"userinfo":                        {`{"redirect_uris":["https://a@client.example/cb"]}`, 400, "invalid_redirect_uri"},
		"a method that is not there":      {`{"redirect_uris":["` + loopback + `"],"token_endpoint_auth_method":"tls_client_auth"}`, 400, "invalid_client_metadata"},
		"only the implicit grant":         {`{"redirect_uris":["` + loopback + `"],"grant_types":["implicit"]}`, 400, "invalid_client_metadata"},
		"only client_credentials":         {`{"redirect_uris":["` + loopback + `"],"grant_types":["client_credentials"]}`, 400, "invalid_client_metadata"},
		"response_types without code":     {`{"redirect_uris":["` + loopback + `"],"response_types":["token"]}`, 400, "invalid_client_metadata"},
		"a name that is a number":         {`{"redirect_uris":["` + loopback + `"],"client_name":5}`, 400, "invalid_client_metadata"},
		"a charset that is not UTF-8":     {"{\"redirect_uris\":[\"" + loopback + "\"],\"client_name\":\"\xff\"}", 400, "invalid_client_metadata"},
		"more than fits an id":            {encoded(t, map[string]any{"redirect_uris": many}), 400, "invalid_client_metadata"},
		"more than anybody should send":   {`{"redirect_uris":["` + loopback + `"],"x":"` + strings.Repeat("x", 65<<10) + `"}`, 413, "invalid_client_metadata"},
		"deeper than anybody should nest": {`{"redirect_uris":["` + loopback + `"],"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, 400, "invalid_client_metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			f.leavesNothing(t, func() {
				a := f.ask(t, http.MethodPost, notes+"/register", tc.body, "Content-Type", "application/json", "Origin", "https://app.example")
				a.wantJSON(t, tc.status, tc.code)
				if a.Header.Get("Access-Control-Allow-Origin") != "*" {
					t.Error("a browser cannot read why")
				}
			})
		})
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"} {
		f.ask(t, http.MethodPost, notes+"/register", `{"redirect_uris":["`+loopback+`"]}`, "Content-Type", contentType).wantJSON(t, http.StatusBadRequest, "invalid_client_metadata")
	}
}

func TestD7_registrations_store_nothing_and_are_limited_per_address(t *testing.T) {
	f := newFixture(t, with("SERVER_LIMITS_REGISTRATIONSPERMINUTE", "3"), with("SERVER_TRUSTEDPROXIES", "127.0.0.1"))
	from := func(address string) answer {
		return f.ask(t, http.MethodPost, notes+"/register", `{"redirect_uris":["`+loopback+`"]}`, "Content-Type", "application/json", "X-Forwarded-For", address)
	}
	f.leavesNothing(t, func() {
		for range 3 {
			if a := from("192.0.2.1"); a.StatusCode != http.StatusCreated {
				t.Fatalf("%s: %s", a.Status, a.body)
			}
		}
		a := from("192.0.2.1")
		a.wantJSON(t, http.StatusTooManyRequests, "temporarily_unavailable")
		if a.Header.Get("Retry-After") != "20" {
			t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
		}
		if a := from("192.0.2.2"); a.StatusCode != http.StatusCreated {
			t.Errorf("another address: %s", a.Status)
		}
		f.forward(t, 20*time.Second)
		if a := from("192.0.2.1"); a.StatusCode != http.StatusCreated {
			t.Errorf("after the wait: %s", a.Status)
		}
	})
	if !strings.Contains(f.audited.String(), `"audit":"limit_exceeded"`) {
		t.Error("the limit is not in the audit log")
	}
}

func TestD7_a_name_is_shown_as_a_claim_without_markup_and_tricks(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, map[string]any{"client_name": "Evil\u202e\u0000\n<script>alert(1)</script>" + strings.Repeat("x", 300)})
	page := f.newBrowser(t).open(t, c.authorizeURL())
	page.wantPage(t, http.StatusOK, "An app that calls itself “Evil")
	if strings.Contains(page.body, "<script>alert") || strings.ContainsAny(page.body, "\u202e\u0000") || strings.Contains(page.body, strings.Repeat("x", 101)) {
		t.Error("the name came in as it was")
	}
}

func TestD10_who_names_no_grant_types_gets_refresh_tokens_and_is_told_so(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, map[string]any{"grant_types": nil})
	got := decoded(t, f.register(t, notes, map[string]any{"grant_types": nil}).body)
	if !slices.Equal(texts(got["grant_types"]), []string{"authorization_code", "refresh_token"}) {
		t.Errorf("told %v", got["grant_types"])
	}
	if tok := c.connect(t, f.newBrowser(t)); tok.refresh == "" || c.refresh(t, tok.refresh).StatusCode != http.StatusOK {
		t.Error("no refresh token that works")
	}
	got = decoded(t, f.register(t, notes, map[string]any{"grant_types": []string{"authorization_code"}}).body)
	if !slices.Equal(texts(got["grant_types"]), []string{"authorization_code"}) {
		t.Errorf("who names one is told %v", got["grant_types"])
	}
}

func TestD11_one_bad_redirect_URI_is_left_out_and_the_answer_says_so(t *testing.T) {
	f := newFixture(t)
	got := decoded(t, f.register(t, notes, map[string]any{"redirect_uris": []string{
		"cursor://anysphere.cursor-mcp/oauth/callback", "http://client.example/cb", "https://www.cursor.com/agents/mcp/oauth/callback", "unknown-scheme://x/y", "http://localhost:8787/callback",
	}}).body)
	want := []string{"cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"}
	if !slices.Equal(texts(got["redirect_uris"]), want) {
		t.Errorf("kept %v", got["redirect_uris"])
	}
	id := got["client_id"].(string)
	b := f.newBrowser(t)
	for _, uri := range want {
		b.open(t, (&client{f: f, origin: notes, id: id, redirect: uri}).authorizeURL()).wantPage(t, http.StatusOK, "Allow access")
	}
	b.open(t, (&client{f: f, origin: notes, id: id, redirect: "http://client.example/cb"}).authorizeURL()).wantPage(t, http.StatusBadRequest, "did not register")
}

func TestD12_an_unknown_client_is_401_at_the_token_endpoint_and_a_page_at_authorize(t *testing.T) {
	f := newFixture(t)
	good := f.newClient(t, nil)
	flip := func(s string) string {
		last := s[len(s)-1]
		if last == 'A' {
			return s[:len(s)-1] + "B"
		}
		return s[:len(s)-1] + "A"
	}
	for name, id := range map[string]string{
		"made up": "nobody", "of our form": "r1.AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "one character off": flip(good.id), "in capitals": strings.ToUpper(good.id),
		"longer by one": good.id + "A", "of another host": f.newClientAt(t, mail, map[string]any{"client_name": "Other"}).id,
		"with a NUL": good.id + "\x00", "not UTF-8": good.id + "\xff", "far too long": strings.Repeat("x", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			c := &client{f: f, origin: notes, id: id, redirect: loopback}
			f.leavesNothing(t, func() {
				c.redeem(t, "code").wantJSON(t, http.StatusUnauthorized, "invalid_client")
				c.refresh(t, "token").wantJSON(t, http.StatusUnauthorized, "invalid_client")
				c.post(t, "/revoke", map[string][]string{"token": {"x"}}).wantJSON(t, http.StatusUnauthorized, "invalid_client")
				f.newBrowser(t).open(t, c.authorizeURL()).wantPage(t, http.StatusBadRequest, "This app is not known here")
			})
		})
	}
}

func TestD12_D15_a_registration_outlives_a_restart(t *testing.T) {
	url := "bolt://" + filepath.Join(t.TempDir(), "state.db")
	clock := &stoppedClock{at: time.Now()}
	share := func(s *setup) { s.clock = clock }
	var c *client
	var tok tokens
	t.Run("before", func(t *testing.T) {
		f := newFixture(t, with("STORE_URL", url), share)
		c = f.newClient(t, map[string]any{"token_endpoint_auth_method": "client_secret_post"})
		tok = c.connect(t, f.newBrowser(t))
	})
	t.Run("after", func(t *testing.T) {
		f := newFixture(t, with("STORE_URL", url), share)
		c.f = f
		if a := f.call(t, notes, tok.access, "read_note"); a.StatusCode != http.StatusOK {
			t.Errorf("the access token: %s: %s", a.Status, a.body)
		}
		if next := c.refresh(t, tok.refresh).tokens(t); next.access == "" {
			t.Error("the refresh token does not work")
		}
		c.connect(t, f.newBrowser(t))
	})
}

func TestD14_D15_a_public_client_that_registers_again_is_the_same_client(t *testing.T) {
	f := newFixture(t)
	id := func(metadata map[string]any) any { return decoded(t, f.register(t, notes, metadata).body)["client_id"] }
	if a, b := id(nil), id(nil); a != b {
		t.Errorf("%v and %v", a, b)
	}
	confidential := map[string]any{"token_endpoint_auth_method": "client_secret_basic"}
	if a, b := id(confidential), id(maps.Clone(confidential)); a == b {
		t.Error("two clients with a secret share an id")
	}
}
