package doctor

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// A shared is a place that a page of another origin has to be able to use.
type shared struct {
	what, address, method, headers string
	needed                         bool // the client fails without
}

// cors asks what a browser would ask before the client in it may speak.
func (c *client) cors(ctx context.Context) finding {
	if c.Browser == "" {
		return skip("this client is not a page")
	}
	var places []shared
	if c.document != nil {
		places = append(places, shared{"the resource metadata", c.document.at, http.MethodGet, "mcp-protocol-version", true})
	}
	if c.server != nil {
		places = append(places, shared{"the authorization server metadata", c.server.at, http.MethodGet, "mcp-protocol-version", true})
	}
	if address := c.registrationEndpoint(); address != "" {
		places = append(places, shared{"the registration endpoint", address, http.MethodPost, "content-type", true})
	}
	places = append(places,
		shared{"the token endpoint", c.tokenEndpoint(), http.MethodPost, "content-type", true},
		shared{"the MCP endpoint", c.target.String(), http.MethodPost, "authorization,content-type,mcp-protocol-version", false})
	for _, p := range places {
		if why := c.preflight(ctx, p); why != "" {
			f := wrong("%s does not let a page of %s in: %s", p.what, c.Browser, why).by("Fetch standard, CORS protocol").
				fixed("send Access-Control-Allow-Origin there, and answer OPTIONS without a token").matters(p.needed)
			if !p.needed {
				f.fix = "allow the origin if people use this client's direct connection; its proxy does not need it"
			}
			return f
		}
	}
	return ok("all that a page needs")
}

// preflight says why a browser would not go on; empty if it would.
func (c *client) preflight(ctx context.Context, p shared) string {
	if !c.secure(p.address) {
		return p.address + " is not an https URL"
	}
	a := c.web.do(ctx, http.MethodOptions, p.address, nil,
		"Origin", c.Browser, "Access-Control-Request-Method", p.method, "Access-Control-Request-Headers", p.headers)
	if a.err != nil || a.status/100 != 2 {
		return "OPTIONS answers " + a.String()
	}
	if !c.lets(a.header) {
		return "no Access-Control-Allow-Origin"
	}
	if methods := split(a.header.Get("Access-Control-Allow-Methods")); p.method != http.MethodPost && p.method != http.MethodGet && !slices.Contains(methods, strings.ToLower(p.method)) {
		return p.method + " is not in Access-Control-Allow-Methods"
	}
	allowed := split(a.header.Get("Access-Control-Allow-Headers"))
	for _, name := range strings.Split(p.headers, ",") {
		if !slices.Contains(allowed, name) && (name == "authorization" || !slices.Contains(allowed, "*")) {
			return name + " is not in Access-Control-Allow-Headers"
		}
	}
	if p.method == http.MethodGet && !c.lets(c.web.do(ctx, p.method, p.address, nil, "Origin", c.Browser).header) {
		return "the answer itself has no Access-Control-Allow-Origin"
	}
	return ""
}

func (c *client) lets(h http.Header) bool {
	origin := h.Get("Access-Control-Allow-Origin")
	return origin == "*" || origin == c.Browser
}

func split(list string) []string {
	var names []string
	for _, name := range strings.Split(list, ",") {
		names = append(names, strings.ToLower(strings.TrimSpace(name)))
	}
	return names
}
