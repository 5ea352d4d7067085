package routing

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"mcp-oauth2-proxy/routing/mcp"
)

// small bodies are read before the server is called: head and body leave
// together, and a connection that died while it was idle is replaced.
const small = 16 << 10

var (
	errNothing  = errors.New("this host has no MCP server")
	errTarget   = errors.New("the request target has a space")
	errMethod   = errors.New("the method would not end at the MCP server, or shows what we send it")
	errBody     = errors.New("the client's body is not complete")
	errStatus   = errors.New("the status of the answer is below 100")
	errRejected = errors.New("the MCP server answered 401: it refuses the credential it is sent; see the host's authorization and headers")
)

// Forward passes a request on to the MCP server and its answer back, as they
// are. The caller is told to the server in headers; nil on a public host. What
// cannot be passed on is answered by Options.OnError: 502 or 504 for trouble
// with the server, 400 for a request that is broken, 404 and ErrSession for one
// in somebody else's session.
//
// A stream that its server breaks off, and a request whose context ends before
// there is an answer, panic with http.ErrAbortHandler, which is how net/http is
// told to break off the client's connection as well. An event stream whose
// context ends because of ErrOver ends as if the server had ended it.
func (r *Route) Forward(w http.ResponseWriter, req *http.Request, caller *Caller) {
	if status, err := r.refuse(req); err != nil {
		r.options.OnError(w, req, status, err)
		return
	}
	x := r.exchange()
	x.ResponseWriter, x.req, x.caller = w, req, caller
	defer x.finish()
	if !x.sessions() {
		r.options.OnError(w, req, http.StatusNotFound, ErrSession)
		return
	}
	if err := readSmall(req); err != nil {
		if req.Context().Err() == nil {
			r.options.OnError(w, req, http.StatusBadRequest, fmt.Errorf("%w: %w", errBody, err))
		}
		return
	}
	x.lists = r.asksForTools(req)
	x.passes.ServeHTTP(x, req)
}

// refuse names what no MCP server shall see. TRACE would send the client what
// we added; CONNECT is for tunnels.
func (r *Route) refuse(req *http.Request) (int, error) {
	switch {
	case !r.Proxied:
		return http.StatusNotFound, errNothing
	case req.Method == http.MethodTrace || req.Method == http.MethodConnect:
		return http.StatusNotImplemented, errMethod
	case strings.Contains(req.RequestURI, " ") || req.URL.Path != "" && req.URL.Path[0] != '/':
		return http.StatusBadRequest, errTarget
	}
	return 0, nil
}

// readSmall leaves a client alone that waits to be asked for its body.
func readSmall(req *http.Request) error {
	if req.ContentLength <= 0 || req.ContentLength > small || len(req.Header["Expect"]) > 0 {
		return nil
	}
	if _, done := req.Body.(*replayed); done {
		return nil
	}
	body, err := readAll(req.Body, req.ContentLength)
	if err != nil {
		req.Body = broken{err}
		return err
	}
	replay(req, body, nil)
	return nil
}

// broken is a body of which not all came, to whoever reads it next.
type broken struct{ err error }

// Read returns why.
func (b broken) Read([]byte) (int, error) { return 0, b.err }

// Close does nothing.
func (broken) Close() error { return nil }

// Listens tells whether a request does nothing but listen: a GET, or a
// subscription of MCP 2026-07-28. It reads a body that is small enough.
func (r *Route) Listens(req *http.Request) bool {
	if req.Method == http.MethodGet || req.Header.Get("Mcp-Method") == listen {
		return true
	}
	if req.Method != http.MethodPost || readSmall(req) != nil {
		return false
	}
	b, ok := req.Body.(*replayed)
	if !ok {
		return false
	}
	calls := b.calls
	if calls == nil && b.mayListen() {
		calls, _ = mcp.Parse(b.all) // what is no message does not listen
	}
	return slices.ContainsFunc(calls, func(c Call) bool { return c.Method == listen })
}

const listen = "subscriptions/listen"

// asksForTools tells whether the answer will be a list of tools, which ends the
// life of our copy.
func (r *Route) asksForTools(req *http.Request) bool {
	if !r.Enforced {
		return false
	}
	isList := func(c mcp.Call) bool { return c.Method == "tools/list" }
	return req.Header.Get("Mcp-Method") == "tools/list" || slices.ContainsFunc(Calls(req), isList)
}

// learns tells whether what the MCP server says of its tools decides anything.
func (r *Route) learns() bool { return r.Pinned || !r.config.ScopesSet }
