package routing

import (
	"net/url"
	"strings"
)

const maxResource = 2048 // it ends in every token

// Audience returns who a token is for when the client asked for a resource: the
// origin, then the resource without a trailing slash. Without one, or for the
// origin itself, that is the MCP endpoint. A resource of another host, or one
// that is not written as RFC 8707 asks, gets false.
func (r *Route) Audience(resource string) ([]string, bool) {
	asked := r.resource
	if resource != "" {
		p, ok := r.pathOf(resource)
		if !ok {
			return nil, false
		}
		if p = strings.TrimRight(p, "/"); p != "" {
			asked = r.Origin + p
		}
	}
	if asked == r.Origin {
		return []string{r.Origin}, true
	}
	return []string{r.Origin, asked}, true
}

// pathOf returns the path of a URI of this very host.
func (r *Route) pathOf(resource string) (string, bool) {
	if len(resource) > maxResource || strings.ContainsFunc(resource, notInURI) || strings.ContainsAny(resource, "?#") {
		return "", false
	}
	u, err := url.Parse(resource)
	if err != nil || u.Opaque != "" || u.User != nil || u.Host == "" {
		return "", false
	}
	if u.Scheme != r.scheme || Canonical(u.Host, r.scheme) != r.Host {
		return "", false
	}
	if dotted(u.Path) {
		return "", false
	}
	_, rest, _ := strings.Cut(resource, "://")
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:], true
	}
	return "", true
}

// notInURI tells what RFC 3986 does not allow anywhere in a URI.
func notInURI(c rune) bool {
	return c <= ' ' || c >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", c)
}

func dotted(p string) bool {
	for seg := range strings.SplitSeq(p, "/") {
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}
