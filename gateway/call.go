package gateway

import (
	"errors"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth"
	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/routing"

	"github.com/labstack/echo/v4"
)

// call is an MCP request: believe the token, hold the call to what was granted,
// pass it on.
func (h *host) call(c echo.Context) error {
	req := c.Request()
	if h.route.Public {
		return h.forward(c, nil)
	}
	if auth.Owns(req.URL.Path) { // another method, or another spelling of a path of ours
		return ownPath(req)
	}
	t, err := h.token(c, req.URL.EscapedPath())
	if err != nil {
		var e *auth.Error
		if errors.As(err, &e) && e.Status == http.StatusUnauthorized && wantsPage(req) {
			return h.connectPage(c, e)
		}
		return err
	}
	if !h.route.Serves(req.URL.EscapedPath()) {
		return echo.ErrNotFound
	}
	return h.believed(c, t)
}

// believed holds a request with a good token to what was granted, passes it on
// or not, and tells what became of it.
func (h *host) believed(c echo.Context, t *bearer) (err error) {
	req, began := c.Request(), time.Now()
	var denied error
	defer func() { h.concluded(c, t.Token, began, denied, err) }()
	if wait, ok := h.g.requests.take(limitRequests, t.Subject); !ok {
		denied = tooMany("too_many_requests", "too many requests of this user in a minute", wait)
		return denied
	}
	if denied = h.authorize(req, t); denied != nil {
		return h.denied(c, denied)
	}
	h.route.Observe(req, h.g.config.Audit.ToolCalls)
	denied = h.forward(c, t)
	return denied
}

// authorize holds a request to what was granted.
func (h *host) authorize(req *http.Request, t *bearer) error {
	ctx, span := step(req.Context(), "policy")
	err := h.route.Authorize(ctx, req, t.granted)
	if err != nil {
		endStep(span, "denied")
		return err
	}
	endStep(span, "allowed")
	return nil
}

// ownPath refuses what must never reach an MCP server.
func ownPath(r *http.Request) error {
	allow := "GET, POST"
	switch kindOf(r.URL.Path) {
	case kindMetadata:
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return echo.ErrNotFound
		}
		allow = "GET, HEAD"
	case kindToken:
		allow = "POST"
	}
	return &auth.Error{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Description: "this method is not for this path",
		Header: http.Header{"Allow": {allow}},
	}
}

// denied answers a call that was not passed on.
func (h *host) denied(c echo.Context, err error) error {
	var d *routing.Denied
	var bad *routing.BadMessage
	var large *routing.TooLarge
	var unavailable *routing.Unavailable
	switch {
	case errors.As(err, &d):
		return h.insufficient(c, d)
	case errors.As(err, &bad):
		return badMessage(c, bad)
	case errors.As(err, &large):
		return &auth.Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: large.Error(), Cause: err}
	case errors.As(err, &unavailable):
		return &auth.Error{
			Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: "the MCP server does not say what its scopes cover",
			Header: http.Header{"Retry-After": {"5"}}, Cause: err,
		}
	}
	return err
}

// tooMany is RFC 6585 §4.
func tooMany(code, description string, wait time.Duration) error {
	return &auth.Error{
		Status: http.StatusTooManyRequests, Code: code, Description: description,
		Header: http.Header{"Retry-After": {strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))}},
	}
}

// eventStream is what does not end by itself.
const eventStream = "text/event-stream"

// forward passes a request on, for as long as its grant lasts. A stream that
// only listens ends with the token (X19); an answer to a call is let finish.
func (h *host) forward(c echo.Context, t *bearer) error {
	req := c.Request()
	if !h.route.Serves(req.URL.EscapedPath()) {
		return echo.ErrNotFound
	}
	get, listens := req.Method == http.MethodGet, h.route.Listens(req)
	// A GET may as well be for something that ends by itself.
	s := &stream{from: req.RemoteAddr, listens: listens && (!get || strings.Contains(req.Header.Get("Accept"), eventStream))}
	var who *routing.Caller
	if t != nil {
		who = t.caller
		s.grant, s.user = t.Grant, t.Subject
		if listens {
			s.until = t.Expiry.Add(access.Leeway)
		}
	}
	ctx, ok := h.g.streams.begin(req.Context(), s)
	if !ok {
		return tooMany("too_many_streams", "too many requests of this user are open", 5*time.Second)
	}
	defer h.g.streams.end(s)
	// Whatever ends from here on is told to the stream; what ended while the
	// request was read and judged is not.
	if dead, _ := h.g.grants.Revoked(s.grant); dead {
		return h.unauthorized(c, req.URL.EscapedPath(), access.ErrRevoked)
	}
	if get {
		c.Response().Before(func() {
			if strings.HasPrefix(c.Response().Header().Get("Content-Type"), eventStream) {
				h.g.streams.listens(s)
			}
		})
	}
	*req = *req.WithContext(ctx) // in place: nobody needs the request as it was, and a copy is large
	h.route.Forward(c.Response(), req, who)
	return nil
}

// upstreamFailed answers a request that could not be passed on.
func (g *Gateway) upstreamFailed(w http.ResponseWriter, r *http.Request, status int, cause error) {
	c := g.errorContext(w, r)
	if errors.Is(cause, routing.ErrSession) {
		g.noSession(c)
		return
	}
	e := &auth.Error{Status: status, Code: "upstream_unavailable", Description: "the MCP server does not answer", Cause: cause}
	if status < http.StatusInternalServerError {
		e.Code, e.Description = "invalid_request", "the request cannot be passed on"
	}
	// Where a later attempt may find a server that has started by then. A
	// refused credential or certificate waits for people.
	var dial *net.OpError
	if status == http.StatusGatewayTimeout || errors.As(cause, &dial) {
		e.Header = http.Header{"Retry-After": {"5"}}
	}
	w.Header().Del("Content-Length")
	g.fail(e, c)
}

// noSession answers as MCP servers do for a session that they do not know: the
// client begins a new one.
func (g *Gateway) noSession(c echo.Context) {
	if err := answerRPC(c, http.StatusNotFound, rpcError{Error: rpcFault{-32001, "Session not found", nil}}); err != nil {
		g.log.DebugContext(c.Request().Context(), "an error was not delivered", "cause", err)
	}
}

// errorContext is what an answer needs that is given outside of a handler.
func (g *Gateway) errorContext(w http.ResponseWriter, r *http.Request) echo.Context {
	if res, ok := w.(*echo.Response); ok {
		c := g.echo.NewContext(r, res.Writer)
		c.SetResponse(res)
		return c
	}
	return g.echo.NewContext(r, w)
}
