package routing

import (
	"bytes"
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
// writer of its answer. It is used again for another, but only after an answer
// that came by a hop and did not stream: http.Transport may hold on to a request
// for longer than it takes to answer it.
type exchange struct {
	kept
	http.ResponseWriter
	req    *http.Request // as the client sent it
	caller *Caller
	lists  bool

	session []string // the header, as the server knows it
	query   string   // the same for the query

	early    http.Header // of informational answers, until the real one is there
	answered bool
	stream   bool
	body     clientBody
	pulse    *pulse // of a stream
	unblock  unblock
	hopped   bool // the answer came by a hop

	sessionRoom, addressRoom [1]string // where single values of headers lie
}

// What of an exchange serves the next one.
type kept struct {
	route  *Route
	passes *httputil.ReverseProxy
	again  func() (io.ReadCloser, error)
	header http.Header // of the request as it goes upstream
}

// largeHeader is how many names of headers are too many to keep room for.
const largeHeader = 64

// ErrOver is the cause of a context that ends because a stream has lasted as
// long as it may, and no longer: its client opens another.
var ErrOver = errors.New("the stream is over")

// exchange returns one, new or as good as new.
func (r *Route) exchange() *exchange {
	if x, ok := r.exchanges.Get().(*exchange); ok {
		return x
	}
	x := &exchange{kept: kept{route: r, header: http.Header{}}}
	x.again = x.bodyAgain
	x.passes = &httputil.ReverseProxy{
		Rewrite:        x.rewrite,
		ModifyResponse: x.modify,
		ErrorHandler:   x.fail,
		Transport:      r.forwards,
		BufferPool:     x,
		ErrorLog:       r.noise,
	}
	return x
}

// bodyAgain is a request's GetBody: it lets a connection that turns out to be
// dead before a byte is sent be replaced.
func (x *exchange) bodyAgain() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(x.req.Body.(*replayed).all)), nil
}

// rewrite turns the client's request into the server's. Hop-by-hop headers are
// gone already; what asked for another protocol goes too, for nothing in it
// could be checked.
func (x *exchange) rewrite(p *httputil.ProxyRequest) {
	out, r := p.Out, x.route
	*out.URL = r.upstream.target(p.In, x.query, r.Public)
	delete(out.Header, "Connection")
	delete(out.Header, "Upgrade")
	x.admit(out.Header)
	out.Header = x.header
	out.Host = out.Header.Get("Host")
	delete(out.Header, "Host")
	out.Trailer = nil // some servers take them for headers
	if delete(out.Header, sessionHeader); len(x.session) > 0 {
		out.Header[sessionHeader] = x.session
	}
	// Events that nobody here could read would be events without end, and what
	// is compressed cannot be shortened.
	if x.hides() || p.In.Method == http.MethodGet && accepts(p.In.Header["Accept"], eventStream) {
		delete(out.Header, "Accept-Encoding")
	}
	if body, whole := p.In.Body.(*replayed); whole {
		out.Body = body // which hop knows; to close it does nothing
		delete(out.Header, "Expect")
		// The header makes net/http send a request again that may have been
		// received: that is for the client to decide.
		if out.Header["Idempotency-Key"] == nil && out.Header["X-Idempotency-Key"] == nil {
			out.GetBody = x.again
		}
	} else if out.Body != nil {
		x.body.ReadCloser = out.Body
		out.Body = &x.body
	}
}

// modify lets an answer through. A 401 means us, not the client, whose token
// was good: with it a client would throw its token away.
func (x *exchange) modify(res *http.Response) error {
	x.route.seen(nil)
	_, x.hopped = res.Body.(*hopBody)
	if res.StatusCode < http.StatusContinue {
		return errStatus // net/http would panic
	}
	if res.StatusCode == http.StatusUnauthorized && !x.route.Public {
		return errRejected
	}
	x.stream = x.route.release(res)
	if x.lists && x.route.learns() {
		x.route.Invalidate()
	}
	if err := x.hide(res); err != nil {
		return err
	}
	x.answered = true
	x.ResponseWriter.Header().Del("X-Content-Type-Options") // it is in the answer
	if ids := res.Header[sessionHeader]; x.route.binds(x.caller) {
		for i, id := range ids {
			if id != "" {
				if len(x.session) == 1 && id == x.session[0] {
					ids[i] = x.req.Header[sessionHeader][0] // as it was shown
				} else {
					ids[i] = x.route.bound(id, x.caller)
				}
			}
		}
	}
	if res.ContentLength < 0 || res.ContentLength > largeBuffer { // less never waits for its reader
		x.unblock.begin(x)
	}
	if x.stream {
		x.follow(res)
	}
	x.give(res)
	return nil
}

// give hands an answer's headers over as they are, where the reverse proxy would
// copy each. It decides by the type when to flush.
func (x *exchange) give(res *http.Response) {
	h := x.ResponseWriter.Header()
	for name, values := range res.Header {
		if name != "Content-Type" && h[name] == nil {
			h[name] = values
			delete(res.Header, name)
		}
	}
}

// follow puts what an event stream needs around it.
func (x *exchange) follow(res *http.Response) {
	r := x.route
	res.Body = &ending{ReadCloser: res.Body, ctx: x.req.Context()}
	if r.Enforced && r.learns() {
		res.Body = &watched{ReadCloser: res.Body, seen: r.Invalidate}
	}
	// What is compressed cannot be read, and what has a length cannot grow.
	if len(res.Header["Content-Encoding"]) > 0 || res.ContentLength >= 0 {
		return
	}
	if x.req.Method == http.MethodGet {
		res.Body = &opening{ReadCloser: res.Body, rewrite: x.postTo}
	}
	x.pulse = &pulse{w: x.ResponseWriter, every: r.config.KeepAlive}
}

// finish lets nothing happen to the connection after the request.
func (x *exchange) finish() {
	x.unblock.end()
	if x.pulse != nil {
		x.pulse.end()
	}
	if x.hopped && x.pulse == nil && x.unblock.stop == nil && len(x.header) <= largeHeader {
		x.free()
	}
}

// free lets another request have the exchange.
func (x *exchange) free() {
	clear(x.header)
	*x = exchange{kept: x.kept}
	x.route.exchanges.Put(x)
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
	if ctx.Err() == nil && !x.body.failed.Load() && !errors.Is(err, errRejected) {
		x.route.seen(err)
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
		if x.pulse != nil {
			x.pulse.WriteHeader(status)
			return
		}
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
