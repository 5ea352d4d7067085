package gateway

import (
	"log/slog"
	"slices"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/routing"
)

// This file turns the configuration into what each package takes. Everything
// was checked before.

func (c *Config) routes() []routing.Config {
	var out []routing.Config
	for _, h := range c.Proxy.Hosts {
		rc := routing.Config{
			Host: h.Host, Scheme: c.Server.Scheme, Name: h.Name, Paths: h.Paths, Public: h.Public,
			Authorization: h.Authorization, IdentityHeaders: h.IdentityHeaders, PreserveHost: h.PreserveHost,
			PinTools: h.PinTools, ScopesSet: h.Scopes != nil, EnforceScopes: h.EnforceScopes, ToolsList: h.ToolsList, UnscopedTools: h.UnscopedTools,
			KeepAlive: h.SSEKeepAlive, TLS: h.trust(),
		}
		if h.Endpoint != "" {
			rc.Endpoint, rc.Socket, _ = routing.ParseEndpoint(h.Endpoint) // checked
		}
		for _, header := range h.Headers {
			rc.Headers = append(rc.Headers, routing.Header{Name: header.Name, Value: header.Value})
		}
		for _, s := range h.Scopes {
			rc.Scopes = append(rc.Scopes, routing.Scope{Name: s.Name, Description: s.Description, Tools: s.Tools})
		}
		for _, p := range h.Pinnable {
			rc.Pinnable = append(rc.Pinnable, routing.PinnableArgument(p))
		}
		out = append(out, rc)
	}
	return out
}

// callbackOrigin is where identity providers send all browsers back to; empty
// if each host has its own callback.
func (c *Config) callbackOrigin() string {
	if c.Proxy.CallbackHost == "" {
		return ""
	}
	return c.Server.Scheme + "://" + c.Proxy.CallbackHost
}

// onlyCallback is the callback host if it is none of the hosts.
func (c *Config) onlyCallback() string {
	if slices.ContainsFunc(c.Proxy.Hosts, func(h HostConfig) bool { return h.Host == c.Proxy.CallbackHost }) {
		return ""
	}
	return c.Proxy.CallbackHost
}

// names are the hosts that need a certificate.
func (c *Config) names() []string {
	var names []string
	for _, h := range c.Proxy.Hosts {
		names = append(names, h.Host)
	}
	if only := c.onlyCallback(); only != "" {
		names = append(names, only)
	}
	return names
}

// confidential says whether a client may use client_credentials.
func (c *Config) confidential() bool {
	for _, cc := range c.Proxy.Clients {
		for _, grant := range cc.Grants {
			if grant == "client_credentials" {
				return true
			}
		}
	}
	return false
}

// admit is a host's own rule, which narrows that of the provider; nil if it has
// none.
func admit(a AllowConfig) func(idp.Identity) error {
	domains, _ := idp.Domains("emailDomains", a.EmailDomains) // checked
	rules := idp.Rules{EmailDomains: domains, Users: a.Users, Groups: a.Groups}
	if len(a.EmailDomains)+len(a.Users)+len(a.Groups) == 0 {
		return nil
	}
	return rules.Admit
}

// slogLevel reads logging.level.
func (l LoggingConfig) slogLevel() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // checked; else info
	return level
}
