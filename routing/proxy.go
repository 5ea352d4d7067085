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
	errRejected = errors.New("the MCP server answered 401: it refuses the credential it is sent; see the host's authorization and headers")
)

// Forward passes a request on to the MCP server and its answer back, as they
// are. The caller is told to the server in headers; nil on a public host. What
// cannot be passed on is answered by Options.OnError: 502 or 504 for trouble
// with the server, 400 for a request that is broken.
//
// A stream that its server breaks off, and a request whose context ends before
// there is an answer, panic with http.ErrAbortHandler, which is how net/http is
// told to break off the client's connection as well.
func (r *Route) Forward(w http.ResponseWriter, req *http.Request, caller *Caller) {
	if status, err := r.refuse(req); err != nil {
		r.options.OnError(w, req, status, err)
		return
	}
	if err := readSmall(req); err != nil {
		if req.Context().Err() == nil {
			r.options.OnError(w, req, http.StatusBadRequest, fmt.Errorf("%w: %w", errBody, err))
		}
		return
	}
	x := &exchange{ResponseWriter: w, route: r, req: req, caller: caller, lists: r.asksForTools(req)}
	x.proxy().ServeHTTP(x, req)
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
		return err
	}
	replay(req, body, nil)
	return nil
}

// asksForTools tells whether the answer will be a list of tools, which ends the
// life of our copy.
func (r *Route) asksForTools(req *http.Request) bool {
	if !r.Enforced || r.config.ScopesSet {
		return false
	}
	isList := func(c mcp.Call) bool { return c.Method == "tools/list" }
	return req.Header.Get("Mcp-Method") == "tools/list" || slices.ContainsFunc(Calls(req), isList)
}
