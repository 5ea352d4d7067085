package clients

import (
	"strings"
	"testing"
)

func TestDocumentURL(t *testing.T) {
	for name, tc := range map[string]struct {
		id string
		ok bool
	}{
		"C2 https with a path":           {"https://claude.ai/oauth/claude-code-client-metadata", true},
		"C2 the root is a path":          {"https://client.example/", true},
		"C2 a port may be there":         {"https://client.example:8443/c.json", true},
		"C2 a query may be there":        {"https://client.example/c?v=1", true},
		"C2 http":                        {"http://client.example/c", false},
		"C2 http on localhost":           {"http://localhost/c", false},
		"C2 HTTPS in capitals":           {"HTTPS://client.example/c", false},
		"C2 no path":                     {"https://client.example", false},
		"C2 no path before a query":      {"https://client.example?x=/c", false},
		"C2 no host":                     {"https:///c", false},
		"C2 a dot segment":               {"https://client.example/a/./c", false},
		"C2 a double-dot segment":        {"https://client.example/a/../c", false},
		"C2 a double-dot at the end":     {"https://client.example/a/..", false},
		"C2 an encoded dot segment":      {"https://client.example/a/%2e%2E/c", false},
		"C2 dots inside a name are fine": {"https://client.example/.well-known/a..b", true},
		"C2 a fragment":                  {"https://client.example/c#x", false},
		"C2 an empty fragment":           {"https://client.example/c#", false},
		"C2 userinfo":                    {"https://u:p@client.example/c", false},
		"C2 empty userinfo":              {"https://@client.example/c", false},
		"C2 a backslash":                 {`https://client.example\@evil.example/c`, false},
		"C2 a space":                     {"https://client.example/c d", false},
		"C2 a line break":                {"https://client.example/c\r\nX: y", false},
		"C2 letters beyond ASCII":        {"https://clіent.example/c", false},
		"C2 a trailing dot in the host":  {"https://client.example./c", false},
		"C2 a port that is none":         {"https://client.example:0/c", false},
		"C2 longer than 1024":            {"https://client.example/" + strings.Repeat("c", 1024), false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseDocumentURL(tc.id); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

const docID = "https://Client.example:8443/c.json"

func TestDocument(t *testing.T) {
	const (
		head = `{"client_id":"` + docID + `","client_name":"A client",`
		cb   = `"redirect_uris":["https://client.example/cb"]`
		key  = `{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	)
	for name, tc := range map[string]struct {
		text string
		ok   func(*Client) bool // nil: not a client
	}{
		"C3 the exact client_id": {head + cb + `}`, func(c *Client) bool {
			return c.ID == docID && c.Kind == KindDocument && c.Name == "A client" && c.AuthMethod == MethodNone
		}},
		"C3 a client_id in other letter case":      {`{"client_id":"https://client.example:8443/c.json","client_name":"A",` + cb + `}`, nil},
		"C3 a client_id with a slash more":         {`{"client_id":"` + docID + `/","client_name":"A",` + cb + `}`, nil},
		"C3 a client_id that is no text":           {`{"client_id":7,"client_name":"A",` + cb + `}`, nil},
		"C4 no client_id":                          {`{"client_name":"A",` + cb + `}`, nil},
		"C4 no client_name":                        {`{"client_id":"` + docID + `",` + cb + `}`, nil},
		"C4 no redirect_uris":                      {`{"client_id":"` + docID + `","client_name":"A"}`, nil},
		"C4 not JSON":                              {`<html>`, nil},
		"C4 a list":                                {`[]`, nil},
		"C4 a member twice":                        {head + cb + `,` + cb + `}`, nil},
		"C4 something after it":                    {head + cb + `} x`, nil},
		"C5 unacceptable URIs are left out":        {head + `"redirect_uris":["javascript:x","https://client.example/cb"]}`, func(c *Client) bool { return len(c.RedirectURIs) == 1 }},
		"C5 only unacceptable URIs":                {head + `"redirect_uris":["http://client.example/cb"]}`, nil},
		"C6 a client_secret":                       {head + cb + `,"client_secret":"x"}`, nil},
		"C6 an empty client_secret":                {head + cb + `,"client_secret":null}`, nil},
		"C6 a client_secret_expires_at":            {head + cb + `,"client_secret_expires_at":0}`, nil},
		"C6 client_secret_basic":                   {head + cb + `,"token_endpoint_auth_method":"client_secret_basic"}`, nil},
		"C6 client_secret_post":                    {head + cb + `,"token_endpoint_auth_method":"client_secret_post"}`, nil},
		"C6 client_secret_jwt":                     {head + cb + `,"token_endpoint_auth_method":"client_secret_jwt"}`, nil},
		"C6 an unknown method":                     {head + cb + `,"token_endpoint_auth_method":"tls_client_auth"}`, nil},
		"C6 none":                                  {head + cb + `,"token_endpoint_auth_method":"none"}`, func(c *Client) bool { return c.AuthMethod == MethodNone }},
		"C13 the host that is shown":               {head + cb + `}`, func(c *Client) bool { return c.Host == "client.example" }},
		"C15 private_key_jwt with jwks":            {head + cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + key + `]}}`, func(c *Client) bool { return c.AuthMethod == MethodPrivateKeyJWT && c.keys.Len() == 1 }},
		"C15 private_key_jwt with jwks_uri":        {head + cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://client.example/jwks"}`, func(c *Client) bool { return c.keysURI != "" }},
		"C15 none beside it does not weaken it":    {head + cb + `,"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["none"],"jwks":{"keys":[` + key + `]}}`, func(c *Client) bool { return c.AuthMethod == MethodPrivateKeyJWT }},
		"C15 private_key_jwt without keys":         {head + cb + `,"token_endpoint_auth_method":"private_key_jwt"}`, nil},
		"C15 private_key_jwt with both":            {head + cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://client.example/jwks","jwks":{"keys":[` + key + `]}}`, nil},
		"C15 a private key in jwks":                {head + cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + strings.Replace(key, `{`, `{"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",`, 1) + `]}}`, nil},
		"C15 a symmetric key in jwks":              {head + cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + key + `,{"kty":"oct","k":"AAAA"}]}}`, nil},
		"C15 only unknown keys in jwks":            {head + cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"AKP"}]}}`, nil},
		"C15 jwks that is no object":               {head + cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks":[]}`, nil},
		"C12 jwks_uri over http":                   {head + cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://client.example/jwks"}`, nil},
		"C12 jwks_uri with userinfo":               {head + cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://a@client.example/jwks"}`, nil},
		"C19 unknown grant types are ignored":      {head + cb + `,"grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:device_code","client_credentials"]}`, func(c *Client) bool { return c.May("authorization_code") && len(c.GrantTypes) == 1 }},
		"C19 without grant_types it may refresh":   {head + cb + `}`, func(c *Client) bool { return c.May("refresh_token") }},
		"C19 grant types without a code":           {head + cb + `,"grant_types":["client_credentials"]}`, nil},
		"C19 portless loopback, an ephemeral port": {head + `"redirect_uris":["http://localhost/callback","http://127.0.0.1/callback"]}`, func(c *Client) bool { _, err := c.Redirect("http://127.0.0.1:54321/callback"); return err == nil }},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parseDocument(docID, []byte(tc.text), rules{})
			if tc.ok == nil {
				if err == nil {
					t.Fatalf("accepted %+v", c)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !tc.ok(c) {
				t.Errorf("got %+v", c)
			}
		})
	}
}
