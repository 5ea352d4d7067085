package auth

import (
	"net/http"
	"slices"
	"strconv"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// showAccount lists the connections of the signed-in person at this host.
// Whoever is not signed in is asked to, first.
func (s *Server) showAccount(c echo.Context) error {
	session, err := s.session(c)
	if err != nil {
		return err
	}
	if session == nil {
		return s.signinForAccount(c)
	}
	return s.accountPage(c, session, web.Message{})
}

// signinForAccount begins a sign-in that no client asked for.
func (s *Server) signinForAccount(c echo.Context) error {
	if err := s.limit(c, Authorizations); err != nil {
		return err
	}
	now := s.Now()
	id, secret := newID(now), grants.NewSecret()
	a := grants.Approved{Request: grants.Request{ID: id, Issuer: s.issuer(), Started: now}, Account: true}
	if err := s.Grants.Approve(c.Request().Context(), secret, a); err != nil {
		return broken("the sign-in", err)
	}
	if err := s.Browser.carry(c.Response(), c.Request(), id, carried{Secret: secret}); err != nil {
		return err
	}
	return see(c, "/signin?r="+id)
}

func (s *Server) accountPage(c echo.Context, session *grants.Session, notice web.Message) error {
	u := session.User
	families, err := s.Grants.OfUser(c.Request().Context(), u.Subject, s.issuer())
	if err != nil {
		return broken("the account page", err)
	}
	p := web.Account{Server: s.Route.Name, User: userName(u), Notice: notice}
	p.From, _ = strconv.Atoi(c.QueryParam("from")) // anything else: from the first
	for _, f := range slices.Backward(families) {
		p.Connections = append(p.Connections, web.Connection{
			Grant: f.Grant.ID, Client: f.Grant.ClientName, RedirectHost: clients.RedirectHost(f.Grant.RedirectURI),
			Scopes: f.Grant.Scopes, Given: f.Grant.Given, Used: f.Used, Ends: f.Grant.Ends,
			GivenFrom: f.Grant.From, UsedFrom: f.UsedFrom,
		})
	}
	p.Attempts = s.Attempts.Failed(c.Request().Context(), s.Route.Host, u.Subject)
	if p.Passkeys, err = s.passkeysOn(c, session); err != nil {
		return err
	}
	return s.page(c, http.StatusOK, p)
}

// account ends one connection, all of them, or the session, and adds and
// removes passkeys.
func (s *Server) account(c echo.Context) error {
	form, err := strictForm(c.Request())
	if err != nil {
		return err
	}
	session, err := s.session(c)
	if err != nil {
		return err
	}
	if session == nil {
		return s.signinForAccount(c)
	}
	switch form.Get("action") {
	case "end":
		return s.endConnections(c, session, func(gr grants.Grant) bool { return gr.ID == form.Get("grant") }, web.Say(web.OneEnded))
	case "end-all":
		return s.endConnections(c, session, func(grants.Grant) bool { return true }, web.Say(web.AllEnded))
	case "add-passkey":
		return s.addPasskey(c, session, form)
	case "remove-passkey":
		return s.removePasskey(c, session, form.Get("id"))
	case "sign-in":
		return s.signinForAccount(c)
	case "sign-out":
		return s.signOut(c)
	}
	return refusal("invalid_request", "action is not known")
}

// endConnections ends the matching grants of a user, and forgets what they
// consented to: the client has to ask again.
func (s *Server) endConnections(c echo.Context, session *grants.Session, match func(grants.Grant) bool, notice web.Message) error {
	ctx, u := c.Request().Context(), session.User
	families, err := s.Grants.OfUser(ctx, u.Subject, s.issuer())
	if err != nil {
		return broken("the account page", err)
	}
	for _, f := range families {
		if !match(f.Grant) {
			continue
		}
		if err := s.Grants.Forget(ctx, u.Subject, s.issuer(), f.Grant.ClientID, clients.RedirectHost(f.Grant.RedirectURI)); err != nil {
			return broken("ending the connection", err)
		}
		if err := s.Grants.End(ctx, f.Grant.ID); err != nil {
			return broken("ending the connection", err)
		}
		s.Audit.Record(ctx, audit.GrantEnded, audit.Host(s.Route.Host), audit.Client(f.Grant.ClientID), audit.Subject(u.Subject), audit.Grant(f.Grant.ID), audit.Text("by", "user"))
	}
	return s.accountPage(c, session, notice)
}

func (s *Server) signOut(c echo.Context) error {
	if err := s.Grants.SignOut(c.Request().Context(), s.Browser.session(c.Request())); err != nil {
		return broken("the sign-out", err)
	}
	s.Browser.setSession(c.Response(), "", 0)
	return s.page(c, http.StatusOK, web.SignedOut{})
}
