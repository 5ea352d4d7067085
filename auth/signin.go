package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/clients"
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

// toProvider sends the browser to an identity provider, with a state, nonce
// and code verifier of our own that are good for this one attempt.
func (s *Server) toProvider(c echo.Context, p *idp.Provider, id, secret string, a grants.Approved) error {
	ctx := c.Request().Context()
	attempt := grants.NewAttempt(p.ID, id+".")
	to, err := p.Flow.Begin(ctx, s.attempt(attempt, a.Request.Prompt))
	if err != nil {
		return s.providerFailed(c, p, id, err)
	}
	if err := s.Grants.Choose(ctx, secret, attempt); err != nil {
		return s.lostSignin(id, err)
	}
	return see(c, to)
}

func (s *Server) attempt(a grants.Attempt, prompt string) idp.Attempt {
	forwarded := slices.DeleteFunc(strings.Fields(prompt), func(p string) bool { return p != "login" && p != "select_account" })
	return idp.Attempt{
		RedirectURI: s.issuer() + "/callback", State: a.State, Nonce: a.Nonce, Verifier: a.Verifier,
		Prompt: strings.Join(forwarded, " "),
	}
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
	return s.signinForm(c, http.StatusOK, id, a, provider, "", "")
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

func (s *Server) signinForm(c echo.Context, status int, id string, a grants.Approved, p *idp.Provider, username, problem string) error {
	form := web.Signin{
		Server: s.Route.Name, Client: s.clientName(c.Request().Context(), a), Request: id,
		Username: username, Problem: problem, Other: s.choices(p),
	}
	if s.Demo != nil && username == "" {
		form.Username, form.Password = s.Demo.Username, s.Demo.Password
	}
	return s.page(c, status, form)
}

// signin takes a choice of provider, or a username and password.
func (s *Server) signin(c echo.Context) error {
	raw, err := formBody(c.Request())
	if err != nil {
		return err
	}
	form, err := strictValues(raw)
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

// localSignin checks a password. Every attempt counts against the address
// until it has proven good, so that a race gains nothing.
func (s *Server) localSignin(c echo.Context, p *idp.Provider, form url.Values, id, secret string, a grants.Approved) error {
	if err := s.limit(c, FailedSignins); err != nil {
		return err
	}
	username := form.Get("username")
	who, err := p.Local.SignIn(c.Request().Context(), username, form.Get("password"))
	switch {
	case errors.Is(err, idp.ErrInvalid):
		s.refused(c, p, username, err)
		return s.signinForm(c, http.StatusUnauthorized, id, a, p, username, "The username or the password is wrong.")
	case err != nil:
		s.Limits.Give(FailedSignins, c.RealIP())
		return broken("the sign-in", err)
	}
	s.Limits.Give(FailedSignins, c.RealIP())
	return s.welcome(c, p, who, id, secret)
}

// callback takes a browser back from an identity provider: the same browser,
// with the state that was sent, once.
func (s *Server) callback(c echo.Context) error {
	query, err := strictValues(c.Request().URL.RawQuery)
	if err != nil {
		return err
	}
	state := query.Get("state")
	id, _, _ := strings.Cut(state, ".")
	secret, _, err := s.approved(c, id)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	a, err := s.Grants.Return(ctx, secret, state)
	if err != nil {
		return s.lostSignin(id, err)
	}
	p := s.provider(a.Attempt.Provider)
	if p == nil || p.Flow == nil {
		return stale(errors.New("the identity provider is no longer configured"))
	}
	who, err := p.Flow.Finish(ctx, s.attempt(a.Attempt, ""), query)
	if err != nil {
		return s.providerFailed(c, p, id, err)
	}
	return s.welcome(c, p, who, id, secret)
}

// providerFailed says why a sign-in came to nothing, and lets the person try
// again: the request is still there.
func (s *Server) providerFailed(c echo.Context, p *idp.Provider, id string, err error) error {
	s.refused(c, p, "", err)
	e := &Error{
		Status: http.StatusBadGateway, Code: "server_error", Description: "the identity provider's answer was refused", Cause: err,
		Title: "The sign-in did not work", Message: p.Name + " gave an answer that cannot be accepted.",
		Advice: "Try again. If it happens again, tell whoever runs this server.", Retry: s.retry(id),
	}
	switch {
	case errors.Is(err, idp.ErrCancelled):
		e.Status, e.Code, e.Description = http.StatusForbidden, "access_denied", "the sign-in was cancelled"
		e.Title, e.Message, e.Advice = "The sign-in was cancelled", p.Name+" says that the sign-in was cancelled.", "Try again, or close this page."
	case errors.Is(err, idp.ErrUnavailable):
		e.Status, e.Code, e.Description = http.StatusServiceUnavailable, "temporarily_unavailable", "the identity provider does not answer"
		e.Title, e.Message, e.Advice = "The sign-in is not available now", p.Name+" does not answer.", "Wait a moment and try again."
	}
	return e
}

// retry is where a person signs in again for the same request.
func (s *Server) retry(id string) string { return "/signin?r=" + id }

func (s *Server) refused(c echo.Context, p *idp.Provider, account string, err error) {
	s.Audit.Record(c.Request().Context(), audit.SigninRefused, audit.Host(s.Route.Host), audit.Text("provider", p.ID),
		audit.Text("account", account), audit.Text("address", c.RealIP()), audit.Cause(err))
}

// welcome lets a person in who has proven who they are, if they may enter, and
// finishes the request. The session is a new one each time: none is fixed
// beforehand.
func (s *Server) welcome(c echo.Context, p *idp.Provider, who idp.Identity, id, secret string) error {
	ctx := c.Request().Context()
	u := userOf(who)
	if err := s.mayEnter(u); err != nil {
		return s.notAllowed(c, p, who, id, err)
	}
	session, err := s.Grants.SignIn(ctx, s.issuer(), u)
	if err != nil {
		return s.brokenSignin(id, err)
	}
	if old := s.Browser.session(c.Request()); old != "" {
		if err := s.Grants.SignOut(ctx, old); err != nil {
			return s.brokenSignin(id, err)
		}
	}
	s.Browser.setSession(c.Response(), session, s.SessionTTL)
	s.Audit.Record(ctx, audit.SigninOK, audit.Host(s.Route.Host), audit.Subject(u.Subject), audit.Text("provider", p.ID), audit.Text("address", c.RealIP()))
	return s.finish(c, id, secret, u)
}

// notAllowed says which account it was, and offers another.
func (s *Server) notAllowed(c echo.Context, p *idp.Provider, who idp.Identity, id string, err error) error {
	account := userName(userOf(who))
	s.refused(c, p, account, err)
	reason := "this account may not use this server"
	var refusal *idp.Refusal
	if errors.As(err, &refusal) && refusal.Reason != "" {
		reason = strings.TrimSuffix(refusal.Reason, ".")
	}
	return &Error{
		Status: http.StatusForbidden, Code: "access_denied", Description: "this account may not use this server", Cause: err,
		Title: "This account may not enter", Message: "You signed in as " + account + ", but " + reason + ".",
		Advice: "Sign in with another account, or ask whoever runs this server.", Retry: s.retry(id),
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

// finish spends the approved request and sends the code to the client. Of two
// sign-ins for one request, one gets it. Spending comes last: as long as
// something can fail, the person can try again, and a code that nobody was sent
// opens nothing.
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
	if a.Shown {
		given := grants.Consent{Scopes: a.Scopes, Pin: a.Pin, Limits: a.Limits, Lasts: a.Lasts}
		if err := s.Grants.Remember(ctx, u.Subject, s.issuer(), gr.ClientID, clients.RedirectHost(gr.RedirectURI), given); err != nil {
			return s.brokenSignin(id, err)
		}
	}
	code, gr, err := s.Grants.Issue(ctx, gr, a.Request.CodeChallenge, a.Request.RedirectSent)
	if err != nil {
		return s.brokenSignin(id, err)
	}
	if _, err := s.Grants.Finish(ctx, secret); err != nil {
		return s.lostSignin(id, err)
	}
	s.Browser.drop(c.Response(), id)
	s.Audit.Record(ctx, audit.CodeIssued, audit.Host(s.Route.Host), audit.Client(gr.ClientID), audit.Subject(u.Subject), audit.Grant(gr.ID), audit.Scope(gr.Scopes))
	to, err := s.answer(gr.RedirectURI, a.Request.State, url.Values{"code": {code}})
	if err != nil {
		return err
	}
	return see(c, to)
}

// finishAccount ends a sign-in that was for the account page.
func (s *Server) finishAccount(c echo.Context, id, secret string) error {
	if _, err := s.Grants.Finish(c.Request().Context(), secret); err != nil {
		return s.lostSignin(id, err)
	}
	s.Browser.drop(c.Response(), id)
	return see(c, "/account")
}
