package routing

import (
	"net"
	"net/http"
	"slices"
)

// asserted are headers by which some front end, ours or another, tells a server
// who calls, from where, or what to take the request for. An MCP server that
// trusts one must never get it from outside. Those that end in a dash, or stand
// for a family, match what begins with them.
var asserted = map[byte][]string{
	'c': {"cf-access-", "cf-connecting-ip", "client-cert", "client-ip"},
	'f': {"fastly-client-ip", "forwarded"},
	'i': {"impersonate-"},
	'p': {"proxy"},
	'r': {"remote-"},
	's': {"ssl-client"},
	't': {"tailscale-", "true-client-ip"},
	'x': {
		"x-amzn-mtls-", "x-amzn-oidc-", "x-auth-request", "x-auth-user", "x-auth-email", "x-auth-groups", "x-auth-subject", "x-authenticated", "x-authentik-",
		"x-client-cert", "x-client-dn", "x-client-ip", "x-client-verify", "x-cluster-client-ip", "x-consumer-",
		"x-credential-", "x-email", "x-envoy-", "x-forwarded", "x-goog-authenticated-user", "x-goog-iap-", "x-groups",
		"x-host", "x-http-method", "x-id-token", "x-jwt-", "x-method-override", "x-ms-client-principal", "x-ms-token", "x-oidc-",
		"x-original-", "x-pomerium-", "x-preferred-username", "x-principal", "x-real-ip", "x-remote-", "x-rewrite-url", "x-saml-",
		"x-scopes", "x-spiffe-", "x-ssl-", "x-sso-", "x-subject", "x-user", "x-vouch-",
		"x-webauth-",
	},
}

// relied are headers that the request is framed, judged or understood by.
// Spelled with anything but dashes they are other headers to us, and the same
// ones to servers that speak CGI.
var relied = []string{
	"content-encoding", "content-length", "content-type", "transfer-encoding",
	"mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id", "last-event-id",
}

// foreign tells whether a header must not come from outside: one that asserts
// something, one that we add ourselves, or the shadow of one relied upon.
func (r *Route) foreign(name string) bool {
	var space [64]byte
	plain, odd := normal(space[:0], name)
	if len(plain) == 0 {
		return true
	}
	for _, prefix := range asserted[plain[0]] {
		if len(plain) >= len(prefix) && string(plain[:len(prefix)]) == prefix {
			return true
		}
	}
	if r.added[string(plain)] {
		return true
	}
	return odd && slices.Contains(relied, string(plain))
}

// normal spells a header's name in lower case and with dashes only, as far as
// it fits: no name that matters is longer. It tells whether anything but dashes
// stood there.
func normal(space []byte, name string) (plain []byte, odd bool) {
	for i := range min(len(name), cap(space)) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		default:
			c, odd = '-', true
		}
		space = append(space, c)
	}
	return space, odd
}

// ownHeaders are what we send upstream whoever calls.
func ownHeaders(c Config, host string) http.Header {
	h := http.Header{}
	for _, add := range c.Headers {
		h.Add(add.Name, add.Value)
	}
	switch c.Authorization {
	case "", "forward", "none":
	default:
		if !c.Public {
			h["Authorization"] = []string{c.Authorization}
		}
	}
	h["X-Forwarded-Host"] = []string{host}
	h["X-Forwarded-Proto"] = []string{c.Scheme}
	if c.PreserveHost {
		h["Host"] = []string{host}
	}
	return h
}

// addedNames are the headers of ours, as normal spells them.
func addedNames(own http.Header) map[string]bool {
	added := map[string]bool{}
	for name := range own {
		plain, _ := normal(make([]byte, 0, 64), name)
		added[string(plain)] = true
	}
	return added
}

// admit puts what may pass of a client's headers, and ours, where the request
// that goes upstream has its own.
func (x *exchange) admit(from http.Header) {
	r, h := x.route, x.header
	for name, values := range from {
		if !r.foreign(name) {
			h[name] = values
		}
	}
	if r.config.Authorization == "none" && !r.Public {
		delete(h, "Authorization")
	}
	r.dropCookies(h)
	delete(h, "Host")
	for name, values := range r.own {
		h[name] = values
	}
	if ip := clientIP(x.req.RemoteAddr); ip != "" {
		x.addressRoom[0] = ip
		h["X-Forwarded-For"] = x.addressRoom[:]
	}
	if x.caller != nil && r.config.IdentityHeaders {
		x.caller.SetHeaders(h)
	}
}

func clientIP(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return host
}
