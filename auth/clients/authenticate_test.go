package clients

import (
	"bytes"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
)

func TestAuthenticate(t *testing.T) {
	key := newSigner(t, jwa.EdDSA, "")
	r := newRegistry(t, func(o *Options) {
		o.Configured = []Configured{
			{ID: "public", RedirectURIs: []string{"https://a.example/"}},
			{ID: "secret", Secret: "s3cret", RedirectURIs: []string{"https://a.example/"}},
			{ID: "key", JWKS: keySet(t, key), RedirectURIs: []string{"https://a.example/"}},
		}
	})
	registered := register(t, r, secretBody)
	other := register(t, r, secretBody)
	public := register(t, r, publicBody)
	for name, tc := range map[string]struct {
		presented Credentials
		ok        bool
	}{
		"T2 the secret in the header":                 {Credentials{ID: "secret", Secret: "s3cret", Method: MethodSecretBasic}, true},
		"T2 the secret in the form":                   {Credentials{ID: "secret", Secret: "s3cret", Method: MethodSecretPost}, true},
		"T2 a registered secret in the header":        {Credentials{ID: registered.ClientID, Secret: registered.ClientSecret, Method: MethodSecretBasic}, true},
		"T2 a registered secret in the form":          {Credentials{ID: registered.ClientID, Secret: registered.ClientSecret, Method: MethodSecretPost}, true},
		"T3 a wrong secret":                           {Credentials{ID: "secret", Secret: "s3cre", Method: MethodSecretBasic}, false},
		"T3 an empty secret is not a secret":          {Credentials{ID: "secret", Method: MethodSecretBasic}, false},
		"T3 a confidential client without a secret":   {Credentials{ID: "secret", Method: MethodNone}, false},
		"T3 a registered one without its secret":      {Credentials{ID: registered.ClientID, Method: MethodNone}, false},
		"T3 the secret of another registered client":  {Credentials{ID: registered.ClientID, Secret: other.ClientSecret, Method: MethodSecretBasic}, false},
		"T3 a secret beside the method none":          {Credentials{ID: "secret", Secret: "s3cret", Method: MethodNone}, false},
		"T3 a secret and an assertion":                {Credentials{ID: "secret", Secret: "s3cret", Method: MethodSecretPost, AssertionType: AssertionType, Assertion: "x"}, false},
		"T3 an assertion and a secret":                {Credentials{ID: "key", Secret: "x", Method: MethodPrivateKeyJWT, AssertionType: AssertionType, Assertion: key.sign(t, "key", nil)}, false},
		"T3 an assertion beside the method none":      {Credentials{ID: "public", Method: MethodNone, Assertion: "x"}, false},
		"T3 an unknown method":                        {Credentials{ID: "public", Method: "tls_client_auth"}, false},
		"T3 no method":                                {Credentials{ID: "public"}, false},
		"T4 a public client with nothing":             {Credentials{ID: "public", Method: MethodNone}, true},
		"T4 a public client with an empty secret":     {Credentials{ID: "public", Method: MethodSecretBasic}, true},
		"T4 a registered one with an empty secret":    {Credentials{ID: public.ClientID, Method: MethodSecretBasic}, true},
		"T4 a public client with a secret is refused": {Credentials{ID: "public", Secret: "x", Method: MethodSecretBasic}, false},
		"T4 a public client with an assertion":        {Credentials{ID: "public", Method: MethodPrivateKeyJWT, AssertionType: AssertionType, Assertion: key.sign(t, "public", nil)}, false},
		"C15 the assertion":                           {asserted("key", key.sign(t, "key", nil)), true},
		"C15 none does not do":                        {Credentials{ID: "key", Method: MethodNone}, false},
		"C15 an empty secret does not do":             {Credentials{ID: "key", Method: MethodSecretBasic}, false},
		"C15 another type of assertion":               {Credentials{ID: "key", Method: MethodPrivateKeyJWT, AssertionType: "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", Assertion: key.sign(t, "key", nil)}, false},
		"C15 no assertion":                            {Credentials{ID: "key", Method: MethodPrivateKeyJWT, AssertionType: AssertionType}, false},
		"C15 an assertion of a client with a secret":  {asserted("secret", key.sign(t, "secret", nil)), false},
		"D12 an unknown client":                       {Credentials{ID: "nobody", Method: MethodNone}, false},
		"D12 nobody":                                  {Credentials{Method: MethodNone}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := r.Authenticate(t.Context(), issuer, tc.presented)
			if !tc.ok {
				refusedWith(t, err, InvalidClient)
				return
			}
			if err != nil || c.ID != tc.presented.ID {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}

func TestSecretIsDerivedFromOurs(t *testing.T) {
	reg := register(t, newRegistry(t, nil), secretBody)
	elsewhere := newRegistry(t, func(o *Options) { o.Secret = bytes.Repeat([]byte{9}, 32) })
	if elsewhere.ids.secret(reg.ClientID) == reg.ClientSecret {
		t.Error("D15: the secret does not depend on the server's")
	}
	if bytes.Contains([]byte(reg.ClientID), []byte(reg.ClientSecret)) {
		t.Error("D15: the id holds the secret")
	}
}
