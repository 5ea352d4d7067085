package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"mcp-oauth2-proxy/auth"
	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/routing"

	"github.com/labstack/echo/v4"
)

// An outcome is what became of a request with a good token. It lives on the
// stack of the request: whoever is told keeps nothing of it.
type outcome struct {
	token  *access.Token
	calls  []routing.Call // the messages of the body, as far as it was read
	unread error          // why calls may have been there that nobody here saw
	denied error          // why it was not passed on; nil if it was
	status int            // 0: there was no answer
	in     int64          // bytes of the body
	out    int64          // bytes of the answer
	took   time.Duration
}

// called is told once of every request with a good token, when its answer has
// ended. It is the one place that counts and records calls.
func (h *host) called(ctx context.Context, o *outcome) {
	h.countCalls(ctx, o)
	h.g.attempts.called(h.route.Host, o)
	if o.denied == nil && !h.g.config.Audit.ToolCalls {
		return
	}
	h.recordCalls(ctx, o)
}

// concluded makes an outcome of a request that call has answered, or was broken
// off, with the error that remains to be answered.
func (h *host) concluded(c echo.Context, t *access.Token, began time.Time, denied, err error) {
	seen := routing.Read(c.Request())
	o := outcome{
		token: t, calls: seen.Calls, unread: seen.Unread, denied: denied,
		status: c.Response().Status, in: seen.Bytes, out: c.Response().Size, took: time.Since(began),
	}
	if !c.Response().Committed {
		o.status = 0 // the client is gone
		if err != nil {
			o.status = asRefusal(err).Status
		}
	}
	if o.in == 0 {
		o.in = max(0, c.Request().ContentLength) // it was refused before it was kept
	}
	h.called(c.Request().Context(), &o)
}

// countCalls counts the calls of tools there were, and says in the trace which.
func (h *host) countCalls(ctx context.Context, o *outcome) {
	counted := false
	for i := range o.calls {
		if o.calls[i].Tool == "" {
			continue
		}
		tool, listed := h.route.Tool(o.calls[i].Tool)
		h.metrics.tools.called(tool, listed, o.denied == nil)
		if !counted {
			traceTool(ctx, tool, listed)
			h.metrics.tools.time.Observe(o.took.Seconds())
		}
		counted = true
	}
}

// recordCalls writes a line for each call of a tool. A body that could not be
// read has one as well: nobody knows what it called.
func (h *host) recordCalls(ctx context.Context, o *outcome) {
	told := false
	for _, call := range o.calls {
		if call.Tool != "" {
			h.recordCall(ctx, o, call)
			told = true
		}
	}
	if !told && (o.denied != nil || o.unread != nil) {
		h.recordCall(ctx, o, routing.Call{})
	}
}

func (h *host) recordCall(ctx context.Context, o *outcome, call routing.Call) {
	event, reason, needed := audit.CallAllowed, "", ""
	if o.denied != nil {
		event = audit.CallDenied
		reason, needed = whyDenied(o.denied, call.Tool)
	} else if o.unread != nil {
		reason = "unread"
	}
	arguments := audit.Text("arguments", "")
	if h.g.config.Audit.Arguments {
		arguments = audit.JSON("arguments", call.Arguments, maxArguments)
	}
	h.g.audit.Record(ctx, event, audit.Host(h.route.Host), audit.Client(o.token.ClientID), audit.Subject(o.token.Subject),
		audit.Grant(o.token.Grant), audit.Text("jti", o.token.ID), audit.Text("tool", call.Tool), audit.Text("reason", reason), audit.Text("needed", needed),
		audit.Count("status", int64(o.status)), audit.Count("bytes_in", o.in), audit.Count("bytes_out", o.out),
		audit.Milliseconds("duration_ms", o.took), arguments)
}

// whyDenied is a denial in the words of the audit log. Of a batch one call is
// denied and takes the others along.
func whyDenied(err error, tool string) (reason, needed string) {
	var d *routing.Denied
	var bad *routing.BadMessage
	var large *routing.TooLarge
	var unavailable *routing.Unavailable
	switch {
	case errors.As(err, &d):
		if d.Tool != tool {
			return "batch", ""
		}
		return why(d), d.Scope
	case errors.As(err, &bad):
		return "unreadable", ""
	case errors.As(err, &large):
		return "too_large", ""
	case errors.As(err, &unavailable):
		return "unavailable", ""
	}
	var e *auth.Error
	if errors.As(err, &e) && e.Status == http.StatusTooManyRequests {
		return e.Code, ""
	}
	return "refused", ""
}
