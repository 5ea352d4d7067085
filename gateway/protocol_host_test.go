package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestX2_an_unknown_host_is_421_in_every_spelling(t *testing.T) {
	f := newFixture(t)
	for _, host := range []string{
		"other.example.com", "OTHER.example.com", "notes.example.com:8443", "notes.example.com:80", "notes.example.com..", "notes.example.com.evil.example",
		"evil.notes.example.com", "example.com", "127.0.0.1", "localhost", "[::1]", "notes.example.com:443:443", "notes\u212aexample.com", "notes_example_com", "xn--notes.example.com", ".notes.example.com",
	} {
		for _, path := range []string{"/mcp", "/token", resourceMetadata, "/authenticate"} {
			a := f.get(t, notes+path, "Host", host)
			if a.StatusCode == http.StatusBadRequest && a.Header.Get("Content-Type") != "application/json" {
				continue // net/http has refused it before us
			}
			a.wantJSON(t, http.StatusMisdirectedRequest, "misdirected_request")
			if len(a.Header.Values("WWW-Authenticate"))+len(a.Header.Values("Access-Control-Allow-Origin")) > 0 {
				t.Errorf("%s%s: %v", host, path, a.Header)
			}
		}
		if a := f.get(t, notes+"/authorize", "Host", host); a.StatusCode == http.StatusMisdirectedRequest {
			a.wantPage(t, http.StatusMisdirectedRequest, "No MCP server is here")
		} else if a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", host, a.Status)
		}
	}
	if n := len(f.upstream.Requests()); n != 0 {
		t.Errorf("%d requests arrived at the MCP server", n)
	}
}

func TestX2_a_host_is_the_same_in_all_its_spellings(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	for _, host := range []string{"notes.example.com", "NOTES.example.COM", "notes.example.com.", "notes.example.com:443", "Notes.Example.Com.:443"} {
		if a := f.call(t, notes, tok.access, "read_note", "Host", host); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s: %s", host, a.Status, a.body)
		}
	}
}

func TestX_Forwarded_Host_is_believed_from_trusted_proxies_alone(t *testing.T) {
	f := newFixture(t)
	if got := f.metadata(t, notes+serverMetadata, "X-Forwarded-Host", "mail.example.com")["issuer"]; got != notes {
		t.Errorf("from anybody: %v", got)
	}
	f.get(t, "https://inner.example"+serverMetadata, "X-Forwarded-Host", "mail.example.com").wantJSON(t, http.StatusMisdirectedRequest, "misdirected_request")

	f = newFixture(t, with("SERVER_TRUSTEDPROXIES", "127.0.0.1/32"))
	for _, host := range []string{"mail.example.com", "MAIL.example.com:443"} {
		if got := f.metadata(t, "https://inner.example"+serverMetadata, "X-Forwarded-Host", host)["issuer"]; got != mail {
			t.Errorf("%s from a trusted proxy: %v", host, got)
		}
	}
	for _, headers := range [][]string{
		{"X-Forwarded-Host", "other.example.com"}, {"X-Forwarded-Host", "mail.example.com, notes.example.com"}, {"X-Forwarded-Host", ""}, {"Forwarded", "host=mail.example.com"},
		{"X-Forwarded-Host", "mail.example.com", "X-Forwarded-Host", "notes.example.com"},
	} {
		f.get(t, "https://inner.example"+serverMetadata, headers...).wantJSON(t, http.StatusMisdirectedRequest, "misdirected_request")
	}

	f = newFixture(t, with("SERVER_TRUSTEDPROXIES", "192.0.2.0/24"))
	if got := f.metadata(t, notes+serverMetadata, "X-Forwarded-Host", "mail.example.com")["issuer"]; got != notes {
		t.Errorf("from a peer that is no trusted proxy: %v", got)
	}
}

func TestAuthenticate_answers_another_proxy(t *testing.T) {
	f := newFixture(t, with("SERVER_TRUSTEDPROXIES", "127.0.0.1"))
	c, tok := f.connected(t, "notes:read notes:write")
	challenge := `Bearer realm="mcp-oauth2-proxy", resource_metadata="` + notes + resourceMetadata + `"`
	for _, method := range []string{"GET", "POST", "HEAD", "DELETE", "OPTIONS", "PUT"} {
		a := f.ask(t, method, notes+"/authenticate", "", "Authorization", "Bearer "+tok.access)
		got := map[string]string{}
		for _, name := range []string{"User", "Email", "Preferred-Username", "Groups", "Access-Scopes", "Client-Id"} {
			got[name] = a.Header.Get("X-Forwarded-" + name)
		}
		if a.StatusCode != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" || got["User"] != "local:ada" || got["Email"] != "ada@example.com" ||
			got["Preferred-Username"] != "ada" || got["Groups"] != "analysts" || got["Access-Scopes"] != "notes:read notes:write" || got["Client-Id"] != c.id {
			t.Errorf("%s: %s %v", method, a.Status, a.Header)
		}
		f.ask(t, method, notes+"/authenticate", "").wantChallenge(t, http.StatusUnauthorized, challenge)
	}
	for name, headers := range map[string][]string{
		"a bad token": {"Authorization", "Bearer nonsense"}, "a browser": {"Accept", "text/html"}, "a token of another host": {"Authorization", "Bearer " + tok.access, "X-Forwarded-Host", "mail.example.com"},
	} {
		a := f.get(t, notes+"/authenticate", headers...)
		want := challenge
		if strings.Contains(name, "another host") {
			want = strings.ReplaceAll(challenge, notes, mail)
		}
		a.wantChallenge(t, http.StatusUnauthorized, want)
		if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Location") != "" {
			t.Errorf("%s: %v", name, a.Header)
		}
	}
	if a := f.get(t, "https://traefik.internal/authenticate", "X-Forwarded-Host", "notes.example.com", "Authorization", "Bearer "+tok.access); a.StatusCode != http.StatusOK {
		t.Errorf("behind Traefik: %s: %s", a.Status, a.body)
	}
	if n := slices.IndexFunc(f.upstream.Requests(), func(r routingRequest) bool { return strings.HasPrefix(r.URI, "/authenticate") }); n >= 0 {
		t.Error("it was passed on")
	}
}

func TestAuthenticate_works_for_a_host_without_an_MCP_server_behind_it(t *testing.T) {
	f := newFixture(t, serving(`[{"host":"notes.example.com","name":"Elsewhere"}]`))
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	if len(page.form(t).boxes) != 0 {
		t.Errorf("boxes %v", page.form(t).boxes)
	}
	tok := c.redeem(t, c.finish(t, b, page).Get("code")).tokens(t)
	if a := f.get(t, notes+"/authenticate", "Authorization", "Bearer "+tok.access); a.StatusCode != http.StatusOK || a.Header.Get("X-Forwarded-Access-Scopes") != "mcp-oauth2-proxy" {
		t.Errorf("%s %v", a.Status, a.Header)
	}
	f.get(t, notes+"/mcp", "Authorization", "Bearer "+tok.access).wantJSON(t, http.StatusNotFound, "not_found")
}

func TestPublic_hosts_have_nothing_of_the_gateway(t *testing.T) {
	o := notesServer()
	o.Before = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("X-Upstream", r.URL.Path)
		return false
	}
	f := newFixture(t, before(o), serving(`[{"host":"notes.example.com","endpoint":"%[1]s","public":true},{"host":"mail.example.com","endpoint":"%[1]s"}]`))
	for _, path := range []string{"/authorize", "/token", "/register", "/consent", "/account", "/authenticate", resourceMetadata, serverMetadata, keySet, "/mcp"} {
		if a := f.ask(t, http.MethodPost, notes+path, `{}`, "Authorization", "Bearer of-its-own", "Content-Type", "application/json"); a.Header.Get("X-Upstream") != path {
			t.Errorf("%s is answered %s by us", path, a.Status)
		}
	}
	all := f.upstream.Requests()
	if got := all[len(all)-1].Header.Get("Authorization"); got != "Bearer of-its-own" {
		t.Errorf("the client's Authorization is %q", got)
	}
}

func TestPublic_hosts_speak_for_themselves_to_browsers(t *testing.T) {
	o := notesServer()
	o.Before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Access-Control-Allow-Origin", "https://chosen-by-the-upstream.example")
		return false
	}
	f := newFixture(t, before(o), with("PROXY_ALLOWEDORIGINS", "*"), serving(`[{"host":"notes.example.com","endpoint":"%[1]s","public":true},{"host":"mail.example.com","endpoint":"%[1]s"}]`))
	for _, path := range []string{"/mcp", "/token", resourceMetadata} {
		for _, method := range []string{http.MethodPost, http.MethodOptions} {
			a := f.ask(t, method, notes+path, `{}`, "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Content-Type", "application/json")
			if got := a.Header.Values("Access-Control-Allow-Origin"); !slices.Equal(got, []string{"https://chosen-by-the-upstream.example"}) {
				t.Errorf("%s %s: %q", method, path, got)
			}
		}
	}
}
