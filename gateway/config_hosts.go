package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"regexp"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth"
	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/routing"

	"golang.org/x/net/idna"
)

var validName = regexp.MustCompile(`\A([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\z`)

// canonicalHost is routing's spelling, so that there is one.
func canonicalHost(host, scheme string) string {
	if scheme != "http" {
		scheme = "https"
	}
	return routing.Canonical(host, scheme)
}

func (c *Config) checkHosts(f *configFaults) {
	if len(c.Proxy.Hosts) == 0 {
		f.add("proxy.hosts: list at least one MCP server")
	}
	first := map[string]string{}
	for i, h := range c.Proxy.Hosts {
		at := indexKey("proxy.hosts", i)
		if err := c.checkHost(h.Host); err != nil {
			f.add("%s.host: %w", at, err)
		} else if earlier := first[h.Host]; earlier != "" {
			f.add("%s.host: %q is %s.host already, in this or another spelling", at, h.Host, earlier)
		} else {
			first[h.Host] = at
		}
		h.check(f, at)
		if h.Public && h.Host != "" && h.Host == c.Proxy.CallbackHost {
			f.add("proxy.callbackHost: %q is %s, which is public: nothing of the gateway is served there", h.Host, at)
		}
	}
	if c.Proxy.CallbackHost == "" {
		return
	}
	if err := c.checkHost(c.Proxy.CallbackHost); err != nil {
		f.add("proxy.callbackHost: %w", err)
	}
}

// checkHost looks at a canonical host.
func (c *Config) checkHost(host string) error {
	name, port := host, ""
	if h, p, err := net.SplitHostPort(host); err == nil {
		name, port = h, p
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	}
	_, notIP := netip.ParseAddr(name)
	switch ascii, err := idna.Lookup.ToASCII(name); {
	case host == "":
		return errors.New("is missing; it is what clients type, such as mcp.example.com")
	case strings.Contains(host, "/"):
		return fmt.Errorf("%q is not a host; leave out the scheme and the path", host)
	case err == nil && ascii != name && strings.ContainsFunc(name, func(r rune) bool { return r > '~' }):
		return fmt.Errorf("%q is spelled %s in requests; write that", host, ascii)
	case notIP != nil && (!validName.MatchString(name) || len(name) > 253), notIP == nil && strings.Contains(name, "%"):
		return fmt.Errorf("%q is not a host, with a port if it is not the default one", host)
	case port != "" && checkAddr(host) != nil, port == "0":
		return fmt.Errorf("%q has no valid port", host)
	case c.Server.Scheme == "http" && (!loopbackName(name) || c.TLS.Mode != "off"):
		return fmt.Errorf("%q with server.scheme http: that is for loopback hosts with tls.mode off alone; behind another proxy that speaks TLS the scheme is https", host)
	}
	return nil
}

func loopbackName(name string) bool {
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || err == nil && ip.Unmap().IsLoopback()
}

func (h HostConfig) check(f *configFaults, at string) {
	if err := h.checkEndpoint(); err != nil {
		f.add("%s.endpoint: %w", at, err)
	}
	if h.Public && (len(h.Allow.Users) > 0 || len(h.Allow.EmailDomains) > 0 || len(h.Allow.Groups) > 0) {
		f.add("%s.public: nobody is asked who they are, so allow has no effect; keep one of them", at)
	}
	for i, p := range h.Paths {
		if !plainPath(p) {
			f.add("%s.paths[%d]: %q is not a plain path such as /mcp", at, i, p)
		}
	}
	_, bad := idp.Domains(at+".allow.emailDomains", h.Allow.EmailDomains)
	f.addAll("", bad...)
	f.notEmpty(at+".allow.users", h.Allow.Users)
	f.notEmpty(at+".allow.groups", h.Allow.Groups)
	if !validAuthorization(h.Authorization) {
		f.add(`%s.authorization: is neither forward nor none, nor a credential to send, such as "Bearer …"`, at)
	}
	f.addAll(at+".", h.trust().Check())
	if d := h.SSEKeepAlive; d != 0 && (d < time.Second || d > time.Hour) {
		f.add("%s.sseKeepAlive: %s is not between 1s and 1h, and not 0, which is never", at, d)
	}
	f.oneOf(at+".toolsList", h.ToolsList, "all", "granted")
	f.oneOf(at+".unscopedTools", h.UnscopedTools, "allow", "deny")
	h.checkHeaders(f, at)
	h.checkScopes(f, at)
	h.checkPinnable(f, at)
}

// maxSocket is how long the path of a unix socket may be everywhere.
const maxSocket = 103

func (f *configFaults) notEmpty(key string, list []string) {
	for i, s := range list {
		if strings.TrimSpace(s) == "" {
			f.add("%s[%d]: is empty", key, i)
		}
	}
}

func (h HostConfig) checkEndpoint() error {
	if h.Endpoint == "" {
		if h.Public {
			return errors.New("is missing; a public host has nothing else to serve")
		}
		return nil
	}
	u, socket, err := routing.ParseEndpoint(h.Endpoint)
	switch {
	case err != nil:
		return err
	case u.User != nil:
		return fmt.Errorf("%q holds a username or a password; use authorization", u.Redacted())
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(h.Endpoint, "#"):
		return fmt.Errorf("%q has a query or a fragment", u.Redacted())
	case u.Port() != "" && checkAddr(u.Host) != nil:
		return fmt.Errorf("%q has no valid port", h.Endpoint)
	case u.Scheme != "https" && h.trust() != routing.TLS{}:
		return fmt.Errorf("%q is not https, so caFile, clientCert, clientKey and serverName have no effect", h.Endpoint)
	case len(socket) > maxSocket:
		return fmt.Errorf("%q: the path of a socket has at most %d bytes", h.Endpoint, maxSocket)
	case !h.Public && (auth.Owns(u.Path) || u.Path == forwardAuthPath):
		return fmt.Errorf("%q: the path %s is the gateway's own", h.Endpoint, u.Path)
	}
	return nil
}

func plainPath(p string) bool {
	return strings.HasPrefix(p, "/") && !strings.ContainsAny(p, "?#%\\;") &&
		(path.Clean(p) == p || path.Clean(p)+"/" == p) && !strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == 0x7f })
}
