//go:build e2e

package attack

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// ownPaths are the gateway's; all else is the MCP server's.
func ownPath(p string) bool {
	switch p {
	case "/register", "/authorize", "/consent", "/signin", "/callback", "/token", "/revoke", "/account", "/openid/v1/jwks", "/authenticate":
		return true
	}
	return strings.Contains(p, "/.well-known/") || strings.HasPrefix(p, "/consent/")
}

func forPeople(p string) bool {
	return slices.Contains([]string{"/authorize", "/consent", "/signin", "/callback", "/account"}, p)
}

// inspect holds what is true of every answer of the gateway.
func (w *world) inspect(r *http.Request, a *answer) {
	s := w.site(r.URL.Host)
	if s == nil || a.status == 0 {
		return
	}
	if a.status == http.StatusInternalServerError {
		w.breaks("no internal error", "%s %s: %s", r.Method, r.URL, a.body)
	}
	w.inspectCookies(r, a)
	if a.to != nil && a.status/100 == 3 && ownPath(r.URL.Path) {
		w.inspectRedirect(r, a, s)
	}
	isPage := strings.HasPrefix(a.header.Get("Content-Type"), "text/html")
	switch {
	case isPage && ownPath(r.URL.Path):
		w.inspectPage(r, a)
	case !ownPath(r.URL.Path):
		w.inspectPassed(r, a, isPage)
	}
	if forPeople(r.URL.Path) && a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Access-Control-Allow-Credentials") != "" {
		w.breaks("no page is read by another", "%s is shared with %s", r.URL.Path, a.header.Get("Access-Control-Allow-Origin"))
	}
}

// inspectCookies: ours are out of reach of scripts, neighbours and other sites,
// and nobody else sets one.
func (w *world) inspectCookies(r *http.Request, a *answer) {
	for _, line := range a.header.Values("Set-Cookie") {
		if !strings.Contains(strings.ToLower(line), "mcp-oauth2-proxy-") {
			continue
		}
		if !ownPath(r.URL.Path) {
			w.breaks("no cookie of ours from outside", "an MCP server sets %q", line)
			continue
		}
		c, err := http.ParseSetCookie(line)
		if err != nil || !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			w.breaks("cookies are kept to one browser and host", "%q", line)
		}
	}
}

// inspectRedirect: to ourselves, to a provider, or to where the client of the
// request registered; and not even there before anybody was asked.
func (w *world) inspectRedirect(r *http.Request, a *answer, s *site) {
	if a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("Cache-Control") != "no-store" {
		w.breaks("no URL is told of", "the redirect of %s has %v", r.URL.Path, a.header)
	}
	to := a.to.String()
	if a.to.Scheme == "https" && a.to.Host == s.host {
		return
	}
	for _, p := range []*provider{w.honest, w.rogue} {
		if strings.HasPrefix(to, p.Issuer+"/authorize?") && (r.URL.Path == "/consent" || r.URL.Path == "/signin") {
			return
		}
	}
	clientID, registered := r.URL.Query().Get("client_id"), false
	if r.URL.Path != "/authorize" {
		req := w.outcome(r, w.attacker).request
		if req == nil {
			w.breaks("no redirect that was not registered", "%s leads to %s, and there is no request", r.URL.Path, to)
			return
		}
		clientID = req.clientID
		// Its person has read where it goes, whatever a document says since.
		registered = r.URL.Path != "/consent" && sameBut(req.redirect, to)
	}
	if !registered && !w.mayReturn(clientID, s, to) {
		w.breaks("no redirect that was not registered", "%s leads to %s", r.URL.Path, to)
	}
	early := a.to.Query().Get("error") != "" && r.Method == http.MethodGet && r.URL.Path != "/callback"
	if early && a.to.Scheme == "https" && clientID != "portal" {
		w.breaks("no redirect before anybody was asked", "%s leads to %s", r.URL.Path, to)
	}
	if a.to.Query().Get("iss") != s.origin {
		w.breaks("every answer names its issuer", "%s", to)
	}
}

// neverRedirects begin what a link of ours never leads to.
var neverRedirects = []string{"javascript:", "data:", "file:", "vbscript:", "blob:"}

// registered are the redirect URIs of a client at a host.
func (w *world) registered(clientID string, s *site) []string {
	for _, c := range w.clients {
		switch {
		case c.ids[s.origin] != clientID:
		case c == w.mine:
			return w.listed
		default:
			return []string{c.redirect}
		}
	}
	if clientID == w.guest && s == w.rogueSite {
		return []string{guestRedirect}
	}
	return nil
}

// mayReturn says whether an address is a registered one, parameters and the
// port of a loopback one aside.
func (w *world) mayReturn(clientID string, s *site, address string) bool {
	return slices.ContainsFunc(w.registered(clientID, s), func(registered string) bool { return sameBut(registered, address) })
}

// sameBut compares two addresses, parameters and the port of a loopback one
// aside.
func sameBut(registered, address string) bool {
	reg, err1 := url.Parse(registered)
	u, err2 := url.Parse(address)
	if err1 != nil || err2 != nil {
		return false
	}
	sameHost := u.Host == reg.Host || reg.Hostname() == "127.0.0.1" && u.Hostname() == reg.Hostname()
	return u.Scheme == reg.Scheme && sameHost && u.Path == reg.Path && u.User == nil
}

// inspectPage: what is shown under our name is ours, and nobody frames it, runs
// in it or learns where it is.
func (w *world) inspectPage(r *http.Request, a *answer) {
	policy := a.header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, part) {
			w.breaks("no page of ours is framed or scripted", "%s lacks %s: %q", r.URL.Path, part, policy)
		}
	}
	if strings.Contains(policy, "unsafe-") || a.header.Get("X-Frame-Options") != "DENY" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") == "" {
		w.breaks("no page of ours is framed or scripted", "%s has %v", r.URL.Path, a.header)
	}
	if strings.ContainsAny(a.body, "\u202e\u202d\u2066\u2067\u200b\u200e\u200f") {
		w.breaks("no text pretends to be ours", "%s has characters that are not seen", r.URL.Path)
	}
	page, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		return
	}
	walk(page, func(n *html.Node) {
		if n.Data == element || n.Data == "iframe" || n.Data == "base" || n.Data == "object" {
			w.breaks("no text pretends to be ours", "%s has the element %s", r.URL.Path, n.Data)
		}
		for _, at := range n.Attr {
			w.inspectAttribute(r, n, at)
		}
	})
}

func (w *world) inspectAttribute(r *http.Request, n *html.Node, at html.Attribute) {
	value := strings.ToLower(strings.TrimSpace(at.Val))
	switch {
	case strings.HasPrefix(at.Key, "on"):
		w.breaks("no text pretends to be ours", "%s has a handler: %s", r.URL.Path, at.Key)
	case at.Key == "action" && !strings.HasPrefix(value, "/"), n.Data == "script" && at.Key == "src" && !strings.HasPrefix(value, "/consent/assets/"):
		w.breaks("no text pretends to be ours", "%s has %s=%q", r.URL.Path, at.Key, value)
	case at.Key == "href":
		for _, scheme := range neverRedirects {
			if strings.HasPrefix(value, scheme) && n.Data != "link" {
				w.breaks("no text pretends to be ours", "%s links to %q", r.URL.Path, value)
			}
		}
	}
}

// inspectPassed: what an MCP server answers does not speak for our origin.
func (w *world) inspectPassed(r *http.Request, a *answer, isPage bool) {
	if a.header.Get("X-Content-Type-Options") != "nosniff" {
		w.breaks("no answer of an MCP server acts as ours", "%s without nosniff: %d %s", r.URL.Path, a.status, a.body)
	}
	policy := strings.Join(a.header.Values("Content-Security-Policy"), ", ")
	if isPage && !strings.Contains(policy, "sandbox") && !strings.Contains(policy, "default-src 'none'") {
		w.breaks("no answer of an MCP server acts as ours", "a page without a sandbox: %q", policy)
	}
	if strings.Contains(a.header.Get("Www-Authenticate"), "evil.") || a.header.Get("Clear-Site-Data") != "" || a.header.Get("Service-Worker-Allowed") != "" ||
		strings.Contains(a.header.Get("Access-Control-Allow-Origin"), "evil.") {
		w.breaks("no answer of an MCP server acts as ours", "%v passes", a.header)
	}
}
