package auth

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// Server is the authorization server of one host. It is a literal of what it
// needs; every field but the last group must be set.
type Server struct {
	Route     *routing.Route
	Grants    *grants.Grants
	Clients   *clients.Registry
	Providers []*idp.Provider
	Minter    *access.Minter
	KeySet    func(context.Context) ([]byte, error) // RFC 7517 §5
	Browser   *Browser
	Pages     *web.Pages
	Audit     *audit.Log
	Attempts  Attempts
	Meter     Meter
	Limits    Limiter
	Log       *slog.Logger
	Now       func() time.Time

	Verify func(context.Context, string) (*access.Token, error) // an access token of this host

	RefreshTTL   time.Duration // no grant lives longer
	SessionTTL   time.Duration
	AccessTTL    time.Duration
	Registration bool // POST /register is there
	Documents    bool // client ID metadata documents are fetched
	Confidential bool // a configured client may use client_credentials

	Passkeys       *idp.Passkeys // nil: there is no local sign-in, or none with passkeys
	CallbackOrigin string        // where identity providers send browsers back to; empty: here
	Handoff        *Handoff      // they send those of all hosts back to here

	Trusted     []*idp.TrustedIssuer     // whose assertions replace a browser
	Admit       func(idp.Identity) error // the host's own rule; nil: the provider's is enough
	Consentless []*regexp.Regexp         // redirect URIs that need no consent page
	Demo        *web.Signin              // fills in the sign-in form of the demo
}

// Limiter bounds what one client address, or one user, may do in a minute.
type Limiter interface {
	// Take counts one of what for key. If there were too many, it says how long
	// to wait.
	Take(what Limit, key string) (wait time.Duration, ok bool)
	// Give takes back one Take that turned out not to count.
	Give(what Limit, key string)
}

// Limit is what a Limiter counts.
type Limit string

// The limits of the authorization server (server.limits).
const (
	Registrations  Limit = "registrations"
	Authorizations Limit = "authorizations"
	Approvals      Limit = "approvals" // as many as Authorizations: from here on a request is stored
	FailedSignins  Limit = "failed_signins"
	FailedClients  Limit = "failed_clients" // wrong client secrets
	// FailedSigninsOfUser is what FailedSignins is, for one user at all
	// addresses. Its keys are hashes.
	FailedSigninsOfUser Limit = "failed_signins_of_user"
)

// DefaultScope is granted where the MCP server advertises none.
const DefaultScope = "mcp-oauth2-proxy"

// offlineAccess asks for refresh tokens (OpenID Connect Core §11). It is never
// in an access token.
const offlineAccess = "offline_access"

// issuer is exactly what the metadata says.
func (s *Server) issuer() string { return s.Route.Origin }

// Mount adds the endpoints of the authorization server to a host's router.
func (s *Server) Mount(r *echo.Group) {
	for path, document := range map[string]echo.HandlerFunc{
		"/.well-known/oauth-protected-resource":   s.resourceMetadata,
		"/.well-known/oauth-protected-resource/*": s.resourceMetadata,
		"/.well-known/oauth-authorization-server": s.serverMetadata,
		"/.well-known/openid-configuration":       s.openIDConfiguration,
		"/openid/v1/jwks":                         s.keySet,
	} {
		r.Match([]string{http.MethodGet, http.MethodHead}, path, document)
	}
	r.POST("/register", s.register)
	r.GET("/authorize", s.authorize)
	r.POST("/authorize", s.authorize)
	r.GET("/consent", s.showConsent)
	r.POST("/consent", s.decide, s.sameOrigin)
	r.GET("/consent/assets/:name", s.asset)
	r.GET("/signin", s.showSignin)
	r.POST("/signin", s.signin, s.sameOrigin)
	r.GET("/callback", s.callback)
	r.POST("/token", s.token)
	r.POST("/revoke", s.revoke)
	r.GET("/account", s.showAccount)
	r.POST("/account", s.account, s.sameOrigin)
}

// Owns says whether a path belongs to the authorization server, so that it is
// never passed on to an MCP server, whatever the method.
func Owns(path string) bool {
	switch path {
	case "/register", "/authorize", "/consent", "/signin", "/callback", "/token", "/revoke", "/account", "/openid/v1/jwks":
		return true
	}
	return strings.HasPrefix(path, "/consent/assets/") || wellKnown(path)
}

// wellKnown says whether path is a metadata document of OAuth or OpenID, with
// the path of an MCP server before or behind it, as clients try them. The
// MCP server's own would name another authorization server.
func wellKnown(path string) bool {
	_, rest, ok := strings.Cut(path, "/.well-known/")
	return ok && (strings.HasPrefix(rest, "oauth-") || strings.HasPrefix(rest, "openid-"))
}

// ForPeople says whether the answer at a path is read by a person.
func ForPeople(path string) bool {
	switch path {
	case "/authorize", "/consent", "/signin", "/callback", "/account":
		return true
	}
	return false
}

// sameOrigin refuses forms that another origin's page has sent.
func (s *Server) sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		if err := protection.Check(c.Request()); err != nil {
			return &Error{
				Status: http.StatusForbidden, Code: "invalid_request", Fault: web.FaultForeignForm,
				Description: "the form was sent from another origin", Cause: err,
			}
		}
		return next(c)
	}
}

// asset serves a file that pages load.
func (s *Server) asset(c echo.Context) error {
	body, ok := s.Pages.Asset(c.Param("name"), c.Response().Header())
	if !ok {
		return echo.ErrNotFound
	}
	_, err := c.Response().Write(body)
	return err
}

// page answers with a page.
func (s *Server) page(c echo.Context, status int, p web.Page) error {
	return s.Pages.Show(c.Response(), c.Request(), status, p)
}

// see sends the browser on. 303 makes it a GET, whatever it was (OAuth 2.1
// §7.5.4 forbids 307).
func see(c echo.Context, to string) error {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	return c.Redirect(http.StatusSeeOther, to)
}
