package auth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// toProvider sends the browser to an identity provider, with a state, nonce
// and code verifier of our own that are good for this one attempt.
func (s *Server) toProvider(c echo.Context, p *idp.Provider, id, secret string, a grants.Approved) error {
	ctx := c.Request().Context()
	attempt := grants.NewAttempt(p.ID, id+"."+s.Browser.mark+".")
	prompt := a.Request.Prompt
	if a.Refused {
		prompt += " select_account" // the provider would let the same one in again
	}
	to, err := p.Flow.Begin(ctx, s.attempt(attempt, prompt))
	if err != nil {
		return s.providerFailed(c, p, id, err)
	}
	if err := s.Grants.Choose(ctx, secret, attempt); err != nil {
		return s.failed(p, s.lostSignin(id, err))
	}
	s.note(c, Step{Name: StepProvider, What: "the browser was sent to " + p.Name, Approved: true})
	return see(c, to)
}

func (s *Server) attempt(a grants.Attempt, prompt string) idp.Attempt {
	forwarded := slices.DeleteFunc(strings.Fields(prompt), func(p string) bool { return p != "login" && p != "select_account" })
	return idp.Attempt{
		RedirectURI: s.callbackOrigin() + "/callback", State: a.State, Nonce: a.Nonce, Verifier: a.Verifier,
		Prompt: strings.Join(forwarded, " "),
	}
}

// callbackOrigin is where identity providers send browsers back to.
func (s *Server) callbackOrigin() string {
	if s.CallbackOrigin != "" {
		return s.CallbackOrigin
	}
	return s.issuer()
}

// callback takes a browser back from an identity provider: the same browser,
// with the state that was sent, once.
func (s *Server) callback(c echo.Context) error {
	query, err := strictValues(c.Request().URL.RawQuery)
	if err != nil {
		return err
	}
	if query.Has("handoff") {
		if query, err = s.takeOver(c, query); err != nil {
			return err
		}
	}
	id, mark := stateParts(query.Get("state"))
	if s.Handoff != nil && mark != s.Browser.mark {
		return s.Handoff.pass(c)
	}
	secret, _, err := s.approved(c, id)
	if err != nil {
		return s.again(err, id) // what was handed over is spent
	}
	return s.again(s.returned(c, query, id, secret), id)
}

// returned takes the answer of an identity provider. It spends the answer first,
// so that after a failure of ours only another sign-in helps.
func (s *Server) returned(c echo.Context, query url.Values, id, secret string) error {
	ctx := c.Request().Context()
	a, err := s.Grants.Return(ctx, secret, query.Get("state"))
	if err != nil {
		e := s.lostSignin(id, err)
		e.Retry = s.retry(id) // the answer is spent, the request is not
		return e
	}
	p := s.provider(a.Attempt.Provider)
	if p == nil || p.Flow == nil {
		return stale(errors.New("the identity provider is no longer configured"))
	}
	who, err := p.Flow.Finish(ctx, s.attempt(a.Attempt, ""), query)
	var refusal *idp.Refusal
	if errors.As(err, &refusal) { // suspended, for one: the provider knows who it was
		return s.notAllowed(c, p, refusal.Account, id, secret, err)
	}
	if err != nil {
		return s.providerFailed(c, p, id, err)
	}
	return s.welcome(c, p, who, id, secret)
}

// providerFailed says why a sign-in came to nothing, and lets the person try
// again: the request is still there.
func (s *Server) providerFailed(c echo.Context, p *idp.Provider, id string, err error) error {
	s.refused(c, p, ended(err), "", err)
	e := &Error{
		Status: http.StatusBadGateway, Code: "server_error", Description: "the identity provider's answer was refused", Cause: err,
		Fault: web.FaultSignin, About: p.Name, Retry: s.retry(id),
	}
	switch {
	case errors.Is(err, idp.ErrCancelled):
		e.Status, e.Code, e.Description = http.StatusForbidden, "access_denied", "the sign-in was cancelled"
		e.Fault = web.FaultCancelled
	case errors.Is(err, idp.ErrUnavailable):
		e.Status, e.Code, e.Description = http.StatusServiceUnavailable, "temporarily_unavailable", "the identity provider does not answer"
		e.Fault = web.FaultUnavailable
	}
	return e
}
