package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// §3.3: what browser clients may read.

func preflight(t testing.TB, f *fixture, address, origin, method, headers string) answer {
	t.Helper()
	return f.ask(t, http.MethodOptions, address, "", "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", headers)
}

func listed(a answer, name string) []string {
	var out []string
	for one := range strings.SplitSeq(strings.ToLower(a.Header.Get(name)), ",") {
		out = append(out, strings.TrimSpace(one))
	}
	return out
}

func (a answer) wantShared(t testing.TB, origin string, exposed ...string) {
	t.Helper()
	if a.Header.Get("Access-Control-Allow-Origin") != origin || a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%s (%s) is shared with %q, credentials %q", a.at.Path, a.Status, a.Header.Get("Access-Control-Allow-Origin"), a.Header.Get("Access-Control-Allow-Credentials"))
	}
	for _, name := range exposed {
		if !slices.Contains(listed(a, "Access-Control-Expose-Headers"), strings.ToLower(name)) {
			t.Errorf("%s (%s) does not expose %s", a.at.Path, a.Status, name)
		}
	}
}

func TestCORS_metadata_and_the_endpoints_of_programs_are_for_every_origin_errors_included(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	const app = "https://inspector.example"
	for _, path := range []string{resourceMetadata, resourceMetadata + "/mcp", serverMetadata, openIDMetadata, keySet, serverMetadata + "/mcp"} {
		f.get(t, notes+path, "Origin", app).wantShared(t, "*")
		a := preflight(t, f, notes+path, app, "GET", "mcp-protocol-version")
		a.wantShared(t, "*")
		if a.StatusCode/100 != 2 || !slices.Contains(listed(a, "Access-Control-Allow-Methods"), "get") || !slices.Contains(listed(a, "Access-Control-Allow-Headers"), "mcp-protocol-version") || a.Header.Get("Access-Control-Max-Age") == "" {
			t.Errorf("preflight of %s: %s %v", path, a.Status, a.Header)
		}
	}
	for _, path := range []string{"/token", "/register", "/revoke"} {
		a := preflight(t, f, notes+path, app, "POST", "content-type, authorization")
		a.wantShared(t, "*")
		if a.StatusCode/100 != 2 || !slices.Contains(listed(a, "Access-Control-Allow-Methods"), "post") || !slices.Contains(listed(a, "Access-Control-Allow-Headers"), "authorization") || !slices.Contains(listed(a, "Access-Control-Allow-Headers"), "content-type") {
			t.Errorf("preflight of %s: %s %v", path, a.Status, a.Header)
		}
		f.ask(t, http.MethodPost, notes+path, "", "Origin", app).wantShared(t, "*", "WWW-Authenticate")
		f.get(t, notes+path, "Origin", app).wantShared(t, "*", "WWW-Authenticate")
	}
	code := c.code(t, f.newBrowser(t))
	c.post(t, "/token", c.redemption(code), "Origin", app).wantShared(t, "*", "WWW-Authenticate")
	c.post(t, "/token", c.redemption(code), "Origin", app, "Authorization", "Basic !").wantShared(t, "*", "WWW-Authenticate")
}

func TestCORS_X1_MCP_endpoints_are_for_the_origins_that_are_listed_and_their_own(t *testing.T) {
	f := newFixture(t, with("PROXY_ALLOWEDORIGINS", "https://app.example,http://localhost:6274"))
	_, tok := f.connected(t, "notes:read")
	for _, origin := range []string{"https://app.example", "http://localhost:6274", notes} {
		a := preflight(t, f, notes+"/mcp", origin, "POST", "authorization,content-type,mcp-protocol-version,mcp-session-id,last-event-id,mcp-method,mcp-name,mcp-param-city")
		a.wantShared(t, origin)
		allowed := listed(a, "Access-Control-Allow-Headers")
		for _, name := range []string{"authorization", "content-type", "accept", "mcp-protocol-version", "mcp-session-id", "last-event-id", "mcp-method", "mcp-name", "mcp-param-city"} {
			if !slices.Contains(allowed, name) {
				t.Errorf("%s may not be sent", name)
			}
		}
		for _, method := range []string{"get", "post", "delete", "options"} {
			if !slices.Contains(listed(a, "Access-Control-Allow-Methods"), method) {
				t.Errorf("%s may not be used", method)
			}
		}
		for name, a := range map[string]answer{
			"200":               f.call(t, notes, tok.access, "read_note", "Origin", origin),
			"401":               f.call(t, notes, "", "read_note", "Origin", origin),
			"401 with a token":  f.call(t, notes, "nonsense", "read_note", "Origin", origin),
			"403":               f.call(t, notes, tok.access, "delete_note", "Origin", origin),
			"400":               f.ask(t, http.MethodPost, notes+"/mcp", "{", "Origin", origin, "Authorization", "Bearer "+tok.access),
			"404 of the server": f.get(t, notes+"/nothing", "Origin", origin, "Authorization", "Bearer "+tok.access),
		} {
			t.Run(origin+" "+name, func(t *testing.T) {
				a.wantShared(t, origin, "WWW-Authenticate", "Mcp-Session-Id", "MCP-Protocol-Version", "Retry-After")
				if a.Header.Get("Vary") != "Origin" {
					t.Errorf("Vary is %q", a.Header.Get("Vary"))
				}
			})
		}
	}
	before := len(f.upstream.Requests())
	for _, origin := range []string{"https://evil.example", "null", "https://app.example.evil.example", "http://app.example", "https://APP.example", mail, "https://notes.example.com:8443"} {
		for name, a := range map[string]answer{
			"a preflight": preflight(t, f, notes+"/mcp", origin, "POST", "authorization"), "a call": f.call(t, notes, tok.access, "read_note", "Origin", origin), "without a token": f.call(t, notes, "", "read_note", "Origin", origin),
		} {
			a.wantJSON(t, http.StatusForbidden, "forbidden")
			if a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("X1: %s from %s: %v", name, origin, a.Header)
			}
		}
	}
	if after := len(f.upstream.Requests()); after != before {
		t.Errorf("X1: %d requests arrived at the MCP server", after-before)
	}
}

func TestCORS_a_failing_MCP_server_is_an_error_that_browsers_can_read(t *testing.T) {
	f := newFixture(t, with("PROXY_ALLOWEDORIGINS", "*"))
	_, tok := f.connected(t, "notes:read")
	f.upstream.Close()
	a := f.call(t, notes, tok.access, "read_note", "Origin", "https://any.example")
	a.wantShared(t, "https://any.example", "WWW-Authenticate")
	if a.StatusCode != http.StatusBadGateway || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("X15: %s: %s", a.Status, a.body)
	}
}

func TestCORS_can_be_switched_off(t *testing.T) {
	f := newFixture(t, with("PROXY_CORS", "false"), with("PROXY_ALLOWEDORIGINS", "*"))
	for _, a := range []answer{
		f.get(t, notes+serverMetadata, "Origin", "https://app.example"), f.call(t, notes, "", "ping", "Origin", "https://app.example"),
		f.ask(t, http.MethodPost, notes+"/token", "", "Origin", "https://app.example"), preflight(t, f, notes+"/mcp", "https://app.example", "POST", ""),
	} {
		for name := range a.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s", a.at, name)
			}
		}
	}
}

func TestCORS_what_the_MCP_server_says_of_it_does_not_count(t *testing.T) {
	o := notesServer()
	o.Before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		return false
	}
	f := newFixture(t, before(o), with("PROXY_ALLOWEDORIGINS", "https://app.example"))
	_, tok := f.connected(t, "notes:read")
	f.call(t, notes, tok.access, "read_note", "Origin", "https://app.example").wantShared(t, "https://app.example")
	f.call(t, notes, tok.access, "read_note").wantShared(t, "")
}
