package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// beginSignin sends the browser to the one identity provider there is, or to
// the page on which a person signs in or chooses.
func (s *Server) beginSignin(c echo.Context, id, secret string, a grants.Approved) error {
	if len(s.Providers) == 1 && s.Providers[0].Flow != nil {
		return s.toProvider(c, s.Providers[0], id, secret, a)
	}
	return see(c, "/signin?r="+id)
}

// lost answers a browser whose approved request is gone.
func (s *Server) lost(err error) error {
	if errors.Is(err, grants.ErrInvalid) {
		return stale(err)
	}
	return broken("the sign-in", err)
}

// approved reads the approved request that the browser carries under id.
func (s *Server) approved(c echo.Context, id string) (string, grants.Approved, error) {
	belongs(c, id)
	what, err := s.Browser.carries(c.Request(), id)
	if err != nil {
		return "", grants.Approved{}, stale(err)
	}
	if what.Secret == "" {
		return "", grants.Approved{}, stale(errors.New("the request was not approved"))
	}
	a, err := s.Grants.Approved(c.Request().Context(), what.Secret)
	if err != nil {
		return "", grants.Approved{}, s.lost(err)
	}
	if a.Request.Issuer != s.issuer() {
		return "", grants.Approved{}, stale(errors.New("the request began at another host"))
	}
	return what.Secret, a, nil
}

// showSignin is the local sign-in, or the choice between providers.
func (s *Server) showSignin(c echo.Context) error {
	id := c.QueryParam("r")
	_, a, err := s.approved(c, id)
	if err != nil {
		return err
	}
	provider := s.provider(c.QueryParam("provider"))
	if provider == nil && len(s.Providers) == 1 {
		provider = s.Providers[0]
	}
	if provider == nil || provider.Local == nil { // only a form leads to a provider
		return s.page(c, http.StatusOK, web.Choose{
			Server: s.Route.Name, Client: s.clientName(c.Request().Context(), a), Request: id, Choices: s.choices(nil),
		})
	}
	return s.signinForm(c, http.StatusOK, id, a, provider, "", web.Message{})
}

func (s *Server) provider(id string) *idp.Provider {
	i := slices.IndexFunc(s.Providers, func(p *idp.Provider) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return s.Providers[i]
}

func (s *Server) choices(without *idp.Provider) []web.Choice {
	var out []web.Choice
	for _, p := range s.Providers {
		if p != without {
			out = append(out, web.Choice{ID: p.ID, Name: p.Name})
		}
	}
	return out
}

// clientName is what the sign-in pages call the client: a claim.
func (s *Server) clientName(ctx context.Context, a grants.Approved) string {
	if a.Account {
		return ""
	}
	client, err := s.Clients.Lookup(ctx, s.issuer(), a.Request.ClientID)
	if err != nil {
		return ""
	}
	return client.Name
}

// signin takes a choice of provider, or what the local sign-in asks for.
func (s *Server) signin(c echo.Context) error {
	form, err := strictForm(c.Request())
	if err != nil {
		return err
	}
	id := form.Get("r")
	secret, a, err := s.approved(c, id)
	if err != nil {
		return err
	}
	if form.Has("provider") {
		return s.chosen(c, s.provider(form.Get("provider")), id, secret, a)
	}
	i := slices.IndexFunc(s.Providers, func(p *idp.Provider) bool { return p.Local != nil })
	if i < 0 {
		return refusal("invalid_request", "there is no local sign-in here")
	}
	return s.localSignin(c, s.Providers[i], form, id, secret, a)
}

func (s *Server) chosen(c echo.Context, p *idp.Provider, id, secret string, a grants.Approved) error {
	if p == nil {
		return refusal("invalid_request", "there is no such identity provider here")
	}
	if p.Local != nil {
		return see(c, "/signin?r="+id+"&provider="+url.QueryEscape(p.ID))
	}
	return s.toProvider(c, p, id, secret, a)
}

// retry is where a person signs in again for the same request.
func (s *Server) retry(id string) string { return "/signin?r=" + id }

// refused records a sign-in that was ended by somebody else than us.
func (s *Server) refused(c echo.Context, p *idp.Provider, result Signin, account string, err error) {
	s.Meter.Signin(p.ID, result)
	s.Audit.Record(c.Request().Context(), audit.SigninRefused, audit.Host(s.Route.Host), audit.Text("provider", p.ID),
		audit.Text("account", account), audit.Text("address", c.RealIP()), audit.Cause(err))
}
