package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Configured is a client as the operator writes it down.
type Configured struct {
	ID, Secret, Name         string
	RedirectURIs, GrantTypes []string
	AuthMethod               string          // default: by what there is, a secret, keys or nothing
	JWKS                     json.RawMessage // for private_key_jwt
}

// client checks a configured client. Its redirect URIs are the operator's
// word, so any private scheme will do and allowedRedirectURLs does not apply;
// what can never be a redirect still cannot.
func (c Configured) client() (*Client, error) {
	if c.ID == "" || len(c.ID) > maxID || strings.ContainsFunc(c.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("clientID: want 1 to %d visible ASCII characters", maxID)
	}
	client := &Client{
		ID: c.ID, Kind: KindConfigured, Name: cleanName(c.Name), RedirectURIs: slices.Clone(c.RedirectURIs),
		AuthMethod: c.AuthMethod, GrantTypes: slices.Clone(c.GrantTypes), ApplicationType: typeWeb,
	}
	for i, uri := range c.RedirectURIs {
		if _, err := parseRedirect(uri); err != nil {
			return nil, fmt.Errorf("redirectURIs[%d]: %w", i, err)
		}
	}
	if err := c.authentication(client); err != nil {
		return nil, err
	}
	return client, c.grants(client)
}

func (c Configured) authentication(client *Client) (err error) {
	if client.AuthMethod == "" {
		client.AuthMethod = c.method()
	}
	switch client.AuthMethod {
	case MethodNone:
		if c.Secret != "" || len(c.JWKS) > 0 {
			return errors.New("method none goes with neither a secret nor keys")
		}
	case MethodSecretBasic, MethodSecretPost:
		if c.Secret == "" || len(c.JWKS) > 0 {
			return fmt.Errorf("method %s needs clientSecret and no keys", client.AuthMethod)
		}
		client.secret = sum(c.Secret)
	case MethodPrivateKeyJWT:
		if c.Secret != "" {
			return errors.New("method private_key_jwt goes without clientSecret")
		}
		client.keys, err = parseKeys(c.JWKS)
		return err
	default:
		return fmt.Errorf("%q is not an authentication method", client.AuthMethod)
	}
	return nil
}

func (c Configured) method() string {
	switch {
	case c.Secret != "":
		return MethodSecretBasic
	case len(c.JWKS) > 0:
		return MethodPrivateKeyJWT
	}
	return MethodNone
}

// grants defaults to what an interactive client needs. Those that work without
// a person are for clients that can prove who they are.
func (c Configured) grants(client *Client) error {
	if len(client.GrantTypes) == 0 {
		client.GrantTypes = []string{grantCode, grantRefresh}
	}
	for i, grant := range client.GrantTypes {
		switch grant {
		case grantCode, grantRefresh:
		case grantCredentials, grantAssertion:
			if client.AuthMethod == MethodNone {
				return fmt.Errorf("grants[%d]: %s needs a client with a secret or keys", i, grant)
			}
		default:
			return fmt.Errorf("grants[%d]: %q is not a grant type", i, grant)
		}
	}
	if client.May(grantCode) && len(client.RedirectURIs) == 0 {
		return errors.New("redirectURIs: authorization_code needs at least one")
	}
	return nil
}
