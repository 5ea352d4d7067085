package routing

import (
	"net/http"
	"net/url"
	"strings"
)

// target is where a request goes upstream: the path and query as the client
// wrote them, byte for byte, at the endpoint's origin. Nothing is cleaned, for
// the server decides what its paths mean. The query may have been another one.
func (u *upstream) target(req *http.Request, query string, keepToken bool) url.URL {
	out := url.URL{
		Scheme: u.scheme, Host: u.host,
		Path: req.URL.Path, RawPath: req.URL.RawPath,
		RawQuery: query, ForceQuery: req.URL.ForceQuery,
	}
	if !keepToken && out.RawQuery != "" {
		out.RawQuery = withoutToken(out.RawQuery)
	}
	// url.URL writes some bytes of a path its own way; Opaque is left alone. It
	// cannot begin with two slashes, which mean an authority.
	if raw := writtenPath(req); raw != "" && raw != out.EscapedPath() && !strings.HasPrefix(raw, "//") {
		out.Opaque = raw
	}
	return out
}

// writtenPath is the path of the request line, if it is still that of the URL.
func writtenPath(req *http.Request) string {
	raw, _, _ := strings.Cut(req.RequestURI, "?")
	if !strings.HasPrefix(raw, "/") {
		return ""
	}
	if plain, err := url.PathUnescape(raw); err != nil || plain != req.URL.Path {
		return ""
	}
	return raw
}

// withoutToken takes access_token out of a query, for a token in a URL ends in
// logs (OAuth 2.1 §5.1). All else stays as it was written.
func withoutToken(query string) string {
	if !strings.Contains(query, "access_token") && !strings.Contains(query, "%") {
		return query
	}
	kept := make([]byte, 0, len(query))
	for rest, more := query, true; more; {
		end := strings.IndexAny(rest, "&;") + 1
		if more = end > 0; !more {
			end = len(rest)
		}
		part := rest[:end]
		switch rest = rest[end:]; {
		case !isToken(strings.TrimRight(part, "&;")):
			kept = append(kept, part...)
		case !more && len(kept) > 0: // the last: with the separator before it
			kept = kept[:len(kept)-1]
		}
	}
	return string(kept)
}

func isToken(part string) bool {
	name, _, _ := strings.Cut(part, "=")
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	return name == "access_token"
}
