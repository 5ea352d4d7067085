package clients

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// withoutPort takes the port off a loopback URI, by other means than the code.
func withoutPort(uri string) string {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
		if rest, ok := strings.CutPrefix(uri, host+":"); ok {
			return host + strings.TrimLeft(rest, "0123456789")
		}
	}
	return uri
}

func FuzzRedirect(f *testing.F) {
	for _, asked := range []string{
		"", "https://claude.ai/cb", "http://localhost:5/callback", "http://127.0.0.1:65535/?a", "http://[::1]/", "http://localhost:5@evil.example/",
		"http://localhost:5\\@evil.example/callback", "http://127.0.0.1:/?a", "http://localhost:+5/callback", "http://localhost:5", "//localhost/callback",
	} {
		f.Add(asked, "http://localhost/callback")
		f.Add(asked, asked)
	}
	f.Fuzz(func(t *testing.T, asked, another string) {
		kept, _ := rules{}.keep([]string{"https://claude.ai/cb", "http://127.0.0.1:1/?a", "http://[::1]/", another}, 10)
		c := &Client{RedirectURIs: kept}
		to, err := c.Redirect(asked)
		if err != nil {
			return
		}
		// Whatever is asked, the answer goes where the client registered, but for the port.
		if to != asked {
			t.Errorf("asked for %q, sent to %q", asked, to)
		}
		if !slices.Contains(kept, to) && !slices.ContainsFunc(kept, func(uri string) bool { return withoutPort(uri) == withoutPort(to) }) {
			t.Errorf("%q is none of %q", to, kept)
		}
		if _, err := parseRedirect(to); err != nil {
			t.Errorf("U5: sent to %q: %v", to, err)
		}
	})
}

func FuzzRegister(f *testing.F) {
	for _, body := range []string{
		publicBody, secretBody, `{}`, `null`, `[]`, `{"redirect_uris":["https://a.example/"],"redirect_uris":[]}`,
		`{"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","http://localhost:8787/callback"],"grant_types":["authorization_code"],"application_type":"native"}`,
		`{"redirect_uris":["https://a.example/` + incompressible(700) + `"],"client_name":"\u202e\ud800"}`,
	} {
		f.Add([]byte(body))
	}
	r := newRegistry(f, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		reg, err := r.Register(t.Context(), issuer, body)
		if err != nil {
			return
		}
		// Whatever was registered, its id is short, plain, and that very client.
		looksUp(t, r, reg)
		if len(reg.RedirectURIs) == 0 || len(reg.RedirectURIs) > 10 || reg.Client.May("client_credentials") {
			t.Errorf("registered %+v", reg)
		}
		for _, uri := range reg.RedirectURIs {
			if err := (rules{}).check(uri); err != nil {
				t.Errorf("registered %q: %v", uri, err)
			}
		}
	})
}

func FuzzDocument(f *testing.F) {
	for _, text := range []string{
		`{"client_id":"` + docID + `","client_name":"A","redirect_uris":["https://client.example/cb","javascript:x"]}`,
		`{"client_id":"` + docID + `","client_name":"A","redirect_uris":["http://127.0.0.1/"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://a.example/jwks"}`,
		`{"client_id":"` + docID + `","client_name":"A","redirect_uris":["http://127.0.0.1/"],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}}`,
		`{"client_id":"` + docID + `","client_secret":"x"}`, `{}`, `[`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseDocument(docID, text, rules{})
		if err != nil {
			return
		}
		if m, err := parseObject(text); err != nil || string(m["client_id"]) == "" || c.ID != docID {
			t.Errorf("C3: accepted %q as %q", text, c.ID)
		}
		for _, uri := range c.RedirectURIs {
			if err := (rules{}).check(uri); err != nil {
				t.Errorf("C5: accepted %q: %v", uri, err)
			}
		}
		withKeys := c.keys != nil || c.keysURI != ""
		if len(c.RedirectURIs) == 0 || c.secret != nil || withKeys != (c.AuthMethod == MethodPrivateKeyJWT) || c.May("client_credentials") {
			t.Errorf("C6, C15: accepted %+v", c)
		}
	})
}

func FuzzRegisteredID(f *testing.F) {
	r := newRegistry(f, nil)
	ours := register(f, r, publicBody)
	f.Add(ours.ClientID)
	f.Add(ours.ClientID + "=")
	f.Add(prefix)
	f.Add("https://client.example/c.json")
	f.Add(strings.Repeat("A", 2000))
	r.documented = false // or seeds would be fetched
	f.Fuzz(func(t *testing.T, id string) {
		// Whatever the text, only the one id we made is ever believed.
		c, err := r.Lookup(t.Context(), issuer, id)
		if err == nil && (id != ours.ClientID || !reflect.DeepEqual(c, ours.Client)) {
			t.Errorf("believed %q: %+v", id, c)
		}
	})
}
