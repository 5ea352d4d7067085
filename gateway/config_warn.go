package gateway

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"mcp-oauth2-proxy/auth/idp"
)

// Warnings are what is allowed but seldom meant. Each starts with its key.
func (c *Config) Warnings() []string {
	var out []string
	for i, h := range c.Proxy.Hosts {
		at := indexKey("proxy.hosts", i)
		u, err := url.Parse(h.Endpoint)
		if err != nil || u.Scheme != "http" || nearby(u.Hostname()) || h.Public {
			continue
		}
		if h.Authorization == authorizationForward {
			out = append(out, fmt.Sprintf("%s.endpoint: access tokens would travel in clear to %s; use https, or authorization: none", at, u.Host))
		} else if h.Authorization != authorizationNone {
			out = append(out, fmt.Sprintf("%s.endpoint: the credential of authorization would travel in clear to %s; use https", at, u.Host))
		}
	}
	if c.Proxy.DisableConsentScreen {
		for i, re := range c.redirectURLs {
			if re.MatchString("https://a.invalid/callback") && re.MatchString("http://127.0.0.1:1/x") {
				out = append(out, fmt.Sprintf("proxy.allowedRedirectURLs[%d]: matches any URL, and nobody is asked (disableConsentScreen): any page could get a token of who is signed in", i))
			}
		}
	}
	return append(out, c.sinceOriginal()...)
}

// nearby says whether a host is this machine or on a private network, as far
// as its name tells.
func nearby(name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !strings.Contains(name, ".") { // of a container, or localhost
		return true
	}
	for _, suffix := range []string{".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc", ".cluster.local", ".test"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// originalKeys are the keys of the program this one grew out of.
var originalKeys = map[string]bool{
	"provider": true, "provider.name": true, "provider.clientID": true, "provider.clientSecret": true, "provider.organization": true,
	"provider.allowedEmailDomains": true, "proxy": true, "proxy.hosts": true, "proxy.hosts.host": true, "proxy.hosts.endpoint": true,
	"proxy.disableConsentScreen": true, "proxy.allowedRedirectURLs": true, "proxy.cors": true, "server": true, "server.addr": true,
	// What a file needs to go on working.
	"tls": true, "tls.mode": true, "provider.allowAnyone": true, "provider.allowedUsers": true, "provider.allowedGroups": true,
	"provider.usernameAsSubject": true, "proxy.allowedOrigins": true,
}

// sinceOriginal says what a configuration file that was written for the
// original proxy no longer means, and the line that gives the old meaning or
// says that the new one is known. Files with keys of ours were not.
func (c *Config) sinceOriginal() []string {
	if c.TLS.Mode != "" && c.TLS.Mode != "off" || !c.given["proxy.hosts"] {
		return nil
	}
	for key := range c.given {
		if !originalKeys[key] {
			return nil
		}
	}
	var out []string
	note := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if !c.given["provider.usernameAsSubject"] {
		note("provider.usernameAsSubject: sub is the provider's stable id now; true makes it the e-mail or login, as before, false keeps the id (usernameAsSubject: true)")
	}
	c.partialMatches(note)
	if c.Proxy.CORS && c.given["proxy.cors"] && !c.given["proxy.allowedOrigins"] {
		note("proxy.allowedOrigins: cors no longer lets pages of every origin call MCP servers; list those that may (allowedOrigins: [\"https://app.example.com\"])")
	}
	if !c.given["server.addr"] {
		note("server.addr: the default is :443 now, it was :8080 (addr: \":8080\")")
	}
	return out
}

// partialMatches names the patterns that matched a part of the value.
func (c *Config) partialMatches(note func(string, ...any)) {
	for i, pattern := range c.Provider.AllowedEmailDomains {
		re, err := regexp.Compile(pattern)
		whole, bad := idp.Domains("", []string{pattern})
		if err == nil && len(bad) == 0 && !anchored(pattern) && re.MatchString("x"+sample(pattern)+"x") && !whole[0].MatchString("x"+sample(pattern)+"x") {
			note("provider.allowedEmailDomains[%d]: %q matches the whole domain now, not a part of it; '^%s$' says so, '^.*(%s).*$' is what it was", i, pattern, pattern, pattern)
		}
	}
	for i, pattern := range c.Proxy.AllowedRedirectURLs {
		if !anchored(pattern) {
			note("proxy.allowedRedirectURLs[%d]: %q matches the whole URL now, not a part of it; '^%s$' says so, '^.*(%s).*$' is what it was", i, pattern, pattern, pattern)
		}
	}
}

func anchored(pattern string) bool {
	return strings.HasPrefix(pattern, "^") && strings.HasSuffix(pattern, "$")
}

func sample(string) string { return "" }
