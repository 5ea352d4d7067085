package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/idp"

	"github.com/labstack/echo/v4"
)

// tokenAnswer is RFC 6749 §5.1.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`

	Details []access.Detail `json:"authorization_details,omitempty"` // RFC 9396 §7
}

// token is the token endpoint (OAuth 2.1 §3.2). What every grant type needs is
// done here, so that none can forget it: the form, the client, what the client
// may use.
func (s *Server) token(c echo.Context) error {
	noStore(c)
	form, client, err := s.programForm(c)
	if err != nil {
		return err
	}
	grantType := form.Get("grant_type")
	grant, known := map[string]func(echo.Context, *clients.Client, url.Values) (*tokenAnswer, error){
		"authorization_code": s.redeem,
		"refresh_token":      s.refresh,
		"client_credentials": s.clientCredentials,
		jwtBearer:            s.redeemAssertion,
	}[grantType]
	switch {
	case grantType == "":
		return refusal("invalid_request", "grant_type is missing")
	case !known || grantType == "client_credentials" && !s.Confidential || grantType == jwtBearer && len(s.Trusted) == 0:
		return refusal("unsupported_grant_type", "grant_type is not supported")
	case !client.May(grantType) && (grantType != "refresh_token" || !mayAskOffline(client)):
		return refusal("unauthorized_client", "this client may not use this grant_type")
	}
	answer, err := grant(c, client, form)
	if err != nil {
		c.Set(attemptKey, s.Attempts.Of(grants.OfCode(form.Get("code"))))
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

// mayAskOffline says whether a client gets refresh tokens for asking with
// offline_access, whatever grant types it registered (SEP-2207). What the
// operator wrote of a client is the last word.
func mayAskOffline(client *clients.Client) bool {
	return client.Kind != clients.KindConfigured && client.May("authorization_code")
}

// noStore is RFC 6749 §5.1.
func noStore(c echo.Context) {
	c.Response().Header().Set("Cache-Control", "no-store")
	c.Response().Header().Set("Pragma", "no-cache")
}

// programForm reads the form of a program and proves which client sent it.
func (s *Server) programForm(c echo.Context) (url.Values, *clients.Client, error) {
	form, err := strictForm(c.Request(), "resource")
	if err != nil {
		return nil, nil, err
	}
	credentials, basic, err := presented(c.Request(), form)
	if err != nil {
		return nil, nil, err
	}
	client, err := s.authenticate(c, credentials)
	var limited *Error
	if errors.As(err, &limited) {
		return nil, nil, limited
	}
	if err != nil {
		return nil, nil, unauthenticated(err, basic)
	}
	return form, client, nil
}

// authenticate proves who a client is. Wrong secrets count against the address,
// so that none is guessed (OAuth 2.1 §2.4.1). They count afterwards: many
// clients may share an address, and a key may have to be fetched.
func (s *Server) authenticate(c echo.Context, credentials clients.Credentials) (*clients.Client, error) {
	guess := credentials.Method != clients.MethodNone
	if guess {
		if err := s.limit(c, FailedClients); err != nil {
			return nil, err
		}
		s.Limits.Give(FailedClients, c.RealIP())
	}
	client, err := s.Clients.Authenticate(c.Request().Context(), s.issuer(), credentials)
	var ce *clients.Error
	if guess && errors.As(err, &ce) && ce.Code == clients.InvalidClient {
		s.Limits.Take(FailedClients, c.RealIP())
	}
	return client, err
}

// unauthenticated is RFC 6749 §5.2: 401, and where the Authorization header
// was used, a challenge of its scheme.
func unauthenticated(err error, basic bool) *Error {
	e := ofClients(err)
	if e.Code == "invalid_client" {
		e.Status = http.StatusUnauthorized
		if basic {
			e.Header = http.Header{"Www-Authenticate": {`Basic realm="mcp-oauth2-proxy"`}}
		}
	}
	return e
}

// presented reads how a client says who it is: one way per request (OAuth 2.1
// §2.4). A Basic header without a secret is how some clients ask whether they
// need one, and counts as none.
func presented(r *http.Request, form url.Values) (cr clients.Credentials, basic bool, err error) {
	cr = clients.Credentials{
		ID: form.Get("client_id"), Secret: form.Get("client_secret"), Method: "none",
		AssertionType: form.Get("client_assertion_type"), Assertion: form.Get("client_assertion"),
	}
	ways := 0
	if cr.Secret != "" {
		cr.Method = "client_secret_post"
		ways++
	}
	if cr.Assertion != "" || cr.AssertionType != "" {
		cr.Method = "private_key_jwt"
		ways++
	}
	if r.Header.Get("Authorization") != "" {
		basic = true
		id, secret, ok := basicAuth(r)
		if !ok { // RFC 6749 §5.2: an authentication that failed, or of a kind that is not offered
			return cr, basic, unauthenticated(&clients.Error{Code: clients.InvalidClient, Description: "the Authorization header is not Basic with a client_id"}, basic)
		}
		if cr.ID != "" && cr.ID != id {
			return cr, basic, refusal("invalid_request", "the Authorization header names another client")
		}
		cr.ID = id
		if secret != "" {
			cr.Secret, cr.Method = secret, "client_secret_basic"
			ways++
		}
	}
	if ways > 1 {
		return cr, basic, refusal("invalid_request", "the client authenticates in more than one way")
	}
	return cr, basic, nil
}

// basicAuth decodes RFC 6749 §2.3.1: both parts are form-encoded. Ours have
// only characters that this leaves alone, as not every client encodes.
func basicAuth(r *http.Request) (id, secret string, ok bool) {
	if len(r.Header.Values("Authorization")) != 1 {
		return "", "", false
	}
	id, secret, ok = r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	return id, secret, err1 == nil && err2 == nil && id != ""
}

// redeem is OAuth 2.1 §4.1.3.
func (s *Server) redeem(c echo.Context, client *clients.Client, form url.Values) (*tokenAnswer, error) {
	ctx := c.Request().Context()
	code, verifier := form.Get("code"), form.Get("code_verifier")
	if code == "" || verifier == "" {
		return nil, refusal("invalid_request", "code or code_verifier is missing")
	}
	gr, refreshToken, err := s.Grants.Redeem(ctx, grants.Redemption{
		Code: code, Issuer: s.issuer(), ClientID: client.ID, RedirectURI: form.Get("redirect_uri"), Verifier: verifier, Address: c.RealIP(),
	}, func(gr grants.Grant) error { return s.within(gr, form["resource"]) })
	if err != nil {
		return nil, s.grantRefused(ctx, client, "the code", err)
	}
	return s.issue(ctx, audit.TokenIssued, gr, gr.Scopes, refreshToken)
}

// within is RFC 8707 §2.2: a token is asked for a resource that was granted.
func (s *Server) within(gr grants.Grant, resources []string) error {
	for _, r := range resources {
		audience, ok := s.Route.Audience(r)
		if !ok || !subset(audience, gr.Audience) && r != "" && !slices.Contains(gr.Audience, strings.TrimSuffix(r, "/")) {
			return refusal("invalid_target", "resource was not granted")
		}
	}
	return nil
}

// grantRefused says why a code or refresh token bought nothing.
func (s *Server) grantRefused(ctx context.Context, client *clients.Client, what string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var replay *grants.Replay
	if errors.As(err, &replay) {
		s.Audit.Record(ctx, audit.GrantReplayed, audit.Host(s.Route.Host), audit.Client(client.ID), audit.Grant(replay.Grant), audit.Cause(err))
	}
	return ofGrants(what, err)
}

// refresh is OAuth 2.1 §4.3. Whoever was shut out since gets nothing more.
func (s *Server) refresh(c echo.Context, client *clients.Client, form url.Values) (*tokenAnswer, error) {
	ctx := c.Request().Context()
	use := grants.RefreshUse{Token: form.Get("refresh_token"), Issuer: s.issuer(), ClientID: client.ID, Address: c.RealIP()}
	if use.Token == "" {
		return nil, refusal("invalid_request", "refresh_token is missing")
	}
	f, err := s.Grants.Family(ctx, use)
	if err != nil {
		return nil, s.grantRefused(ctx, client, "the refresh", err)
	}
	scopes, err := narrowed(f.Grant.Scopes, form)
	if err != nil {
		return nil, err
	}
	if err := s.within(f.Grant, form["resource"]); err != nil {
		return nil, err
	}
	user, err := s.recheck(ctx, f.Grant.User)
	var refused *idp.Refusal
	switch {
	case errors.As(err, &refused):
		return nil, s.shutOut(ctx, f.Grant, err)
	case err != nil:
		return nil, broken("the identity provider", err)
	}
	gr, next, err := s.Grants.Rotate(ctx, use, func(gr grants.Grant) grants.Grant {
		gr.User = user
		return gr
	})
	if err != nil {
		return nil, s.grantRefused(ctx, client, "the refresh", err)
	}
	return s.issue(ctx, audit.TokenRefreshed, gr, scopes, next)
}

// narrowed is RFC 6749 §6: a refresh may ask for less, never for more.
func narrowed(granted []string, form url.Values) ([]string, error) {
	if !form.Has("scope") {
		return granted, nil
	}
	asked := slices.DeleteFunc(strings.Fields(form.Get("scope")), func(s string) bool { return s == offlineAccess })
	if !subset(asked, granted) {
		return nil, refusal("invalid_scope", "more scope than was granted")
	}
	if len(asked) == 0 {
		return granted, nil
	}
	slices.Sort(asked)
	return slices.Compact(asked), nil
}

// shutOut ends the grant of a user who may no longer enter.
func (s *Server) shutOut(ctx context.Context, gr grants.Grant, cause error) error {
	if err := s.Grants.End(ctx, gr.ID); err != nil {
		return broken("the refresh", err)
	}
	s.Audit.Record(ctx, audit.GrantEnded, audit.Host(s.Route.Host), audit.Client(gr.ClientID), audit.Subject(gr.User.Subject), audit.Grant(gr.ID), audit.Cause(cause))
	e := refusal("invalid_grant", "the user may no longer use this server")
	e.Cause = cause
	return e
}

// clientCredentials is OAuth 2.1 §4.2, for clients that the operator configured.
// There is no refresh token and no user: the subject is the client.
func (s *Server) clientCredentials(c echo.Context, client *clients.Client, form url.Values) (*tokenAnswer, error) {
	ctx := c.Request().Context()
	if client.Kind != clients.KindConfigured || client.AuthMethod == "none" {
		return nil, refusal("unauthorized_client", "this client may not use this grant_type")
	}
	resource, code := s.resource(form["resource"])
	audience, ok := s.Route.Audience(resource)
	if code != "" || !ok {
		return nil, refusal("invalid_target", "resource is not an MCP server at this host")
	}
	all := s.Route.Catalogue(ctx).Names()
	if len(all) == 0 {
		all = []string{DefaultScope}
	}
	scopes, err := narrowed(all, form)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	// A grant for each token, so that to end one is not to end the next.
	gr, err := s.Grants.Record(ctx, grants.Grant{
		Issuer: s.issuer(), ClientID: client.ID, ClientName: client.Name, Audience: audience, Scopes: scopes,
		User: grants.User{Subject: "client:" + client.ID}, Given: now.Truncate(time.Second), Ends: now.Add(s.AccessTTL).Truncate(time.Second),
	}, "client_credentials "+grants.NewSecret(), now.Add(s.AccessTTL))
	if err != nil {
		return nil, broken("the token", err)
	}
	return s.issue(ctx, audit.TokenIssued, gr, scopes, "")
}

// claims are what the audit log says of a token: what it says of itself.
func claims(t access.Token) []slog.Attr {
	return []slog.Attr{
		audit.Client(t.ClientID), audit.Subject(t.Subject), audit.Grant(t.Grant), audit.Scope(t.Scopes), audit.Text("jti", t.ID),
		audit.Text("aud", strings.Join(t.Audience, " ")), audit.Count("iat", t.IssuedAt.Unix()), audit.Count("exp", t.Expiry.Unix()),
		audit.Text("email", t.Email), audit.Text("preferred_username", t.PreferredUsername), audit.Text("groups", strings.Join(t.Groups, " ")),
	}
}

// issue mints the access token of a grant. A token says exactly what was granted.
func (s *Server) issue(ctx context.Context, event audit.Event, gr grants.Grant, scopes []string, refreshToken string) (*tokenAnswer, error) {
	raw, t, err := s.Minter.Mint(ctx, access.Token{
		Issuer: s.issuer(), Subject: gr.User.Subject, Audience: gr.Audience, ClientID: gr.ClientID, Scopes: scopes,
		Groups: gr.User.Groups, Email: gr.User.Email, PreferredUsername: gr.User.Username, Grant: gr.ID,
		Pin: gr.Pin, Details: s.details(gr),
	}, gr.Ends)
	if err != nil {
		return nil, broken("the token", err)
	}
	s.Audit.Record(ctx, event, append([]slog.Attr{audit.Host(s.Route.Host)}, claims(t)...)...)
	if event == audit.TokenIssued && gr.Ref != "" {
		s.Attempts.Note(Step{
			Attempt: gr.Ref, Name: StepToken, What: "a token was issued for " + orNothing(scopes), Host: s.Route.Host,
			Client: gr.ClientID, ClientName: gr.ClientName, Subject: gr.User.Subject, Grant: gr.ID, Approved: true,
		})
	}
	return &tokenAnswer{
		AccessToken: raw, TokenType: "Bearer", ExpiresIn: int64(t.Expiry.Sub(t.IssuedAt) / time.Second),
		RefreshToken: refreshToken, Scope: strings.Join(scopes, " "), Details: t.Details,
	}, nil
}
