package clients

import (
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// A Kind says where the registry knows a client from, and so how far what it
// says of itself can be believed.
type Kind string

const (
	// KindConfigured is a client the operator wrote into the configuration.
	KindConfigured Kind = "configured"
	// KindRegistered is a client that registered itself (RFC 7591).
	KindRegistered Kind = "registered"
	// KindDocument is a client whose id is the https URL of a metadata document.
	KindDocument Kind = "document"
)

// How a client authenticates at the token endpoint.
const (
	MethodNone          = "none"
	MethodSecretBasic   = "client_secret_basic"
	MethodSecretPost    = "client_secret_post"
	MethodPrivateKeyJWT = "private_key_jwt"
)

const (
	grantCode        = "authorization_code"
	grantRefresh     = "refresh_token"
	grantCredentials = "client_credentials"
	grantAssertion   = "urn:ietf:params:oauth:grant-type:jwt-bearer"

	typeNative = "native"
	typeWeb    = "web"
)

// A Client is an MCP client as the registry knows it. It is shared: read it,
// do not change it.
type Client struct {
	ID   string
	Kind Kind
	// Name is what the client calls itself: at most 100 characters, none of
	// them control or bidirectional ones; may be empty.
	Name string
	// RedirectURIs is empty where the operator has narrowed the rules since
	// the client registered; such a client keeps its grants and gets no new ones.
	RedirectURIs    []string
	AuthMethod      string // none | client_secret_basic | client_secret_post | private_key_jwt
	GrantTypes      []string
	ApplicationType string // native | web; decides nothing, legacy clients leave it out (D3)
	Host            string // of a document client: the host of its id

	secret  []byte // SHA-256 of the secret; nil: there is none
	keys    jwk.Set
	keysURI string
}

// Redirect returns where to send the answer for a client that asked for uri:
// uri itself, if it is registered to the letter or differs from a registered
// http loopback URI in nothing but the port (U1, U2). Without a uri it is the
// registered one, if there is exactly one (U6). The refusal must be shown to a
// person, never sent to uri (U7).
func (c *Client) Redirect(uri string) (string, error) {
	if uri == "" {
		if len(c.RedirectURIs) != 1 {
			return "", &Error{Code: InvalidRedirectURI, Description: "redirect_uri is needed: the client has not exactly one"}
		}
		return c.RedirectURIs[0], nil
	}
	if slices.Contains(c.RedirectURIs, uri) {
		return uri, nil
	}
	for _, registered := range c.RedirectURIs {
		if sameButPort(registered, uri) {
			return uri, nil
		}
	}
	return "", &Error{Code: InvalidRedirectURI, Description: "redirect_uri is not one that this client registered"}
}

// May reports whether the client may use a grant type.
func (c *Client) May(grantType string) bool {
	return slices.Contains(c.GrantTypes, grantType)
}
