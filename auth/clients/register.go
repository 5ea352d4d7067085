package clients

import (
	"context"
)

const (
	maxRegistration = 64 << 10
	maxRedirects    = 10
)

// A Registration is the answer of RFC 7591 §3.2.1. It says what was kept, and
// leaves out what there is not: clients choke on null and "" (D8).
type Registration struct {
	ClientID                string   `json:"client_id"`
	ClientSecret            string   `json:"client_secret,omitempty"`
	ClientIDIssuedAt        int64    `json:"client_id_issued_at"`
	ClientSecretExpiresAt   *int64   `json:"client_secret_expires_at,omitempty"` // 0, never, where there is a secret
	ClientName              string   `json:"client_name,omitempty"`
	RedirectURIs            []string `json:"redirect_uris"`
	GrantTypes              []string `json:"grant_types"`
	ResponseTypes           []string `json:"response_types"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method"`
	ApplicationType         string   `json:"application_type"`
	Scope                   string   `json:"scope,omitempty"` // repeated, not enforced

	Client *Client `json:"-"`
}

// Register answers a registration request. Nothing is stored: the id it
// returns is the registration, and is the same for the same public client.
func (r *Registry) Register(ctx context.Context, issuer string, body []byte) (*Registration, error) {
	if !r.dynamic {
		return nil, badMetadata("clients cannot register themselves here", nil)
	}
	meta, err := r.readRegistration(body)
	if err != nil {
		return nil, err
	}
	id, err := r.ids.encode(issuer, meta)
	if err != nil {
		return nil, badMetadata("the name and the redirect_uris are too long to be kept together; register fewer or shorter ones", err)
	}
	// A public client that was refused gets the id that was refused again.
	// Saying so here keeps it from registering in circles.
	if err := r.checkRefused(ctx, id); err != nil {
		if err.Code == InvalidClient {
			err.Code = InvalidClientMetadata // a registration cannot be refused otherwise (D6)
		}
		return nil, err
	}
	return r.answer(r.registered(id, meta), meta.Scope), nil
}

func (r *Registry) readRegistration(body []byte) (metadata, error) {
	if len(body) > maxRegistration {
		return metadata{}, badMetadata("the registration is longer than 64 KiB", nil)
	}
	m, err := parseObject(body)
	if err != nil {
		return metadata{}, badMetadata("the body is not one JSON object in which no member appears twice", err)
	}
	meta, err := readMetadata(m)
	if err != nil {
		return metadata{}, badMetadata(err.Error(), nil)
	}
	switch meta.Method {
	case "":
		meta.Method = MethodSecretBasic // D9: the default of RFC 7591 §2
	case MethodNone, MethodSecretBasic, MethodSecretPost:
	case MethodPrivateKeyJWT:
		return metadata{}, badMetadata("private_key_jwt cannot be registered: the keys do not fit a client_id; "+
			"use a client ID metadata document", nil)
	default:
		return metadata{}, badMetadata("token_endpoint_auth_method is not one of none, client_secret_basic, client_secret_post", nil)
	}
	// D11: one bad URI must not cost a client the others.
	kept, cause := r.rules.keep(meta.RedirectURIs, maxRedirects)
	if len(kept) == 0 {
		return metadata{}, &Error{Code: InvalidRedirectURI, Cause: cause, Description: r.rules.describe()}
	}
	meta.RedirectURIs = kept
	return meta, nil
}

func (r *Registry) answer(c *Client, scope string) *Registration {
	reg := &Registration{
		ClientID:                c.ID,
		ClientIDIssuedAt:        r.now().Unix(),
		ClientName:              c.Name,
		RedirectURIs:            c.RedirectURIs,
		GrantTypes:              c.GrantTypes,
		ResponseTypes:           []string{"code"},
		TokenEndpointAuthMethod: c.AuthMethod,
		ApplicationType:         c.ApplicationType,
		Scope:                   scope,
		Client:                  c,
	}
	if c.AuthMethod != MethodNone {
		reg.ClientSecret = r.ids.secret(c.ID)
		reg.ClientSecretExpiresAt = new(int64)
	}
	return reg
}

// registered is the client behind an id, by the redirect rules of today: an
// operator who narrows them means the clients that are already there as well.
func (r *Registry) registered(id string, meta metadata) *Client {
	kept, _ := r.rules.keep(meta.RedirectURIs, maxRedirects)
	c := &Client{
		ID: id, Kind: KindRegistered, Name: meta.Name, RedirectURIs: kept,
		AuthMethod: meta.Method, GrantTypes: meta.Grants, ApplicationType: meta.Type,
	}
	if c.AuthMethod != MethodNone {
		c.secret = sum(r.ids.secret(id))
	}
	return c
}

func badMetadata(description string, cause error) *Error {
	return &Error{Code: InvalidClientMetadata, Description: description, Cause: cause}
}
