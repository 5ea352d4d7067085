package auth

import (
	"errors"
	"net/http"

	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/grants"

	"github.com/labstack/echo/v4"
)

// revoke is RFC 7009. A token of another client, or none at all, is answered
// like one that was ended: who asks learns nothing.
func (s *Server) revoke(c echo.Context) error {
	noStore(c)
	form, client, err := s.programForm(c)
	if err != nil {
		return err
	}
	raw := form.Get("token")
	if raw == "" {
		return refusal("invalid_request", "token is missing")
	}
	ctx := c.Request().Context()
	id := ""
	f, err := s.Grants.Family(ctx, grants.RefreshUse{Token: raw, Issuer: s.issuer(), ClientID: client.ID})
	switch {
	case err == nil:
		id = f.Grant.ID
	case !errors.Is(err, grants.ErrInvalid):
		return broken("the revocation", err)
	default:
		t, err := s.Verify(ctx, raw)
		if errors.Is(err, access.ErrUnavailable) { // what was not ended must not be called ended
			return broken("the revocation", err)
		}
		if err == nil && t.ClientID == client.ID {
			id = t.Grant
		}
	}
	if id != "" {
		if err := s.Grants.End(ctx, id); err != nil {
			return broken("the revocation", err)
		}
		s.Audit.Record(ctx, audit.GrantEnded, audit.Host(s.Route.Host), audit.Client(client.ID), audit.Grant(id), audit.Text("by", "client"))
	}
	return c.NoContent(http.StatusOK)
}
