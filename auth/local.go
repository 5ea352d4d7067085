package auth

import (
	"errors"
	"net/http"
	"net/url"

	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// signinForm shows the local sign-in; status is not 200 if it was tried.
func (s *Server) signinForm(c echo.Context, status int, id string, a grants.Approved, p *idp.Provider, username string, problem web.Message) error {
	ask, err := s.askPasskey(c, id, status != http.StatusOK)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		s.note(c, Step{Name: StepProvider, What: "the sign-in was refused and the form shown again", Approved: true})
	}
	form := web.Signin{
		Server: s.Route.Name, Client: s.clientName(c.Request().Context(), a), Request: id,
		Username: username, Problem: problem, Passkey: ask, Other: s.choices(p),
	}
	if s.Demo != nil && username == "" {
		form.Username, form.Password = s.Demo.Username, s.Demo.Password
	}
	return s.page(c, status, form)
}

// localSignin takes a passkey, or checks a user name and a password.
func (s *Server) localSignin(c echo.Context, p *idp.Provider, form url.Values, id, secret string, a grants.Approved) error {
	if form.Has("passkey") {
		return s.passkeySignin(c, p, form.Get("passkey"), id, secret, a)
	}
	username := form.Get("username")
	back, err := s.countPassword(c, p, username)
	if err != nil {
		s.Meter.Signin(p.ID, SigninRefused)
		return s.again(err, id)
	}
	who, err := p.Local.SignIn(c.Request().Context(), username, form.Get("password"))
	switch {
	case errors.Is(err, idp.ErrInvalid):
		s.refused(c, p, SigninRefused, username, err)
		return s.signinForm(c, http.StatusUnauthorized, id, a, p, username, web.Say(web.WrongPassword))
	case err != nil:
		back()
		return s.failed(p, broken("the sign-in", err))
	}
	back()
	if err := s.rememberDevice(c, userOf(who).Owner()); err != nil {
		return s.failed(p, err)
	}
	return s.welcome(c, p, who, id, secret)
}

// again lets a person who has to wait come back to the same request.
func (s *Server) again(err error, id string) error {
	var e *Error
	if errors.As(err, &e) && e.Retry == "" && (e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests) {
		e.Retry = s.retry(id)
	}
	return err
}
