package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// welcome lets a person in who has proven who they are, if they may enter, and
// finishes the request. The session is a new one each time: none is fixed
// beforehand.
func (s *Server) welcome(c echo.Context, p *idp.Provider, who idp.Identity, id, secret string) error {
	ctx := c.Request().Context()
	u := userOf(who)
	if err := s.mayEnter(u); err != nil {
		return s.notAllowed(c, p, userName(u), id, secret, err)
	}
	session, err := s.Grants.SignIn(ctx, s.issuer(), u)
	if err != nil {
		return s.failed(p, s.brokenSignin(id, err))
	}
	if old := s.Browser.session(c.Request()); old != "" {
		if err := s.Grants.SignOut(ctx, old); err != nil {
			return s.failed(p, s.brokenSignin(id, err))
		}
	}
	s.Browser.setSession(c.Response(), session, s.SessionTTL)
	s.Meter.Signin(p.ID, SigninOK)
	s.note(c, Step{Name: StepProvider, What: "a person signed in with " + p.Name, Subject: u.Subject, Approved: true})
	s.Audit.Record(ctx, audit.SigninOK, audit.Host(s.Route.Host), audit.Subject(u.Subject), audit.Text("provider", p.ID), audit.Text("address", c.RealIP()))
	return s.finish(c, id, secret, u)
}

// notAllowed says which account it was, and offers another.
func (s *Server) notAllowed(c echo.Context, p *idp.Provider, account, id, secret string, err error) error {
	s.refused(c, p, SigninRefused, account, err)
	if err := s.Grants.Refuse(c.Request().Context(), secret); err != nil {
		return s.lostSignin(id, err)
	}
	var reason string
	var refusal *idp.Refusal
	if errors.As(err, &refusal) {
		reason = refusal.Reason
	}
	return &Error{
		Status: http.StatusForbidden, Code: "access_denied", Description: "this account may not use this server", Cause: err,
		Fault: web.FaultNotAllowed, About: account, Detail: reason, Retry: s.retry(id), OtherAccount: true,
	}
}

// mayEnter holds a user to the rules as they are now, without asking anybody:
// for every sign-in and every use of a session.
func (s *Server) mayEnter(u grants.User) error {
	p := s.provider(u.Provider)
	if p == nil {
		return gone(u)
	}
	who := identityOf(u)
	if p.Local != nil {
		now, ok := p.Local.Lookup(u.ProviderID)
		if !ok {
			return gone(u)
		}
		who = now
	}
	if err := p.Allow(who); err != nil {
		return err
	}
	return s.admit(who)
}

// recheck is mayEnter for a person who is not there: a refresh. Where the
// identity provider can answer, it is asked, and groups are brought up to date.
func (s *Server) recheck(ctx context.Context, u grants.User) (grants.User, error) {
	p := s.provider(u.Provider)
	if p == nil {
		return u, gone(u)
	}
	who, err := p.Recheck(ctx, identityOf(u))
	if err != nil {
		return u, err
	}
	return userOf(who), s.admit(who)
}

func (s *Server) admit(who idp.Identity) error {
	if s.Admit == nil {
		return nil
	}
	return s.Admit(who)
}

func gone(u grants.User) error {
	return &idp.Refusal{Account: userName(u), Reason: "this account is no longer known here"}
}

func userOf(id idp.Identity) grants.User {
	return grants.User{
		Subject: id.Subject, Provider: id.Provider, ProviderID: id.ID,
		Username: id.Username, Email: id.Email, Name: id.Name, Groups: id.Groups, Unhosted: id.Unhosted,
	}
}

func identityOf(u grants.User) idp.Identity {
	return idp.Identity{
		Provider: u.Provider, ID: u.ProviderID, Subject: u.Subject,
		Username: u.Username, Email: u.Email, Name: u.Name, Groups: u.Groups, Unhosted: u.Unhosted,
	}
}

// brokenSignin is our own failure while the request is still there: the person
// may sign in again for it.
func (s *Server) brokenSignin(id string, err error) *Error {
	e := broken("the sign-in", err)
	e.Retry = s.retry(id)
	return e
}

// lostSignin is lost where the request may still be there, though what the
// browser sent is spent.
func (s *Server) lostSignin(id string, err error) *Error {
	if errors.Is(err, grants.ErrInvalid) {
		return stale(err)
	}
	return s.brokenSignin(id, err)
}

// finish turns the approved request into a code and sends that to the client. Of
// two sign-ins for one request, one gets it. The code comes last: as long as
// something can fail, the person can try again.
func (s *Server) finish(c echo.Context, id, secret string, u grants.User) error {
	ctx := c.Request().Context()
	a, err := s.Grants.Approved(ctx, secret)
	if err != nil {
		return s.lostSignin(id, err)
	}
	if again, err := s.settle(ctx, a, u); err != nil {
		return err
	} else if again {
		return s.askAgain(c, secret, a)
	}
	if a.Account {
		return s.finishAccount(c, id, secret)
	}
	gr, err := s.grantFor(ctx, a, u)
	if err != nil {
		return err
	}
	gr.From = grants.Network(c.RealIP())
	if a.Shown {
		given := grants.Consent{Scopes: a.Scopes, Pin: a.Pin, Limits: a.Limits, Lasts: a.Lasts}
		if err := s.Grants.Remember(ctx, u.Subject, s.issuer(), gr.ClientID, clients.RedirectHost(gr.RedirectURI), given); err != nil {
			return s.brokenSignin(id, err)
		}
	}
	code, gr, err := s.Grants.Issue(ctx, secret, gr, a.Request.CodeChallenge, a.Request.RedirectSent)
	if err != nil {
		return s.lostSignin(id, err)
	}
	s.Browser.drop(c.Response(), id)
	s.note(c, Step{
		Name: StepCode, What: "a code was sent to " + clients.RedirectHost(gr.RedirectURI), Client: gr.ClientID, ClientName: gr.ClientName,
		Subject: u.Subject, Grant: gr.ID, Approved: true,
	})
	s.Audit.Record(ctx, audit.CodeIssued, audit.Host(s.Route.Host), audit.Client(gr.ClientID), audit.Subject(u.Subject), audit.Grant(gr.ID), audit.Scope(gr.Scopes))
	to, err := s.answer(gr.RedirectURI, a.Request.State, url.Values{"code": {code}})
	if err != nil {
		return err
	}
	return see(c, to)
}

// finishAccount ends a sign-in that was for the account page.
func (s *Server) finishAccount(c echo.Context, id, secret string) error {
	s.Grants.Drop(c.Request().Context(), secret)
	s.Browser.drop(c.Response(), id)
	return see(c, "/account")
}
