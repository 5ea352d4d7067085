package clients

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestRegister(t *testing.T) {
	const cb = `"redirect_uris":["https://claude.ai/cb"]`
	for name, tc := range map[string]struct {
		body string
		code string // "": accepted
		want string // members the answer must have, as JSON
	}{
		"D1 a browser client of today": {
			`{"client_name":"Claude",` + cb + `,"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none","application_type":"web","scope":"read  write"}`, "",
			`{"client_name":"Claude","redirect_uris":["https://claude.ai/cb"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none","application_type":"web","scope":"read write","client_id_issued_at":` + fmt.Sprint(noon.Unix()) + `}`},
		"D2 application_type is repeated":                {`{` + cb + `,"application_type":"native"}`, "", `{"application_type":"native"}`},
		"D2 without application_type it is web":          {`{` + cb + `}`, "", `{"application_type":"web"}`},
		"D2 a third application_type is refused":         {`{` + cb + `,"application_type":"tv"}`, InvalidClientMetadata, ""},
		"D3 web with a loopback URI is accepted":         {`{"redirect_uris":["http://localhost:8787/callback"],"application_type":"web"}`, "", `{"redirect_uris":["http://localhost:8787/callback"]}`},
		"D3 no type with a loopback URI is accepted":     {`{"redirect_uris":["http://127.0.0.1/"]}`, "", `{"application_type":"web"}`},
		"D4 unknown metadata is ignored":                 {`{` + cb + `,"software_id":"x","jwks":{"keys":[]},"contacts":["a"],"x":{"y":[1,null]}}`, "", `{}`},
		"D6 no redirect_uris":                            {`{}`, InvalidRedirectURI, ""},
		"D6 an empty list of them":                       {`{"redirect_uris":[]}`, InvalidRedirectURI, ""},
		"D6 only bad ones":                               {`{"redirect_uris":["javascript:alert(1)","http://example.com/"]}`, InvalidRedirectURI, ""},
		"D6 redirect_uris that is no list":               {`{"redirect_uris":"https://claude.ai/cb"}`, InvalidClientMetadata, ""},
		"D6 a number among the redirect_uris":            {`{"redirect_uris":["https://claude.ai/cb",7]}`, InvalidClientMetadata, ""},
		"D6 a null among the redirect_uris":              {`{"redirect_uris":["https://claude.ai/cb",null]}`, InvalidClientMetadata, ""},
		"D6 a name that is no text":                      {`{` + cb + `,"client_name":7}`, InvalidClientMetadata, ""},
		"D6 grant_types that is no list":                 {`{` + cb + `,"grant_types":"authorization_code"}`, InvalidClientMetadata, ""},
		"D6 a method that is no text":                    {`{` + cb + `,"token_endpoint_auth_method":[]}`, InvalidClientMetadata, ""},
		"D6 not JSON":                                    {`redirect_uris=x`, InvalidClientMetadata, ""},
		"D6 nothing":                                     {``, InvalidClientMetadata, ""},
		"D6 null":                                        {`null`, InvalidClientMetadata, ""},
		"D6 a list":                                      {`[{` + cb + `}]`, InvalidClientMetadata, ""},
		"D6 something after the object":                  {`{` + cb + `}{}`, InvalidClientMetadata, ""},
		"D6 a member twice":                              {`{` + cb + `,` + cb + `}`, InvalidClientMetadata, ""},
		"D6 a member twice, once escaped":                {`{` + cb + `,"redirect_\u0075ris":["https://evil.example/"]}`, InvalidClientMetadata, ""},
		"D6 a member twice, deep inside":                 {`{` + cb + `,"x":[{"a":1,"a":2}]}`, InvalidClientMetadata, ""},
		"D6 nested without end":                          {`{` + cb + `,"x":` + strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000) + `}`, InvalidClientMetadata, ""},
		"D6 not UTF-8":                                   {`{` + cb + ",\"client_name\":\"\xff\"}", InvalidClientMetadata, ""},
		"D6 a member in other letter case is unknown":    {`{"Redirect_URIs":["https://claude.ai/cb"]}`, InvalidRedirectURI, ""},
		"D7 a body over 64 KiB":                          {`{` + cb + `,"x":"` + strings.Repeat("a", 64<<10) + `"}`, InvalidClientMetadata, ""},
		"D7 a name is cleaned":                           {`{` + cb + `,"client_name":"  Evil\u202e\u0000\n App\u200b "}`, "", `{"client_name":"Evil App"}`},
		"D7 a name is cut to 100 characters":             {`{` + cb + `,"client_name":"` + strings.Repeat("é", 300) + `"}`, "", `{"client_name":"` + strings.Repeat("é", 100) + `"}`},
		"D7 what does not fit an id is refused":          {`{"redirect_uris":["https://a.example/` + incompressible(1500) + `"]}`, InvalidClientMetadata, ""},
		"D8 null is absent":                              {`{` + cb + `,"grant_types":null,"client_name":null,"scope":null,"token_endpoint_auth_method":null,"application_type":null,"response_types":null}`, "", `{"grant_types":["authorization_code","refresh_token"]}`},
		"D8 a scope outside the grammar is left out":     {`{` + cb + `,"scope":"a\"b"}`, "", `{}`},
		"D9 without a method it is client_secret_basic":  {`{` + cb + `}`, "", `{"token_endpoint_auth_method":"client_secret_basic","client_secret_expires_at":0}`},
		"D9 client_secret_post is kept":                  {`{` + cb + `,"token_endpoint_auth_method":"client_secret_post"}`, "", `{"token_endpoint_auth_method":"client_secret_post","client_secret_expires_at":0}`},
		"D9 none is kept":                                {`{` + cb + `,"token_endpoint_auth_method":"none"}`, "", `{"token_endpoint_auth_method":"none"}`},
		"D9 private_key_jwt does not fit an id":          {`{` + cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[]}}`, InvalidClientMetadata, ""},
		"D9 an unknown method is refused":                {`{` + cb + `,"token_endpoint_auth_method":"tls_client_auth"}`, InvalidClientMetadata, ""},
		"D10 without grant_types refresh_token is added": {`{` + cb + `}`, "", `{"grant_types":["authorization_code","refresh_token"]}`},
		"D10 who names authorization_code gets that":     {`{` + cb + `,"grant_types":["authorization_code"]}`, "", `{"grant_types":["authorization_code"]}`},
		"D10 unknown grant types are ignored":            {`{` + cb + `,"grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:device_code","refresh_token"]}`, "", `{"grant_types":["authorization_code","refresh_token"]}`},
		"D10 client_credentials is not kept":             {`{` + cb + `,"grant_types":["client_credentials","authorization_code"]}`, "", `{"grant_types":["authorization_code"]}`},
		"D10 client_credentials alone is refused":        {`{` + cb + `,"grant_types":["client_credentials"]}`, InvalidClientMetadata, ""},
		"D10 response_types without code is refused":     {`{` + cb + `,"response_types":["token"]}`, InvalidClientMetadata, ""},
		"D11 Cursor's three at once": {
			`{"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","https://www.cursor.com/agents/mcp/oauth/callback","http://localhost:8787/callback"]}`, "",
			`{"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","https://www.cursor.com/agents/mcp/oauth/callback","http://localhost:8787/callback"]}`},
		"D11 bad ones are left out and the rest listed": {`{"redirect_uris":["myapp://cb","https://claude.ai/cb","http://example.com/","https://claude.ai/cb"]}`, "", `{"redirect_uris":["https://claude.ai/cb"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t, nil)
			reg, err := r.Register(t.Context(), issuer, []byte(tc.body))
			if tc.code != "" {
				refusedWith(t, err, tc.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			holds(t, mustJSON(t, reg), tc.want)
			looksUp(t, r, reg)
		})
	}
}

// incompressible returns letters that deflate makes no shorter than a third.
func incompressible(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; x = x*1664525 + 1013904223 {
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"[x>>26])
	}
	return b.String()
}

// holds checks the members that are wanted, and that no member is null or "" (D8).
func holds(t *testing.T, answer []byte, want string) {
	t.Helper()
	var got, wanted map[string]any
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	for name, value := range wanted {
		if !reflect.DeepEqual(got[name], value) {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
	for name, value := range got {
		if value == nil || value == "" {
			t.Errorf("D8: %s is %#v", name, value)
		}
	}
	for _, name := range []string{"registration_access_token", "registration_client_uri"} {
		if _, ok := got[name]; ok {
			t.Errorf("D13: %s is there", name)
		}
	}
}

// looksUp checks what holds for every registration.
func looksUp(t *testing.T, r *Registry, reg *Registration) {
	t.Helper()
	if len(reg.ClientID) > 1024 || strings.HasPrefix(reg.ClientID, "https://") || !unreserved(reg.ClientID) {
		t.Errorf("C16, T2: the id is %q", reg.ClientID)
	}
	if (reg.ClientSecret != "") != (reg.TokenEndpointAuthMethod != MethodNone) || !unreserved(reg.ClientSecret) {
		t.Errorf("D9, T2: the secret of a client with %s is %q", reg.TokenEndpointAuthMethod, reg.ClientSecret)
	}
	c, err := r.Lookup(t.Context(), issuer, reg.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, reg.Client) {
		t.Errorf("looked up %+v, registered %+v", c, reg.Client)
	}
}

func unreserved(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._~", r) })
}

func TestRegisterKeepsTenRedirectURIs(t *testing.T) {
	var uris []string
	for i := range 15 {
		uris = append(uris, fmt.Sprintf("https://host%d.example.com/oauth/callback", i))
	}
	r := newRegistry(t, nil)
	reg, err := r.Register(t.Context(), issuer, mustJSON(t, map[string]any{"redirect_uris": uris}))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(reg.RedirectURIs, uris[:10]) {
		t.Errorf("D11: kept %q", reg.RedirectURIs)
	}
	looksUp(t, r, reg)
}

func TestRegisterFollowsTheOperatorsList(t *testing.T) {
	open, narrow := newRegistry(t, nil), newRegistry(t, func(o *Options) {
		o.AllowedRedirectURLs = anchored(`https://claude\.ai/.*`)
	})
	body := []byte(`{"redirect_uris":["https://other.example/cb"],"token_endpoint_auth_method":"none"}`)
	reg, err := open.Register(t.Context(), issuer, body)
	if err != nil {
		t.Fatal(err)
	}
	_, err = narrow.Register(t.Context(), issuer, body)
	refusedWith(t, err, InvalidRedirectURI)

	// U5: registered before the list was narrowed. Its grants go on; there is
	// no way back to it for a new one.
	c, err := narrow.Lookup(t.Context(), issuer, reg.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Redirect("https://other.example/cb")
	refusedWith(t, err, InvalidRedirectURI)
}

func TestRegisterCanBeTurnedOff(t *testing.T) {
	on, off := newRegistry(t, nil), newRegistry(t, func(o *Options) { o.Dynamic = false })
	body := []byte(`{"redirect_uris":["https://claude.ai/cb"]}`)
	_, err := off.Register(t.Context(), issuer, body)
	refusedWith(t, err, InvalidClientMetadata)
	reg, err := on.Register(t.Context(), issuer, body)
	if err != nil {
		t.Fatal(err)
	}
	_, err = off.Lookup(t.Context(), issuer, reg.ClientID)
	refusedWith(t, err, InvalidClient)
}
