package gateway

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const resourceMetadata = "/.well-known/oauth-protected-resource"

// metadata is a document that is answered as RFC 8414 §3.2 and RFC 9728 §3.2 ask.
func (f *fixture) metadata(t testing.TB, address string, headers ...string) map[string]any {
	t.Helper()
	a := f.get(t, address, headers...)
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("P4, M9: %s: %s %s: %s", address, a.Status, a.Header.Get("Content-Type"), a.body)
	}
	doc := decoded(t, a.body)
	for name, v := range doc {
		if v == nil || v == "" || reflect.ValueOf(v).Kind() == reflect.Slice && reflect.ValueOf(v).Len() == 0 {
			t.Errorf("P4, M9: %s is empty in %s", name, address)
		}
	}
	return doc
}

// golden reads a document from testdata/protocol.
func golden(t testing.TB, name string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "protocol", name))
	if err != nil {
		t.Fatal(err)
	}
	return decoded(t, string(b))
}

func wantSame(t testing.TB, got, want map[string]any) {
	t.Helper()
	for name, v := range want {
		if !reflect.DeepEqual(got[name], v) {
			t.Errorf("%s: got %v, want %v", name, got[name], v)
		}
	}
	for name, v := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %v is said, but not meant to be", name, v)
		}
	}
}

func TestP1_the_resource_metadata_says_exactly_this(t *testing.T) {
	f := newFixture(t)
	wantSame(t, f.metadata(t, notes+resourceMetadata+"/mcp"), golden(t, "protected-resource.json"))
}

func TestP2_the_resource_metadata_is_found_by_the_challenge_and_by_the_well_known_path(t *testing.T) {
	f := newFixture(t)
	challenge := f.call(t, notes, "", "ping").Header.Get("WWW-Authenticate")
	_, rest, _ := strings.Cut(challenge, `resource_metadata="`)
	address, _, _ := strings.Cut(rest, `"`)
	if address != notes+resourceMetadata+"/mcp" {
		t.Fatalf("the challenge leads to %q", address)
	}
	byHeader, byPath := f.metadata(t, address), f.metadata(t, notes+resourceMetadata)
	if byHeader["resource"] != notes+"/mcp" || byPath["resource"] != notes {
		t.Errorf("P5: by header %v, by root %v", byHeader["resource"], byPath["resource"])
	}
}

func TestP4_what_there_is_none_of_is_left_out(t *testing.T) {
	o := notesServer()
	o.Scopes = nil
	f := newFixture(t, before(o))
	if doc := f.metadata(t, notes+resourceMetadata); doc["scopes_supported"] != nil {
		t.Errorf("scopes_supported is %v without scopes", doc["scopes_supported"])
	}
	if doc := f.metadata(t, notes+"/.well-known/oauth-authorization-server"); !slices.Equal(texts(doc["scopes_supported"]), []string{"offline_access"}) {
		t.Errorf("scopes_supported of the authorization server is %v", doc["scopes_supported"])
	}
}

func TestP6_resource_echoes_the_path_without_a_trailing_slash(t *testing.T) {
	f := newFixture(t)
	for asked, want := range map[string]string{
		"":                notes,
		"/":               notes,
		"/mcp":            notes + "/mcp",
		"/mcp/":           notes + "/mcp",
		"/a/b":            notes + "/a/b",
		"/MCP":            notes + "/MCP",
		"/mcp?x=1":        notes + "/mcp",
		"/with%20space/x": notes + "/with%20space/x",
	} {
		doc := f.metadata(t, notes+resourceMetadata+asked)
		if doc["resource"] != want || doc["authorization_servers"].([]any)[0] != notes {
			t.Errorf("%q: got %v, want %s", asked, doc["resource"], want)
		}
	}
}

func TestP6_a_path_that_no_resource_can_have_is_a_JSON_404(t *testing.T) {
	f := newFixture(t)
	for _, asked := range []string{"/a/%2e%2e/b", "/a%5Cb", "/a%22b"} {
		a := f.get(t, notes+resourceMetadata+asked)
		if a.StatusCode == http.StatusOK {
			if r := decoded(t, a.body)["resource"]; r != notes+asked {
				t.Errorf("%s: resource %v", asked, r)
			}
			continue
		}
		a.wantJSON(t, http.StatusNotFound, "not_found")
	}
}

func TestP7_the_resource_is_canonical_however_the_host_is_spelled(t *testing.T) {
	f := newFixture(t)
	for _, host := range []string{"notes.example.com", "NOTES.Example.COM", "notes.example.com.", "notes.example.com:443"} {
		if doc := f.metadata(t, notes+resourceMetadata+"/mcp", "Host", host); doc["resource"] != notes+"/mcp" {
			t.Errorf("at %s: %v", host, doc["resource"])
		}
	}
}

// Decision 12 instead of a minimal list: clients differ in which one they read.
func TestP8_M10_G1_G2_the_same_scopes_are_listed_in_all_places(t *testing.T) {
	f := newFixture(t)
	resource := texts(f.metadata(t, notes+resourceMetadata+"/mcp")["scopes_supported"])
	server := texts(f.metadata(t, notes+"/.well-known/oauth-authorization-server")["scopes_supported"])
	if want := strings.Fields(allNotesScopes); !slices.Equal(resource, want) || !slices.Equal(server, append(want, "offline_access")) {
		t.Errorf("resource %v, server %v, want %v", resource, server, want)
	}
	if challenge := f.call(t, notes, "", "ping").Header.Get("WWW-Authenticate"); !strings.HasSuffix(challenge, `scope="`+allNotesScopes+`"`) {
		t.Errorf("the challenge is %s", challenge)
	}
}

func TestP8_the_scopes_of_the_configuration_replace_those_of_the_MCP_server(t *testing.T) {
	f := newFixture(t, serving(`[{"host":"notes.example.com","endpoint":"%[1]s","scopes":[{"name":"own","tools":["ping"]}]}]`))
	if got := texts(f.metadata(t, notes+resourceMetadata)["scopes_supported"]); !slices.Equal(got, []string{"own"}) {
		t.Errorf("got %v", got)
	}
}

func TestP9_offline_access_is_only_in_the_metadata_of_the_authorization_server(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"", "/mcp"} {
		if strings.Contains(f.get(t, notes+resourceMetadata+path).body, "offline_access") {
			t.Errorf("it is in the resource metadata of %q", path)
		}
	}
	if strings.Contains(f.call(t, notes, "", "ping").Header.Get("WWW-Authenticate"), "offline_access") {
		t.Error("it is in the challenge")
	}
}

func TestP10_there_is_exactly_one_issuer_and_it_is_that_of_the_metadata(t *testing.T) {
	f := newFixture(t)
	for _, origin := range []string{notes, mail} {
		issuers := texts(f.metadata(t, origin+resourceMetadata+"/mcp")["authorization_servers"])
		if !slices.Equal(issuers, []string{origin}) || f.metadata(t, origin+"/.well-known/oauth-authorization-server")["issuer"] != issuers[0] {
			t.Errorf("at %s: %v", origin, issuers)
		}
	}
}

func TestP11_metadata_is_for_everybody_and_may_be_kept_for_minutes(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{resourceMetadata, resourceMetadata + "/mcp", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/openid/v1/jwks"} {
		for _, headers := range [][]string{{}, {"Authorization", "Bearer nonsense"}, {"Authorization", "Basic !"}, {"Accept", "text/html"}, {"MCP-Protocol-Version", "2025-06-18"}} {
			a := f.get(t, notes+path, append(headers, "Origin", "https://inspector.example")...)
			age := a.Header.Get("Cache-Control")
			if a.StatusCode != http.StatusOK || a.Header.Get("Access-Control-Allow-Origin") != "*" || age != "public, max-age=60" && age != "public, max-age=300" {
				t.Errorf("%s with %v: %s, %v", path, headers, a.Status, a.Header)
			}
		}
	}
}

func TestP11_HEAD_is_answered_like_GET_and_other_methods_are_told_so(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{resourceMetadata, resourceMetadata + "/mcp", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/openid/v1/jwks"} {
		a := f.ask(t, http.MethodHead, notes+path, "")
		if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/json" || a.body != "" {
			t.Errorf("HEAD %s: %s %v", path, a.Status, a.Header)
		}
		a = f.ask(t, http.MethodPost, notes+path, "")
		a.wantJSON(t, http.StatusMethodNotAllowed, "method_not_allowed")
		if allow := a.Header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "HEAD") || strings.Contains(allow, "POST") {
			t.Errorf("POST %s: Allow is %q", path, a.Header.Get("Allow"))
		}
	}
}

func TestP11_metadata_is_there_while_the_MCP_server_is_not(t *testing.T) {
	f := newFixture(t)
	f.upstream.Close()
	for _, path := range []string{resourceMetadata + "/mcp", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/openid/v1/jwks"} {
		f.metadata(t, notes+path)
	}
	if a := f.call(t, notes, "", "ping"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("R7: a call without a token is answered %s", a.Status)
	}
}

func TestP11_P12_every_other_OAuth_document_is_a_JSON_404_of_our_own(t *testing.T) {
	o := notesServer()
	o.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, ".well-known") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"issuer":"https://elsewhere.example"}`))
		return true
	}
	f := newFixture(t, before(o))
	for _, path := range []string{
		"/.well-known/oauth-authorization-server/mcp", "/.well-known/openid-configuration/mcp", "/mcp/.well-known/openid-configuration",
		"/mcp/.well-known/oauth-authorization-server", "/mcp/.well-known/oauth-protected-resource", "/.well-known/oauth-client",
		"/.well-known/openid-federation", "/.well-known/oauth-authorization-server/", "/.well-known/oauth%2Dauthorization-server/x",
		"/.well-known//oauth-authorization-server",
	} {
		a := f.get(t, notes+path, "Origin", "https://inspector.example")
		if path == "/.well-known//oauth-authorization-server" {
			if a.StatusCode == http.StatusOK {
				t.Errorf("%s: %s", path, a.body)
			}
			continue
		}
		a.wantJSON(t, http.StatusNotFound, "not_found")
		if a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: a browser cannot read the 404", path)
		}
	}
	for _, r := range f.upstream.Requests() {
		if strings.Contains(r.URI, "oauth-") || strings.Contains(r.URI, "openid-") {
			t.Errorf("P12: the MCP server was asked for %s", r.URI)
		}
	}
}
