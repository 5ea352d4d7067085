package gateway

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// This file has the spans. Their names and attributes are those of the semantic
// conventions for HTTP, but for what could hold a secret or an address of
// somebody: neither paths, queries and headers as they came, nor who sent them.

// begin makes a span of a request. A trace that the caller has begun goes on, so
// that an agent's trace shows what its calls did here.
func (t *tracing) begin(r *http.Request, scheme string) (*http.Request, trace.Span) {
	ctx := t.context.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	method := methodName(r.Method)
	ctx, span := t.tracer.Start(ctx, spanName(method, ""), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		semconv.HTTPRequestMethodKey.String(method), semconv.URLScheme(scheme), semconv.NetworkProtocolVersion(version(r)),
	))
	return r.WithContext(ctx), span
}

// routed names the span of a request by the route that answered it, once that
// is known.
func routed(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		defer func() {
			req, span := c.Request(), trace.SpanFromContext(c.Request().Context())
			if c.Path() != "" && span.IsRecording() {
				host := url.URL{Host: req.Host}
				span.SetName(spanName(methodName(req.Method), c.Path()))
				span.SetAttributes(semconv.HTTPRoute(c.Path()), semconv.ServerAddress(host.Hostname()))
			}
		}()
		return next(c)
	}
}

// endRequest ends the span of a request.
func endRequest(s trace.Span, status int) {
	s.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= http.StatusInternalServerError {
		s.SetAttributes(semconv.ErrorTypeKey.String(statusNames[statusIndex(status)]))
		s.SetStatus(codes.Error, "")
	}
	s.End()
}

func spanName(method, route string) string {
	if method == "_OTHER" {
		method = "HTTP"
	}
	return strings.TrimSuffix(method+" "+route, " ")
}

// traceTool names the tool that a request calls, if it is one that the MCP
// server lists.
func traceTool(ctx context.Context, tool string, listed bool) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(keyMethod.String("tools/call"))
	if listed {
		span.SetAttributes(keyTool.String(tool))
	}
}

// methodName is a method, of those there are.
func methodName(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return m
	}
	return "_OTHER"
}

func version(r *http.Request) string {
	if r.ProtoMajor == 1 {
		return strings.TrimPrefix(r.Proto, "HTTP/")
	}
	return string(rune('0' + r.ProtoMajor%10))
}

// trip is a round trip that is a span of its own, where it is part of a request.
type trip struct {
	next http.RoundTripper
	tell bool // the server is told which trace it is part of
}

// transport makes calls to MCP servers part of their trace; nil if requests are
// not traced.
func (t *tracing) transport() func(http.RoundTripper) http.RoundTripper {
	if t == nil {
		return nil
	}
	return func(next http.RoundTripper) http.RoundTripper { return trip{next, true} }
}

// client makes calls to identity providers part of their trace. They are told
// nothing of it. base may be nil.
func (t *tracing) client(base *http.Client) *http.Client {
	if t == nil {
		return base
	}
	traced := &http.Client{Transport: trip{http.DefaultTransport, false}}
	if base != nil {
		traced.Timeout = base.Timeout
		if base.Transport != nil {
			traced.Transport = trip{base.Transport, false}
		}
	}
	return traced
}

// RoundTrip implements http.RoundTripper.
func (t trip) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, span := step(req.Context(), methodName(req.Method), trace.WithSpanKind(trace.SpanKindClient))
	if span == nil && !t.tell {
		return t.next.RoundTrip(req)
	}
	out := req.Clone(ctx)
	if t.tell {
		tell(ctx, out.Header)
	}
	if span == nil {
		return t.next.RoundTrip(out)
	}
	span.SetAttributes(semconv.HTTPRequestMethodKey.String(methodName(req.Method)), semconv.ServerAddress(req.URL.Hostname()))
	res, err := t.next.RoundTrip(out)
	if err != nil {
		span.SetAttributes(semconv.ErrorTypeKey.String("transport"))
		span.SetStatus(codes.Error, "")
		span.End()
		return nil, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(res.StatusCode))
	if res.StatusCode >= http.StatusBadRequest {
		span.SetAttributes(semconv.ErrorTypeKey.String(statusNames[statusIndex(res.StatusCode)]))
		span.SetStatus(codes.Error, "")
	}
	res.Body = &spanBody{ReadCloser: res.Body, end: sync.OnceFunc(func() { span.End() })}
	return res, nil
}

// tell puts the trace of a request into what is sent on for it, in place of what
// the client said of traces. Baggage from outside ends here: it is for those who
// know each other.
func tell(ctx context.Context, h http.Header) {
	delete(h, "Traceparent")
	delete(h, "Tracestate")
	delete(h, "Baggage")
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
}

// spanBody ends a span with the answer.
type spanBody struct {
	io.ReadCloser
	end func()
}

// Read reads on.
func (b *spanBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end()
	}
	return n, err
}

// Close closes it.
func (b *spanBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// Attributes that semconv has not: those of the conventions for MCP, which are
// still being written, and what came of a step.
const (
	keyMethod attribute.Key = "mcp.method.name"
	keyTool   attribute.Key = "gen_ai.tool.name"
	keyResult attribute.Key = "mcp_oauth2_proxy.result"
)
