package gateway

import (
	"net/http"
	"slices"
	"strings"

	"mcp-oauth2-proxy/auth"
)

// What browsers may send to an MCP endpoint, and read from its answers.
const (
	callMethods = "GET, POST, DELETE, OPTIONS"
	callHeaders = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Last-Event-ID, Mcp-Method, Mcp-Name"
	callExposed = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After"
	formHeaders = "Content-Type, Authorization, MCP-Protocol-Version"
	infoHeaders = "MCP-Protocol-Version, Accept, Content-Type"
	maxAge      = "600"
)

// origins are the browser origins that may call MCP endpoints.
type origins struct {
	any    bool
	listed []string
	cors   bool
}

// allow says whether a page of this origin may call an MCP endpoint of a host
// whose own origin is own. Programs send none.
func (o origins) allow(origin, own string) bool {
	return origin == "" || origin == own || o.any || slices.Contains(o.listed, origin)
}

// share sets the CORS headers of an answer, before anything is answered, so
// that errors have them too. It says whether the request was a preflight.
// The pages that people see get none (OAuth 2.1 §3.1).
func (o origins) share(h http.Header, r *http.Request, own string) (preflight bool) {
	origin := r.Header.Get("Origin")
	preflight = r.Method == http.MethodOptions && origin != "" && r.Header.Get("Access-Control-Request-Method") != ""
	if !o.cors || origin == "" {
		return preflight
	}
	switch kindOf(r.URL.Path) {
	case kindPage, kindForwardAuth:
	case kindMetadata:
		grant(h, preflight, "*", "GET, OPTIONS", infoHeaders, "")
	case kindToken:
		grant(h, preflight, "*", "POST, OPTIONS", formHeaders, "WWW-Authenticate")
	case kindCall:
		h.Add("Vary", "Origin")
		if !o.allow(origin, own) {
			return preflight
		}
		grant(h, preflight, origin, callMethods, callHeaders+announced(r), callExposed)
	}
	return preflight
}

func grant(h http.Header, preflight bool, origin, methods, headers, exposed string) {
	h.Set("Access-Control-Allow-Origin", origin)
	if preflight {
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", headers)
		h.Set("Access-Control-Max-Age", maxAge)
		return
	}
	if exposed != "" {
		h.Set("Access-Control-Expose-Headers", exposed)
	}
}

// announced are the Mcp-Param-* headers that a preflight asks for. There is a
// name for each parameter of a tool, so no list can hold them.
func announced(r *http.Request) string {
	var b strings.Builder
	for name := range strings.SplitSeq(r.Header.Get("Access-Control-Request-Headers"), ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if strings.HasPrefix(name, "mcp-param-") && len(name) < 100 && !strings.ContainsFunc(name, notToken) && b.Len() < 4<<10 {
			b.WriteString(", " + name)
		}
	}
	return b.String()
}

func notToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// A kind of path, as far as CORS, errors and metrics care.
type kind string

const (
	kindPage        kind = "page"
	kindMetadata    kind = "metadata"
	kindToken       kind = "token"
	kindForwardAuth kind = "forward_auth"
	kindCall        kind = "call"
)

func kindOf(path string) kind {
	switch {
	case auth.ForPeople(path), strings.HasPrefix(path, "/consent/"):
		return kindPage
	case path == "/token", path == "/register", path == "/revoke":
		return kindToken
	case path == forwardAuthPath:
		return kindForwardAuth
	case auth.Owns(path):
		return kindMetadata
	}
	return kindCall
}
