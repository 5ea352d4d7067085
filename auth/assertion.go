package auth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/idp"

	"github.com/labstack/echo/v4"
)

// jwtBearer is the grant of RFC 7523 §2.1, here for identity assertions
// (ID-JAG): the organization has decided at its identity provider, so there is
// neither a browser nor a consent page.
const (
	jwtBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	idJAGProfile  = "urn:ietf:params:oauth:grant-profile:id-jag"
	assertionNote = "the assertion is not valid here"
)

// redeemAssertion turns an assertion of a trusted issuer into an access token.
// There is no refresh token: the client gets a new assertion.
func (s *Server) redeemAssertion(c echo.Context, client *clients.Client, form url.Values) (*tokenAnswer, error) {
	ctx := c.Request().Context()
	raw := form.Get("assertion")
	if raw == "" {
		return nil, refusal("invalid_request", "assertion is missing")
	}
	if client.AuthMethod == clients.MethodNone {
		return nil, refusal("unauthorized_client", "a client without credentials may not use this grant_type")
	}
	issuer := idp.FindIssuer(s.Trusted, idp.AssertedIssuer(raw))
	if issuer == nil {
		return nil, refusal("invalid_grant", assertionNote)
	}
	a, err := issuer.Verify(ctx, raw)
	if err == nil {
		err = s.meant(a, client, form["resource"])
	}
	if err != nil {
		return nil, s.assertionRefused(ctx, client, err)
	}
	p := s.provider(issuer.Provider)
	if p == nil {
		return nil, s.assertionRefused(ctx, client, errors.New("its provider is not configured"))
	}
	if err := errors.Join(p.Allow(a.Identity), s.admit(a.Identity)); err != nil {
		return nil, s.assertionRefused(ctx, client, err)
	}
	gr, err := s.assertedGrant(ctx, a, client, form)
	if err != nil {
		return nil, err
	}
	gr, err = s.Grants.Record(ctx, gr, "assertion "+issuer.IssuerURL+" "+a.ID, a.Expiry)
	if err != nil {
		return nil, s.grantRefused(ctx, client, "the assertion", err)
	}
	return s.issue(ctx, audit.TokenIssued, gr, gr.Scopes, "")
}

// meant compares who an assertion is for with who shows it here.
func (s *Server) meant(a idp.Assertion, client *clients.Client, resources []string) error {
	switch {
	case a.Audience != s.issuer():
		return errors.New("it is for another authorization server")
	case a.ClientID != client.ID:
		return errors.New("it is for another client")
	}
	for _, r := range slices.Concat(a.Resource, resources) {
		if _, ok := s.Route.Audience(r); !ok {
			return errors.New("it is for another resource")
		}
	}
	return nil
}

func (s *Server) assertedGrant(ctx context.Context, a idp.Assertion, client *clients.Client, form url.Values) (grants.Grant, error) {
	all := s.Route.Catalogue(ctx).Names()
	if len(all) == 0 {
		all = []string{DefaultScope}
	}
	asserted := slices.DeleteFunc(strings.Fields(a.Scope), func(scope string) bool { return !slices.Contains(all, scope) })
	if a.Scope == "" {
		asserted = all
	}
	scopes, err := narrowed(asserted, form)
	if err != nil {
		return grants.Grant{}, err
	}
	if len(scopes) == 0 {
		return grants.Grant{}, refusal("invalid_scope", "the assertion covers no scope of this server")
	}
	audience, _ := s.Route.Audience(a.Resource[0]) // compared before
	now := s.Now()
	return grants.Grant{
		Issuer: s.issuer(), ClientID: client.ID, ClientName: client.Name, User: userOf(a.Identity), Audience: audience,
		Scopes: scopes, Given: now.Truncate(time.Second), Ends: now.Add(s.AccessTTL).Truncate(time.Second),
	}, nil
}

func (s *Server) assertionRefused(ctx context.Context, client *clients.Client, err error) error {
	if errors.Is(err, idp.ErrUnavailable) {
		return broken("the identity provider", err)
	}
	s.Audit.Record(ctx, audit.SigninRefused, audit.Host(s.Route.Host), audit.Client(client.ID), audit.Cause(err))
	e := refusal("invalid_grant", assertionNote)
	e.Cause = err
	return e
}
