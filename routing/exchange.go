package routing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
)

// An exchange is one request under way: the hooks of its reverse proxy, and the
// writer of its answer.
type exchange struct {
	http.ResponseWriter
	route  *Route
	req    *http.Request // as the client sent it
	caller *Caller
	lists  bool

	early    http.Header // of informational answers, until the real one is there
	answered bool
	stream   bool
	body     clientBody
}

func (x *exchange) proxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        x.rewrite,
		ModifyResponse: x.modify,
		ErrorHandler:   x.fail,
		Transport:      x.route.transport,
		FlushInterval:  -1,
		BufferPool:     x,
		ErrorLog:       x.route.noise,
	}
}

// rewrite turns the client's request into the server's. Hop-by-hop headers are
// gone already; what asked for another protocol goes too, for nothing in it
// could be checked.
func (x *exchange) rewrite(p *httputil.ProxyRequest) {
	out, r := p.Out, x.route
	out.URL = r.upstream.target(p.In, r.Public)
	delete(out.Header, "Connection")
	delete(out.Header, "Upgrade")
	r.admit(out.Header, p.In, x.caller)
	out.Host = out.Header.Get("Host")
	delete(out.Header, "Host")
	out.Trailer = nil // some servers take them for headers
	if _, whole := p.In.Body.(*replayed); whole {
		delete(out.Header, "Expect")
		// The header makes net/http send a request again that may have been
		// received: that is for the client to decide.
		if out.Header["Idempotency-Key"] != nil || out.Header["X-Idempotency-Key"] != nil {
			out.GetBody = nil
		}
	} else if out.Body != nil {
		x.body.ReadCloser = out.Body
		out.Body = &x.body
	}
}

// modify lets an answer through. A 401 means us, not the client, whose token
// was good: with it a client would throw its token away.
func (x *exchange) modify(res *http.Response) error {
	if res.StatusCode == http.StatusUnauthorized && !x.route.Public {
		return errRejected
	}
	x.answered = true
	x.stream = x.route.release(res)
	x.ResponseWriter.Header().Del("X-Content-Type-Options") // it is in the answer
	if x.lists {
		x.route.Invalidate()
	}
	if x.stream && x.route.Enforced && !x.route.config.ScopesSet {
		res.Body = &watched{ReadCloser: res.Body, seen: x.route.Invalidate}
	}
	return nil
}

// fail answers where there is no answer to pass on.
func (x *exchange) fail(_ http.ResponseWriter, _ *http.Request, err error) {
	x.answered = true
	ctx := x.req.Context()
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		if ctx.Value(http.ServerContextKey) != nil {
			panic(http.ErrAbortHandler) // returning would say 200
		}
		return
	}
	x.route.options.OnError(x.ResponseWriter, x.req, x.status(err), fmt.Errorf("pass on to %s: %w", x.route.upstream.host, err))
}

func (x *exchange) status(err error) int {
	var slow net.Error
	switch {
	case x.body.failed.Load():
		return http.StatusBadRequest
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Header keeps what an informational answer brings apart from what is already
// said for the real one.
func (x *exchange) Header() http.Header {
	if x.answered {
		return x.ResponseWriter.Header()
	}
	if x.early == nil {
		x.early = http.Header{}
	}
	return x.early
}

// WriteHeader passes informational answers to the connection itself: a writer
// between would take the first status for the last. 100 is between each two
// hops, and net/http says it when the body is wanted.
func (x *exchange) WriteHeader(status int) {
	if status >= 200 {
		x.ResponseWriter.WriteHeader(status)
		return
	}
	if status == http.StatusContinue {
		return
	}
	w := x.ResponseWriter
	for {
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = inner.Unwrap()
	}
	h := w.Header()
	said := maps.Clone(h)
	clear(h)
	if link := x.early["Link"]; link != nil { // all that an early hint is for
		h["Link"] = link
	}
	w.WriteHeader(status)
	clear(h)
	maps.Copy(h, said)
}

// clientBody notes that it was the client whose body broke off.
type clientBody struct {
	io.ReadCloser
	failed atomic.Bool
}

// Read reads on.
func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.failed.Store(true)
	}
	return n, err
}
