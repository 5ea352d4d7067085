package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/access"
)

const (
	serverMetadata = "/.well-known/oauth-authorization-server"
	openIDMetadata = "/.well-known/openid-configuration"
	keySet         = "/openid/v1/jwks"
)

func TestM1_M2_the_issuer_is_the_configured_origin_whatever_the_request_says(t *testing.T) {
	f := newFixture(t)
	for _, headers := range [][]string{
		{}, {"Host", "NOTES.EXAMPLE.COM"}, {"Host", "notes.example.com:443"}, {"Host", "notes.example.com."},
		{"X-Forwarded-Proto", "http"}, {"X-Forwarded-Host", "evil.example"}, {"Forwarded", "host=evil.example;proto=http"},
		{"X-Forwarded-Port", "8443"}, {"X-Original-URL", "/evil"},
	} {
		for _, path := range []string{serverMetadata, openIDMetadata} {
			doc := f.metadata(t, notes+path, headers...)
			if doc["issuer"] != notes {
				t.Errorf("%s with %v: %v", path, headers, doc["issuer"])
			}
			for name, v := range doc {
				if address, ok := v.(string); ok && address != notes && !strings.HasPrefix(address, notes+"/") {
					t.Errorf("%s with %v: %s is %s", path, headers, name, address)
				}
			}
		}
	}
	u, err := url.Parse(notes)
	if err != nil || u.Scheme != "https" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		t.Errorf("M2: %s", notes)
	}
}

func TestM3_M5_M6_M7_M9_the_metadata_says_exactly_what_is_implemented(t *testing.T) {
	f := newFixture(t)
	wantSame(t, f.metadata(t, notes+serverMetadata), golden(t, "authorization-server.json"))
}

// The document is served in full; no ID tokens are issued, so openid is not
// among the scopes.
func TestM4_M8_the_OpenID_document_is_the_same_with_what_OpenID_requires(t *testing.T) {
	f := newFixture(t)
	want := golden(t, "authorization-server.json")
	want["subject_types_supported"] = []any{"public"}
	want["id_token_signing_alg_values_supported"] = []any{"RS256"}
	got := f.metadata(t, notes+openIDMetadata)
	wantSame(t, got, want)
	if slices.Contains(texts(got["scopes_supported"]), "openid") || !slices.Equal(texts(got["code_challenge_methods_supported"]), []string{"S256"}) {
		t.Errorf("got %v", got)
	}
}

func TestM_what_is_switched_off_is_not_advertised(t *testing.T) {
	f := newFixture(t, with("PROXY_REGISTRATION_DYNAMIC", "false"), with("PROXY_REGISTRATION_METADATADOCUMENTS", "false"))
	doc := f.metadata(t, notes+serverMetadata)
	if doc["registration_endpoint"] != nil || doc["client_id_metadata_document_supported"] != false {
		t.Errorf("got %v", doc)
	}
	f.register(t, notes, nil).wantJSON(t, http.StatusNotFound, "not_found")
	a := f.get(t, notes+"/authorize?"+(&client{id: "https://client.example/doc", origin: notes, redirect: claude}).params().Encode())
	a.wantPage(t, http.StatusBadRequest, "not known here")
}

func TestM_client_credentials_are_advertised_where_a_client_may_use_them(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	doc := f.metadata(t, notes+serverMetadata)
	if got := texts(doc["grant_types_supported"]); !slices.Equal(got, []string{"authorization_code", "refresh_token", "client_credentials"}) {
		t.Errorf("got %v", got)
	}
}

func TestM_every_endpoint_that_is_advertised_answers(t *testing.T) {
	f := newFixture(t)
	doc := f.metadata(t, notes+serverMetadata)
	for name, want := range map[string]int{
		"authorization_endpoint": http.StatusBadRequest, "token_endpoint": http.StatusMethodNotAllowed, "registration_endpoint": http.StatusMethodNotAllowed,
		"revocation_endpoint": http.StatusMethodNotAllowed, "jwks_uri": http.StatusOK,
	} {
		address, _ := doc[name].(string)
		if a := f.get(t, address); a.StatusCode != want {
			t.Errorf("%s: GET %s is answered %s, want %d", name, address, a.Status, want)
		}
	}
}

func TestT18_the_key_set_has_public_members_only_and_every_key_that_may_have_signed(t *testing.T) {
	for _, algorithm := range []string{"ES256", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			f := newFixture(t, with("TOKEN_ALGORITHM", algorithm))
			_, old := f.connected(t, "notes:read")
			if err := f.ring.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, tok := f.connected(t, "notes:read")
			a := f.get(t, notes+keySet)
			if a.Header.Get("Cache-Control") != "public, max-age=300" || a.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%v", a.Header)
			}
			keys := map[string]map[string]any{}
			for _, k := range decoded(t, a.body)["keys"].([]any) {
				key := k.(map[string]any)
				for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
					if key[private] != nil {
						t.Errorf("%s is in the key set", private)
					}
				}
				keys[key["kid"].(string)] = key
			}
			for _, token := range []string{old.access, tok.access} {
				h := header(t, token)
				key := keys[h["kid"].(string)]
				if h["typ"] != access.Type || h["alg"] != algorithm || key["alg"] != algorithm || key["use"] != "sig" {
					t.Errorf("header %v, key %v", h, key)
				}
				if a := f.call(t, notes, token, "read_note"); a.StatusCode != http.StatusOK {
					t.Errorf("R5: %s", a.Status)
				}
			}
			if header(t, old.access)["kid"] == header(t, tok.access)["kid"] {
				t.Error("the key did not rotate")
			}
		})
	}
}

func TestT18_the_next_key_is_published_before_it_signs(t *testing.T) {
	// By the real clock, as the rotation waits by it: a key signs for a second,
	// and is published a quarter of that before.
	f := newFixture(t, with("TOKEN_KEYROTATION", "1s"), with("TOKEN_ACCESSTTL", "10s"), func(s *setup) { s.clock = nil })
	published := map[string]time.Time{}
	signed := map[string]bool{}
	for began := time.Now(); time.Since(began) < 2500*time.Millisecond; time.Sleep(10 * time.Millisecond) {
		raw, err := f.ring.Sign(t.Context(), []byte(`{}`), access.Type)
		if err != nil {
			t.Fatal(err)
		}
		kid := header(t, string(raw))["kid"].(string)
		if since, ok := published[kid]; !signed[kid] && len(signed) > 0 && (!ok || time.Since(since) < 100*time.Millisecond) {
			t.Errorf("key %d signs %v after it was published", len(signed)+1, time.Since(since))
		}
		signed[kid] = true
		for _, k := range decoded(t, f.get(t, notes+keySet).body)["keys"].([]any) {
			kid := k.(map[string]any)["kid"].(string)
			if _, ok := published[kid]; !ok {
				published[kid] = time.Now()
			}
		}
	}
	if len(signed) < 3 {
		t.Errorf("%d keys have signed", len(signed))
	}
	for kid := range signed {
		if _, ok := published[kid]; !ok || !strings.Contains(f.get(t, notes+keySet).body, kid) {
			t.Errorf("key %s is not published for as long as its tokens last", kid)
		}
	}
}

func TestT18_keys_are_the_same_at_every_host_but_their_tokens_are_not(t *testing.T) {
	f := newFixture(t)
	if a, b := f.get(t, notes+keySet).body, f.get(t, mail+keySet).body; a != b {
		t.Errorf("%s and %s", a, b)
	}
}
