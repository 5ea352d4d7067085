package gateway

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"mcp-oauth2-proxy/auth"
	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// host is what answers at one public host.
type host struct {
	g        *Gateway
	route    *routing.Route
	auth     *auth.Server
	verifier *access.Verifier[*bearer]
	metrics  *hostMetrics
}

// site is everything that a configuration decides, as one handler: a reload
// makes a new one and swaps it in.
type site struct {
	echo      *echo.Echo
	enter     echo.HandlerFunc // the door, and what is behind it
	series    *series          // what is counted of it
	table     *routing.Table
	providers []*idp.Provider
	scheme    string
	callback  string // the host that has nothing but the callback; empty if there is none
	clients   *clients.Registry
	origins   origins
	trusted   []netip.Prefix
	hsts      bool // a public CA vouches for us, or the operator's own
}

// newSite builds the routers of all hosts of a configuration.
func (g *Gateway) newSite(c *Config) (*site, error) {
	sessions, err := hkdf.Key(sha256.New, g.secret, nil, "mcp-oauth2-proxy sessions of MCP servers", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of sessions: %w", err)
	}
	table, err := routing.NewTable(c.routes(), routing.Options{
		Log: g.log, Now: g.now, MaxBody: c.Server.MaxBodyBytes, Snapshots: snapshots{g.store}, Pins: pins{g.grants},
		Transport: g.tracing.transport(), OwnCookie: auth.OwnCookie, OnError: g.upstreamFailed, SessionKey: sessions,
	})
	if err != nil {
		return nil, err
	}
	registry, err := g.newRegistry(c)
	if err != nil {
		return nil, err
	}
	s := &site{
		echo: echo.New(), table: table, scheme: c.Server.Scheme, callback: c.onlyCallback(), clients: registry, trusted: c.Server.TrustedProxies,
		hsts:    c.TLS.Mode == "acme" || c.TLS.Mode == "files",
		origins: origins{any: slices.Contains(c.Proxy.AllowedOrigins, "*"), listed: c.Proxy.AllowedOrigins, cors: c.Proxy.CORS},
	}
	s.echo.HTTPErrorHandler = g.fail
	s.echo.IPExtractor = s.address
	if s.enter = s.door(s.find); g.tracing != nil {
		s.enter = routed(s.enter)
	}
	if s.providers, err = g.newProviders(c); err != nil {
		return nil, err
	}
	s.series = g.metrics.of(s.counted())
	hosts, err := g.newHosts(c, s, registry)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		h.mount(s.echo.Host(h.route.Host))
	}
	if s.callback != "" {
		g.newHandoff(c, table).Mount(s.echo.Host(s.callback))
	}
	return s, nil
}

// ServeHTTP is Echo's own, but that what stands before its routers was put
// together once, and is not for every request.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.echo.AcquireContext()
	c.Reset(r, w)
	if err := s.enter(c); err != nil {
		s.echo.HTTPErrorHandler(err, c)
	}
	s.echo.ReleaseContext(c) // not where it panics: who knows who holds it then
}

// find routes a request by the host that the door has found.
func (s *site) find(c echo.Context) error {
	r := c.Request()
	s.echo.Routers()[r.Host].Find(r.Method, echo.GetPath(r), c)
	return c.Handler()(c)
}

// counted are the names under which a site is counted: the hosts that ask who
// calls, those that do not, and the identity providers.
func (s *site) counted() (guarded, open, providers []string) {
	for _, route := range s.table.Routes() {
		if route.Public {
			open = append(open, route.Host)
		} else {
			guarded = append(guarded, route.Host)
		}
	}
	if s.callback != "" {
		open = append(open, s.callback)
	}
	for _, p := range s.providers {
		providers = append(providers, p.ID)
	}
	return guarded, open, providers
}

// count says of a request whose it is, so that it is counted there.
func (s *site) count(c echo.Context, host string, k kind) { recorderOf(c).at(s.series.hosts[host], k) }

// mount adds everything a host answers. What is not ours is the MCP server's.
func (h *host) mount(r *echo.Group) {
	if !h.route.Public {
		h.auth.Mount(r)
		r.Any(forwardAuthPath, h.forwardAuth)
	}
	r.Any("/*", h.call)
	r.RouteNotFound("/*", h.call) // methods that nobody lists
}

// door is what every request passes before it is routed: it is given the one
// spelling of a host that we know, or refused.
func (s *site) door(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := c.Request()
		asked := s.asked(req)
		route, ok := s.table.Lookup(asked)
		if !ok && s.callback != "" && routing.Canonical(asked, s.scheme) == s.callback {
			req.Host = s.callback
			s.count(c, s.callback, kindOf(req.URL.Path))
			return next(c)
		}
		if !ok {
			return &auth.Error{
				Status: http.StatusMisdirectedRequest, Code: "misdirected_request", Description: "no MCP server answers to this host",
				Fault: web.FaultNoServer,
			}
		}
		req.Host = route.Host
		s.unveil(req)
		kind := kindOf(req.URL.Path)
		if route.Public { // nothing of ours is there
			kind = kindCall
		}
		s.count(c, route.Host, kind)
		s.guard(c, route.Host)
		// A public host speaks to browsers for itself.
		preflight := !route.Public && s.origins.share(c.Response().Header(), req, route.Origin)
		if kind == kindCall && !s.origins.allow(req.Header.Get("Origin"), route.Origin) {
			return forbidden("pages of this origin may not call MCP servers here")
		}
		if preflight {
			return c.NoContent(http.StatusNoContent)
		}
		if req.Header.Get("Service-Worker") == "script" {
			return forbidden("no service worker may live at this host")
		}
		return next(c)
	}
}

func forbidden(description string) error {
	return &auth.Error{Status: http.StatusForbidden, Code: "forbidden", Description: description}
}

// asked is the host that the client asked for. Only a proxy that the operator
// trusts may say it was another than that of the request.
func (s *site) asked(r *http.Request) string {
	if forwarded := r.Header.Values("X-Forwarded-Host"); len(forwarded) == 1 && s.trusts(peer(r)) {
		return forwarded[0]
	}
	return r.Host
}

// peer is the address of who is connected to us.
func peer(r *http.Request) netip.Addr {
	h, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		h = r.RemoteAddr
	}
	a, _ := netip.ParseAddr(h)
	return a.Unmap().WithZone("")
}

func (s *site) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(s.trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// unveil lets a request come from the client's address, which upstreams are
// told. Where no proxy stands in between it does already.
func (s *site) unveil(r *http.Request) {
	var room [64]byte // on the stack
	a := s.client(r).AppendTo(room[:0])
	if host, _, _ := net.SplitHostPort(r.RemoteAddr); host != string(a) {
		r.RemoteAddr = net.JoinHostPort(string(a), "0")
	}
}

// address is client as a text.
func (s *site) address(r *http.Request) string { return s.client(r).String() }

// client is the client's address: that of the peer, or where trusted proxies
// stand in between, the last one that none of them is.
func (s *site) client(r *http.Request) netip.Addr {
	a := peer(r)
	if !s.trusts(a) {
		return a
	}
	var hops []string
	for _, line := range r.Header.Values("X-Forwarded-For") {
		for hop := range strings.SplitSeq(line, ",") {
			hops = append(hops, strings.TrimSpace(hop))
		}
	}
	for _, hop := range slices.Backward(hops) {
		next, err := netip.ParseAddr(hop)
		if err != nil {
			break // what stands before it cannot be believed either
		}
		if a = next.Unmap().WithZone(""); !s.trusts(a) {
			break
		}
	}
	return a
}
