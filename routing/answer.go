package routing

import (
	"mime"
	"net/http"
	"slices"
	"strings"
)

const eventStream = "text/event-stream"

// release leaves of a server's answer what may pass, and adds what every answer
// under our name must have.
func (r *Route) release(res *http.Response) (stream bool) {
	h := res.Header
	for name := range h {
		if r.kept(name) {
			delete(h, name)
			delete(res.Trailer, name)
		}
	}
	if cookies := h["Set-Cookie"]; len(cookies) > 0 {
		if cookies = slices.DeleteFunc(cookies, r.ownSetCookie); len(cookies) == 0 {
			delete(h, "Set-Cookie")
		} else {
			h["Set-Cookie"] = cookies
		}
	}
	h["X-Content-Type-Options"] = nosniff
	kind := mediaType(h["Content-Type"])
	if stream = kind == eventStream; stream && len(h["X-Accel-Buffering"]) == 0 {
		h["X-Accel-Buffering"] = []string{"no"}
	}
	// What a browser would show as a page must not act under the name of the
	// consent page's origin.
	if !stream && !r.Public && !isJSON(kind) && (kind != "" || res.ContentLength != 0) {
		h["Content-Security-Policy"] = append(h["Content-Security-Policy"], "sandbox")
	}
	return stream
}

// nosniff is the same in every answer, and never written to.
var nosniff = []string{"nosniff"}

// kept tells whether a header of an answer stays inside: it would speak for our
// origin, or send clients to another authorization server.
func (r *Route) kept(name string) bool {
	switch name {
	case "Server", "Strict-Transport-Security", "Alt-Svc":
		return true
	case "Www-Authenticate", "Clear-Site-Data", "Service-Worker-Allowed", "Public-Key-Pins":
		return !r.Public
	}
	return !r.Public && strings.HasPrefix(name, "Access-Control-")
}

func mediaType(values []string) string {
	if len(values) == 0 {
		return ""
	}
	switch v := values[0]; v {
	case "application/json", eventStream:
		return v
	default:
		kind, _, err := mime.ParseMediaType(v)
		if err != nil || len(values) > 1 {
			return "unknown"
		}
		return kind
	}
}

func isJSON(kind string) bool {
	return kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}
