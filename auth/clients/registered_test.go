package clients

import (
	"bytes"
	"strings"
	"testing"
)

const (
	publicBody = `{"client_name":"Claude Code","redirect_uris":["http://localhost/callback","http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}`
	secretBody = `{"client_name":"Web","redirect_uris":["https://claude.ai/cb"]}`
)

func register(t testing.TB, r *Registry, body string) *Registration {
	t.Helper()
	reg, err := r.Register(t.Context(), issuer, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestPublicClientThatRegistersAgainIsTheSame(t *testing.T) {
	r := newRegistry(t, nil)
	first := register(t, r, publicBody)
	for range 5 {
		register(t, r, secretBody) // also leaves its traces in the reused compressor
		if again := register(t, r, publicBody); again.ClientID != first.ClientID {
			t.Fatalf("D15: %s, then %s", first.ClientID, again.ClientID)
		}
	}
	if other := register(t, r, strings.Replace(publicBody, "Code", "Cold", 1)); other.ClientID == first.ClientID {
		t.Error("two different clients have one id")
	}
}

func TestClientsWithSecretsAreNeverTheSame(t *testing.T) {
	r := newRegistry(t, nil)
	one, two := register(t, r, secretBody), register(t, r, secretBody)
	if one.ClientID == two.ClientID || one.ClientSecret == two.ClientSecret {
		t.Errorf("D15: %+v and %+v", one, two)
	}
}

func TestRegisteredClientOutlivesARestart(t *testing.T) {
	reg := register(t, newRegistry(t, nil), secretBody)
	after := newRegistry(t, nil)
	c, err := after.Authenticate(t.Context(), issuer, Credentials{ID: reg.ClientID, Secret: reg.ClientSecret, Method: MethodSecretBasic})
	if err != nil || c.Name != "Web" {
		t.Errorf("D12: %+v, %v", c, err)
	}
}

// An id of the first release must be read by all that follow.
func TestRegisteredIDFormatStays(t *testing.T) {
	const made = "r1.cXc3jcYul6h-FeyVN3dwe8IbbMgmYvESImXA5bDYwAUIAAD__w"
	c, err := newRegistry(t, nil).Lookup(t.Context(), issuer, made)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "Claude Code" || len(c.RedirectURIs) != 2 || c.AuthMethod != MethodNone || !c.May("refresh_token") {
		t.Errorf("read as %+v", c)
	}
}

func TestForeignIDsAreUnknown(t *testing.T) {
	r := newRegistry(t, nil)
	id := register(t, r, publicBody).ClientID
	elsewhere := newRegistry(t, func(o *Options) { o.Secret = bytes.Repeat([]byte{8}, 32) })
	for name, tc := range map[string]struct {
		registry   *Registry
		issuer, id string
	}{
		"D12 nothing":                              {r, issuer, ""},
		"D12 the constant id of old":               {r, issuer, "mcp-oauth2-proxy"},
		"D14 an id of another issuer":              {r, "https://mail.example.com", id},
		"D14 an issuer that ends in a slash":       {r, issuer + "/", id},
		"D15 an id made with another secret":       {elsewhere, issuer, id},
		"D15 the prefix alone":                     {r, issuer, prefix},
		"D15 a tag without a body":                 {r, issuer, prefix + strings.Repeat("A", 22)},
		"D15 a line break inside":                  {r, issuer, id[:20] + "\n" + id[20:]},
		"D15 a line break after":                   {r, issuer, id + "\r\n"},
		"D15 padding":                              {r, issuer, id + "="},
		"D15 one character more":                   {r, issuer, id + "A"},
		"D15 one character less":                   {r, issuer, id[:len(id)-1]},
		"D15 another prefix":                       {r, issuer, "r2." + strings.TrimPrefix(id, prefix)},
		"D15 longer than any":                      {r, issuer, prefix + strings.Repeat("A", 1<<20)},
		"C16 the id as a URL":                      {r, issuer, "http://" + id},
		"D15 the other base64 alphabet is another": {r, issuer, strings.NewReplacer("-", "+", "_", "/").Replace(id) + "+"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tc.registry.Lookup(t.Context(), tc.issuer, tc.id)
			refusedWith(t, err, InvalidClient)
		})
	}
}

func TestEveryCharacterOfAnIDCounts(t *testing.T) {
	r := newRegistry(t, nil)
	id := register(t, r, publicBody).ClientID
	for i := range id {
		for _, c := range []byte("Ab0_-.") {
			if other := id[:i] + string(c) + id[i+1:]; other != id {
				if _, err := r.Lookup(t.Context(), issuer, other); err == nil {
					t.Fatalf("D15: believed %q beside %q", other, id)
				}
			}
		}
	}
}

func TestIDsAreShort(t *testing.T) {
	r := newRegistry(t, nil)
	if id := register(t, r, publicBody).ClientID; len(id) > 200 {
		t.Errorf("an id of %d characters travels in every access token: %s", len(id), id)
	}
}

func TestInflatingIsBounded(t *testing.T) {
	s, err := newIDs(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	bomb, err := s.deflate(sealed{Name: strings.Repeat("a", 10<<20)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.inflate(bomb); err == nil {
		t.Error("inflated ten megabytes")
	}
}

func TestSecretMustBeLong(t *testing.T) {
	if _, err := newIDs(make([]byte, 31)); err == nil {
		t.Error("31 bytes were enough")
	}
}

func BenchmarkLookupRegistered(b *testing.B) {
	r := newRegistry(b, nil)
	id := register(b, r, publicBody).ClientID
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Lookup(b.Context(), issuer, id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRegister(b *testing.B) {
	r := newRegistry(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		register(b, r, publicBody)
	}
}
