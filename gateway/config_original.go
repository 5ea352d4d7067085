package gateway

import (
	"fmt"
	"regexp/syntax"
)

// originalKeys are the keys of the program this one grew out of.
var originalKeys = map[string]bool{
	"provider": true, "provider.name": true, "provider.clientID": true, "provider.clientSecret": true, "provider.organization": true,
	"provider.allowedEmailDomains": true, "proxy": true, "proxy.hosts": true, "proxy.hosts.host": true, "proxy.hosts.endpoint": true,
	"proxy.disableConsentScreen": true, "proxy.allowedRedirectURLs": true, "proxy.cors": true, "server": true, "server.addr": true,
	// What says that a change is known.
	"tls": true, "tls.mode": true, "provider.usernameAsSubject": true, "proxy.allowedOrigins": true,
}

// sinceOriginal says what a configuration file that was written for the
// original proxy no longer means, and the line that gives the old meaning or
// says that the new one is known. A file with other keys of ours is a new one.
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
	for _, list := range []struct {
		key, what string
		patterns  []string
	}{
		{"provider.allowedEmailDomains", "domain", c.Provider.AllowedEmailDomains},
		{"proxy.allowedRedirectURLs", "URL", c.Proxy.AllowedRedirectURLs},
	} {
		for i, pattern := range list.patterns {
			if anchored(pattern) {
				continue
			}
			note("%s[%d]: %q matches the whole %s now, not a part of it; '^(%s)$' says so, '^.*(%s).*$' is what it was",
				list.key, i, pattern, list.what, pattern, pattern)
		}
	}
}

// anchored says whether a pattern could match nothing but a whole value. In
// '^a|b$' each anchor is of one branch only.
func anchored(pattern string) bool {
	re, err := syntax.Parse(pattern, syntax.Perl)
	return err == nil && re.Op == syntax.OpConcat &&
		re.Sub[0].Op == syntax.OpBeginText && re.Sub[len(re.Sub)-1].Op == syntax.OpEndText
}
