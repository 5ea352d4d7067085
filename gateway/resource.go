package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"mcp-oauth2-proxy/auth"
	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// forwardAuthPath is where another proxy asks whether a request may pass.
const forwardAuthPath = "/authenticate"

// token believes the access token of a request, or says what to get.
func (h *host) token(c echo.Context, path string) (*bearer, error) {
	t, err := h.believe(c.Request())
	if err != nil {
		return nil, h.unauthorized(c, path, err)
	}
	return t, nil
}

// believe checks an access token, and counts what it was worth.
func (h *host) believe(r *http.Request) (*bearer, error) {
	ctx, span := step(r.Context(), "token check")
	var t *bearer
	raw, err := access.Bearer(r.Header)
	if err == nil {
		t, err = h.verifier.Verify(ctx, raw, h.route.Origin, h.route.Origin)
	}
	result := worth(err)
	h.metrics.checks[result].Inc()
	endStep(span, checkNames[result])
	return t, err
}

// worth is what an access token was worth that err was said of.
func worth(err error) check {
	if err == nil {
		return checkOK
	}
	for _, w := range []struct {
		is    error
		check check
	}{
		{access.ErrNoToken, checkNone},
		{access.ErrMalformed, checkMalformed},
		{access.ErrExpired, checkExpired},
		{access.ErrRevoked, checkRevoked},
		{access.ErrUnavailable, checkUnavailable},
	} {
		if errors.Is(err, w.is) {
			return w.check
		}
	}
	return checkInvalid
}

// unauthorized is RFC 6750 §3: without a token the challenge names no error,
// because there is none.
func (h *host) unauthorized(c echo.Context, path string, cause error) error {
	if errors.Is(cause, access.ErrUnavailable) {
		return &auth.Error{
			Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: "the access token cannot be checked now",
			Header: http.Header{"Retry-After": {"5"}}, Cause: cause,
		}
	}
	ch := h.auth.Challenge(c, path)
	e := &auth.Error{Status: http.StatusUnauthorized, Code: "invalid_token", Cause: cause}
	switch {
	case errors.Is(cause, access.ErrNoToken):
		e.Code, e.Description = "unauthorized", "an access token is needed; the WWW-Authenticate header says where to get one"
	case errors.Is(cause, access.ErrMalformed):
		e.Status, e.Code, e.Description = http.StatusBadRequest, "invalid_request", access.ErrMalformed.Error()
		ch.Error, ch.Description = e.Code, e.Description
	default:
		e.Description = reason(cause)
		ch.Error, ch.Description = e.Code, e.Description
	}
	e.Header = http.Header{"Www-Authenticate": {ch.String()}}
	return e
}

// reason is the part of a cause that the caller may read.
func reason(cause error) string {
	for _, public := range []error{access.ErrExpired, access.ErrRevoked} {
		if errors.Is(cause, public) {
			return public.Error()
		}
	}
	return access.ErrInvalid.Error()
}

// forwardAuth answers another proxy: may this request pass, and who sends it?
// The body is not there, so tools cannot be enforced; the headers say what was
// granted.
func (h *host) forwardAuth(c echo.Context) error {
	t, err := h.token(c, "")
	if err != nil {
		var e *auth.Error
		if errors.As(err, &e) && e.Status == http.StatusUnauthorized {
			ch := access.Challenge{Realm: "mcp-oauth2-proxy", ResourceMetadata: h.auth.Challenge(c, "").ResourceMetadata}
			e.Header = http.Header{"Www-Authenticate": {ch.String()}}
		}
		return err
	}
	t.caller.SetHeaders(c.Response().Header())
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.NoContent(http.StatusOK)
}

// A bearer is what is known of whoever shows a token. It is made once for each
// token and shared by all its requests: nothing in it ever changes.
type bearer struct {
	*access.Token
	caller  *routing.Caller
	granted routing.Granted
}

func newBearer(t *access.Token) *bearer {
	b := &bearer{
		Token: t,
		caller: routing.NewCaller(routing.Identity{
			Subject: t.Subject, Email: t.Email, Username: t.PreferredUsername, ClientID: t.ClientID,
			Groups: t.Groups, Scopes: t.Scopes, Pin: t.Pin,
		}),
		granted: routing.Granted{Scopes: t.Scopes, Pin: t.Pin},
	}
	for _, d := range t.Details {
		for argument, value := range d.Arguments {
			b.granted.Limits = append(b.granted.Limits, routing.Limit{Tool: d.Tool, Argument: argument, Value: value})
		}
	}
	return b
}

// why is a denial in the words of the audit log.
func why(d *routing.Denied) string {
	switch {
	case d.Changed:
		return "changed"
	case d.Argument != "":
		return "argument"
	case d.Scope == "":
		return "closed"
	}
	return "scope"
}

// insufficient is RFC 6750 §3.1 and the step-up of MCP: the challenge names
// everything that is needed, what was granted included, because some clients
// ask for just what it says. Where no scope would help, it names no scope.
func (h *host) insufficient(c echo.Context, d *routing.Denied) error {
	message, code := "the access token does not cover this tool", "insufficient_scope"
	switch {
	case d.Changed:
		message = "this tool is another one than was consented to; consent again"
	case d.Argument != "":
		message = "an argument of this tool has another value than was consented to"
	}
	if d.Scope == "" {
		message, code = "this tool is not open to anybody here", "forbidden"
	} else {
		ch := h.auth.Challenge(c, c.Request().URL.EscapedPath())
		ch.Error, ch.Description, ch.Scope = code, message, d.Scope
		c.Response().Header().Set("WWW-Authenticate", ch.String())
	}
	return answerRPC(c, http.StatusForbidden, rpcError{ID: d.ID, Error: rpcFault{-32003, message, map[string]string{"error": code}}})
}

// badMessage answers a body that two readers could read differently.
func badMessage(c echo.Context, m *routing.BadMessage) error {
	return answerRPC(c, http.StatusBadRequest, rpcError{Error: rpcFault{m.Code, m.Reason, nil}})
}

// rpcError is a JSON-RPC 2.0 error response; a null id says that it could not
// be read.
type rpcError struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   rpcFault        `json:"error"`
}

type rpcFault struct {
	Code    int               `json:"code"`
	Message string            `json:"message"`
	Data    map[string]string `json:"data,omitempty"`
}

// answerRPC gives an error of ours in the MCP server's place. It repeats the id
// that the client chose, so no browser may take it for anything but JSON.
func answerRPC(c echo.Context, status int, e rpcError) error {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	e.Version = "2.0"
	return c.JSON(status, e)
}

// wantsPage says whether a browser asks, rather than a program.
func wantsPage(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") && r.Header.Get("Authorization") == ""
}

// connectPage tells a person what an MCP URL is for. Its status stays 401, for
// programs that ask like a browser.
func (h *host) connectPage(c echo.Context, e *auth.Error) error {
	for name, values := range e.Header {
		c.Response().Header()[name] = values
	}
	return h.g.pages.Show(c.Response(), c.Request(), e.Status, web.Connect{Server: h.route.Name, URL: h.route.Resource()})
}
