package gateway

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/routing/routingtest"
)

const (
	notesMetadata = `resource_metadata="` + notes + resourceMetadata + `/mcp"`
	notesScope    = `scope="` + allNotesScopes + `"`

	challengeForNone    = `Bearer ` + notesMetadata + `, ` + notesScope
	challengeForInvalid = `Bearer error="invalid_token", error_description="the access token is not valid here", ` + notesMetadata + `, ` + notesScope
	challengeForExpired = `Bearer error="invalid_token", error_description="the access token expired", ` + notesMetadata + `, ` + notesScope
	challengeForRevoked = `Bearer error="invalid_token", error_description="the access token was revoked", ` + notesMetadata + `, ` + notesScope
)

func TestR1_R19_every_request_needs_its_token_whatever_session_it_names(t *testing.T) {
	o := notesServer()
	o.Era = routingtest.Sessions
	f := newFixture(t, before(o))
	c, b := f.newClient(t, nil), f.newBrowser(t)
	tok := c.connect(t, b)
	initialize := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	a := f.ask(t, http.MethodPost, notes+"/mcp", initialize, "Content-Type", "application/json", "Accept", "application/json, text/event-stream", "Authorization", "Bearer "+tok.access)
	session := a.Header.Get("Mcp-Session-Id")
	if a.StatusCode != http.StatusOK || session == "" {
		t.Fatalf("initialize: %s %v: %s", a.Status, a.Header, a.body)
	}
	for range 2 {
		if a := f.call(t, notes, tok.access, "read_note", "Mcp-Session-Id", session); a.StatusCode != http.StatusOK {
			t.Fatalf("with the token: %s: %s", a.Status, a.body)
		}
		f.call(t, notes, "", "read_note", "Mcp-Session-Id", session).wantChallenge(t, http.StatusUnauthorized, challengeForNone)
	}
	// Another client of the same user, and another user: the session is not theirs.
	other := f.newClient(t, map[string]any{"client_name": "Other"})
	bobs := f.newBrowser(t)
	q := other.received(t, bobs.signIn(t, bobs.allow(t, bobs.open(t, other.authorizeURL()), "notes:read"), bob))
	for name, token := range map[string]string{"another client": other.connect(t, b).access, "another user": other.redeem(t, q.Get("code")).tokens(t).access} {
		if a := f.call(t, notes, token, "read_note", "Mcp-Session-Id", session); a.StatusCode != http.StatusNotFound {
			t.Errorf("R19: %s: %s", name, a.Status)
		}
	}
}

func TestR2_a_token_is_read_from_the_Authorization_header_alone(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	body := "access_token=" + tok.access
	for name, a := range map[string]answer{
		"in the query":     f.get(t, notes+"/mcp?access_token="+tok.access),
		"in the body":      f.ask(t, http.MethodPost, notes+"/mcp", body, "Content-Type", "application/x-www-form-urlencoded"),
		"in a cookie":      f.get(t, notes+"/mcp", "Cookie", "access_token="+tok.access),
		"of scheme Basic":  f.get(t, notes+"/mcp", "Authorization", "Basic "+tok.access),
		"of scheme DPoP":   f.get(t, notes+"/mcp", "Authorization", "DPoP "+tok.access),
		"of an own header": f.get(t, notes+"/mcp", "X-Access-Token", tok.access),
	} {
		t.Run(name, func(t *testing.T) { a.wantChallenge(t, http.StatusUnauthorized, challengeForNone) })
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "bEaReR  "} {
		a := f.ask(t, http.MethodPost, notes+"/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ping"}}`,
			"Content-Type", "application/json", "Accept", "application/json, text/event-stream", "Authorization", scheme+tok.access)
		if a.StatusCode != http.StatusOK {
			t.Errorf("scheme %q: %s", scheme, a.Status)
		}
	}
}

func TestR2_a_token_in_the_query_is_neither_logged_nor_passed_on(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	f.ask(t, http.MethodPost, notes+"/mcp?access_token="+tok.access, `{}`, "Authorization", "Bearer "+tok.access, "Content-Type", "application/json")
	for _, r := range f.upstream.Requests() {
		if strings.Contains(r.URI, "access_token") {
			t.Errorf("the MCP server was asked for %s", r.URI)
		}
	}
	if strings.Contains(f.logged.String()+f.audited.String(), tok.access) {
		t.Error("the token is in the log")
	}
}

func TestR3_Z7_a_token_is_good_at_its_own_host_alone(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, allNotesScopes)
	if a := f.call(t, notes, tok.access, "delete_note"); a.StatusCode != http.StatusOK {
		t.Fatalf("at its own host: %s: %s", a.Status, a.body)
	}
	want := strings.ReplaceAll(challengeForInvalid, notes, mail)
	f.call(t, mail, tok.access, "delete_note").wantChallenge(t, http.StatusUnauthorized, want)
	if calls := f.upstream.Calls(); len(calls) != 1 {
		t.Errorf("the MCP server was called %v", calls)
	}
}

// Decision 7: it was issued for exactly this MCP server.
func TestR4_the_token_of_this_host_is_passed_on_unless_the_operator_says_otherwise(t *testing.T) {
	for setting, want := range map[string]string{"forward": "the token", "none": "", "Bearer of-the-upstream": "Bearer of-the-upstream"} {
		t.Run(setting, func(t *testing.T) {
			f := newFixture(t, serving(`[{"host":"notes.example.com","endpoint":"%[1]s","authorization":"`+setting+`"}]`))
			_, tok := f.connected(t, "notes:read")
			f.call(t, notes, tok.access, "read_note")
			all := f.upstream.Requests()
			if want == "the token" {
				want = "Bearer " + tok.access
			}
			if got := all[len(all)-1].Header.Get("Authorization"); got != want {
				t.Errorf("the MCP server got %q", got)
			}
		})
	}
}

// forged are tokens made of a good one, for each of which something is wrong.
func (f *fixture) forged(t *testing.T, good string) map[string]string {
	t.Helper()
	sign := func(change map[string]any, typ string) string {
		c := claims(t, good)
		maps.Copy(c, change)
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		raw, err := f.ring.Sign(t.Context(), []byte(encoded(t, c)), typ)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	now := float64(f.clock.now().Unix())
	all := map[string]string{
		"without a signature":            parts[0] + "." + parts[1] + ".",
		"with alg none":                  b64([]byte(`{"alg":"none","typ":"at+jwt","kid":"x"}`)) + "." + parts[1] + "." + parts[2],
		"with a symmetric alg":           b64([]byte(encoded(t, map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": header(t, good)["kid"]}))) + "." + parts[1] + "." + parts[2],
		"with a kid that nobody has":     b64([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"nobody"}`)) + "." + parts[1] + "." + parts[2],
		"of type JWT":                    sign(nil, "JWT"),
		"of an ID token's type":          sign(nil, "id+jwt"),
		"of another issuer":              sign(map[string]any{"iss": mail}, access.Type),
		"of this issuer with a slash":    sign(map[string]any{"iss": notes + "/"}, access.Type),
		"for another audience":           sign(map[string]any{"aud": []string{mail, mail + "/mcp"}}, access.Type),
		"for the endpoint, not the host": sign(map[string]any{"aud": []string{notes + "/mcp"}}, access.Type),
		"from the future":                sign(map[string]any{"nbf": now + 120, "iat": now + 120}, access.Type),
		"nonsense":                       "nonsense",
		"with four parts":                good + ".x",
		"far too long":                   good + strings.Repeat("A", 20<<10),
	}
	for _, claim := range []string{"iss", "sub", "aud", "client_id", "jti", "iat", "exp"} {
		all["without "+claim] = sign(map[string]any{claim: nil}, access.Type)
	}
	return all
}

func TestR5_only_an_access_token_of_this_issuer_for_this_host_is_believed(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	for name, forged := range f.forged(t, tok.access) {
		t.Run(name, func(t *testing.T) {
			a := f.call(t, notes, forged, "read_note")
			a.wantChallenge(t, http.StatusUnauthorized, challengeForInvalid)
			a.wantJSON(t, http.StatusUnauthorized, "invalid_token")
		})
	}
	if calls := f.upstream.Calls(); len(calls) != 0 {
		t.Errorf("the MCP server was called %v", calls)
	}
}

func TestR6_invalid_is_401_insufficient_is_403_malformed_is_400(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	if a := f.call(t, notes, tok.access, "delete_note"); a.StatusCode != http.StatusForbidden {
		t.Errorf("insufficient: %s", a.Status)
	}
	if a := f.call(t, notes, tok.access+"x", "read_note"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("invalid: %s", a.Status)
	}
	malformed := `Bearer error="invalid_request", error_description="the Authorization header is not one bearer token", ` + notesMetadata + `, ` + notesScope
	for name, headers := range map[string][]string{
		"two tokens in one":  {"Authorization", "Bearer a b"},
		"no token":           {"Authorization", "Bearer "},
		"no token, no space": {"Authorization", "Bearer"},
		"two headers":        {"Authorization", "Bearer " + tok.access, "Authorization", "Bearer " + tok.access},
		"a foreign alphabet": {"Authorization", "Bearer tök\u200ben"},
		"a list":             {"Authorization", "Bearer " + tok.access + ", Basic eA=="},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.get(t, notes+"/mcp", headers...)
			a.wantChallenge(t, http.StatusBadRequest, malformed)
			a.wantJSON(t, http.StatusBadRequest, "invalid_request")
		})
	}
}

func TestR7_R8_R9_R10_without_a_token_there_is_one_challenge_and_no_error(t *testing.T) {
	f := newFixture(t)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND", "QUERY"} {
		f.ask(t, method, notes+"/mcp", "").wantChallenge(t, http.StatusUnauthorized, challengeForNone)
	}
	for path, metadata := range map[string]string{
		"/": "", "/mcp/": "/mcp", "/other?x=1": "/other", "/a%20b": "/a%20b", "/%22quoted%22": "/%22quoted%22", "/authorize/": "/authorize",
	} {
		want := `Bearer resource_metadata="` + notes + resourceMetadata + metadata + `", ` + notesScope
		f.get(t, notes+path).wantChallenge(t, http.StatusUnauthorized, want)
	}
}

func TestR9_a_token_that_is_no_good_is_named_as_the_error(t *testing.T) {
	f := newFixture(t)
	c, tok := f.connected(t, "notes:read")
	f.call(t, notes, "nonsense", "ping").wantChallenge(t, http.StatusUnauthorized, challengeForInvalid)

	c.post(t, "/revoke", map[string][]string{"token": {tok.refresh}})
	f.call(t, notes, tok.access, "ping").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)

	_, tok = f.connected(t, "notes:read")
	f.forward(t, time.Hour+access.Leeway)
	f.call(t, notes, tok.access, "ping").wantChallenge(t, http.StatusUnauthorized, challengeForExpired)
}

func TestR11_R14_G5_a_403_names_everything_that_was_granted_and_is_needed(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	challenge := func(scope string) string {
		return `Bearer error="insufficient_scope", error_description="the access token does not cover this tool", ` + notesMetadata + `, scope="` + scope + `"`
	}
	a := f.call(t, notes, tok.access, "write_note")
	a.wantChallenge(t, http.StatusForbidden, challenge("notes:read notes:write")) // not admin: the least that does
	rpc := decoded(t, a.body)
	if rpc["id"] != float64(7) || rpc["jsonrpc"] != "2.0" || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("R16: the body is %s, %v", a.body, a.Header)
	}
	f.call(t, notes, tok.access, "delete_note").wantChallenge(t, http.StatusForbidden, challenge("notes:admin notes:read"))

	batch := `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_note"}},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete_note"}}]`
	a = f.ask(t, http.MethodPost, notes+"/mcp", batch, "Content-Type", "application/json", "Authorization", "Bearer "+tok.access)
	a.wantChallenge(t, http.StatusForbidden, challenge("notes:admin notes:read notes:write")) // G9: all in one
	if calls := f.upstream.Calls(); len(calls) != 0 {
		t.Errorf("the MCP server was called %v", calls)
	}
}

func TestR12_G8_a_broader_scope_is_enough(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:admin")
	if tok.scope != "notes:admin" || claims(t, tok.access)["scope"] != "notes:admin" {
		t.Errorf("granted %q, %v", tok.scope, claims(t, tok.access))
	}
	for _, tool := range []string{"read_note", "write_note", "delete_note", "ping"} {
		if a := f.call(t, notes, tok.access, tool); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s: %s", tool, a.Status, a.body)
		}
	}
}

func TestR15_a_denial_that_no_scope_can_cure_names_none(t *testing.T) {
	f := newFixture(t, serving(`[{"host":"notes.example.com","endpoint":"%[1]s","unscopedTools":"deny"}]`))
	_, tok := f.connected(t, allNotesScopes)
	a := f.call(t, notes, tok.access, "ping")
	if a.StatusCode != http.StatusForbidden || a.Header.Get("WWW-Authenticate") != "" || strings.Contains(a.body, "insufficient_scope") {
		t.Errorf("%s %v: %s", a.Status, a.Header, a.body)
	}
}

func TestR16_a_refusal_is_JSON_and_never_a_200(t *testing.T) {
	f := newFixture(t)
	f.call(t, notes, "", "ping").wantJSON(t, http.StatusUnauthorized, "unauthorized")
	f.call(t, notes, "nonsense", "ping").wantJSON(t, http.StatusUnauthorized, "invalid_token")
	f.get(t, notes+"/mcp", "Accept", "text/event-stream").wantJSON(t, http.StatusUnauthorized, "unauthorized")
	f.get(t, notes+"/mcp", "Accept", "text/html", "Authorization", "Bearer nonsense").wantJSON(t, http.StatusUnauthorized, "invalid_token")
}

func TestR17_a_preflight_needs_no_token_and_everything_else_does(t *testing.T) {
	f := newFixture(t, with("PROXY_ALLOWEDORIGINS", "https://app.example"))
	a := f.ask(t, http.MethodOptions, notes+"/mcp", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST")
	if a.StatusCode != http.StatusNoContent {
		t.Errorf("the preflight: %s: %s", a.Status, a.body)
	}
	f.ask(t, http.MethodOptions, notes+"/mcp", "", "Origin", "https://app.example").wantChallenge(t, http.StatusUnauthorized, challengeForNone)
	f.ask(t, http.MethodOptions, notes+"/mcp", "").wantChallenge(t, http.StatusUnauthorized, challengeForNone)
	if n := len(slices.DeleteFunc(f.upstream.Requests(), func(r routingRequest) bool { return r.Method != http.MethodOptions })); n != 0 {
		t.Errorf("%d OPTIONS arrived at the MCP server", n)
	}
}

func TestR18_times_are_checked_with_a_minute_of_leeway(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	f.forward(t, time.Hour+access.Leeway-time.Second)
	if a := f.call(t, notes, tok.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Errorf("59 s after exp: %s: %s", a.Status, a.body)
	}
	f.forward(t, time.Second)
	f.call(t, notes, tok.access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForExpired)
	if access.Leeway > time.Minute {
		t.Error("the leeway is more than a minute")
	}
}

func TestBrowsers_get_the_connect_page_with_status_401(t *testing.T) {
	f := newFixture(t)
	a := f.get(t, notes+"/mcp", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	a.wantPage(t, http.StatusUnauthorized, notes+"/mcp")
	a.wantChallenge(t, http.StatusUnauthorized, challengeForNone)
	f.get(t, notes+"/", "Accept", "text/html").wantPage(t, http.StatusUnauthorized, "claude mcp add --transport http notes "+notes+"/mcp")
}
