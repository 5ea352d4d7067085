package clients

import (
	"net/netip"
	"net/url"
	"strings"
)

// loopback is an http URI on this very machine, taken apart around its port.
type loopback struct{ host, rest string }

// parseLoopback reads the three spellings of RFC 8252 §7.3 and §8.3 by hand:
// a parser that knows more spellings would make two of them equal.
func parseLoopback(uri string) (loopback, bool) {
	for _, host := range []string{"127.0.0.1", "[::1]", "localhost"} {
		rest, ok := strings.CutPrefix(uri, "http://"+host)
		if !ok {
			continue
		}
		if after, ok := strings.CutPrefix(rest, ":"); ok {
			end := strings.IndexAny(after+"/", "/?")
			if !isPort(after[:end]) {
				return loopback{}, false
			}
			rest = after[end:]
		}
		ends := rest == "" || rest[0] == '/' || rest[0] == '?'
		return loopback{host, rest}, ends
	}
	return loopback{}, false
}

// sameButPort is the one exception to comparing strings (U2, U3).
func sameButPort(registered, asked string) bool {
	r, ok := parseLoopback(registered)
	if !ok {
		return false
	}
	a, ok := parseLoopback(asked)
	return ok && r == a
}

// LoopbackOnly reports whether every one of uris leads to the person's own
// machine, where any program may be listening: worth a warning (C13).
func LoopbackOnly(uris []string) bool {
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isLoopback(u.Hostname()) {
			return false
		}
	}
	return len(uris) > 0
}

func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// RedirectHost is what a person is shown of a redirect URI: "claude.ai",
// "localhost" (ports there come and go), "cursor: app".
func RedirectHost(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		if port := u.Port(); port != "" {
			host = strings.TrimSuffix(host, ":"+port)
		}
		return host
	}
	return u.Scheme + ": app"
}
