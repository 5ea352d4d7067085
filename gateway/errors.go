package gateway

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"mcp-oauth2-proxy/auth"
	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"
)

// fail answers an error: the one place where the same fault becomes a redirect
// for a client, a page for a person or JSON for a program.
func (g *Gateway) fail(err error, c echo.Context) {
	if c.Response().Committed || errors.Is(err, http.ErrAbortHandler) {
		return
	}
	e := asRefusal(err)
	ref := g.failedStep(c, e)
	g.logFailure(c, e, ref)
	for name, values := range e.Header {
		c.Response().Header()[http.CanonicalHeaderKey(name)] = values
	}
	switch {
	case e.Redirect != "":
		c.Response().Header().Set("Cache-Control", "no-store")
		c.Response().Header().Set("Referrer-Policy", "no-referrer")
		err = c.Redirect(http.StatusSeeOther, e.Redirect)
	case auth.ForPeople(c.Request().URL.Path):
		err = g.failPage(c, e, ref)
	default:
		err = failJSON(c, e, ref)
	}
	if err != nil {
		g.log.DebugContext(c.Request().Context(), "an error was not delivered", "reference", ref, "cause", err)
	}
}

// reference is what a person can name to whoever reads the log.
func reference() string { return strings.ToLower(rand.Text()[:10]) }

// asRefusal gives every error the two faces of a refusal. What is not one is
// our own fault, and says nothing of itself to the outside.
func asRefusal(err error) *auth.Error {
	var e *auth.Error
	if errors.As(err, &e) {
		return e
	}
	var he *echo.HTTPError
	if errors.As(err, &he) && he.Code < 500 {
		return &auth.Error{
			Status: he.Code, Code: codeOf(he.Code), Description: strings.ToLower(http.StatusText(he.Code)),
			Fault: faultOf(he.Code), Cause: he.Internal,
		}
	}
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrClosed) {
		return &auth.Error{
			Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: "the store does not answer; try again",
			Fault: web.FaultNotNow, Header: http.Header{"Retry-After": {"5"}}, Cause: err,
		}
	}
	return &auth.Error{
		Status: http.StatusInternalServerError, Code: "server_error", Description: "an internal error; the log knows more",
		Fault: web.FaultOurs, Cause: err,
	}
}

func codeOf(status int) string {
	switch status {
	case http.StatusNotFound:
		return "not_found"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed"
	}
	return "invalid_request"
}

func faultOf(status int) web.Fault {
	if status == http.StatusNotFound {
		return web.FaultNotFound
	}
	return web.FaultGeneral
}

// logFailure logs once, where it is handled: our own faults as such, refusals
// only for who looks closer.
func (g *Gateway) logFailure(c echo.Context, e *auth.Error, ref string) {
	level := slog.LevelDebug
	if e.Status >= 500 {
		level = slog.LevelError
	}
	if !g.log.Enabled(c.Request().Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("reference", ref), slog.String("host", c.Request().Host), slog.String("kind", string(kindOf(c.Request().URL.Path))),
		slog.Int("status", e.Status), slog.String("error", e.Code), slog.String("description", e.Description),
	}
	if e.Cause != nil {
		attrs = append(attrs, slog.String("cause", e.Cause.Error()))
	}
	if s := trace.SpanContextFromContext(c.Request().Context()); s.IsSampled() {
		attrs = append(attrs, slog.String("trace_id", s.TraceID().String()))
	}
	g.log.LogAttrs(c.Request().Context(), level, "request refused", attrs...)
}

func (g *Gateway) failPage(c echo.Context, e *auth.Error, ref string) error {
	detail := e.Detail
	if detail == "" && e.Fault.Vague() {
		detail = e.Description
	}
	return g.pages.Show(c.Response(), c.Request(), e.Status, web.Error{
		Status: e.Status, Fault: e.Fault, About: e.About, Detail: detail, Reference: ref, Link: e.Link, Retry: e.Retry, OtherAccount: e.OtherAccount,
	})
}

// failJSON is RFC 6749 §5.2, with a reference.
func failJSON(c echo.Context, e *auth.Error, ref string) error {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if c.Request().Method == http.MethodHead {
		return c.NoContent(e.Status)
	}
	return c.JSON(e.Status, struct {
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
		Reference   string `json:"reference"`
	}{e.Code, e.Description, ref})
}
