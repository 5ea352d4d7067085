package gateway

import (
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/idp"
)

// configDefaults are the values of keys that nobody wrote. Every default that
// is not the zero value is here or in hostDefaults.
func configDefaults() map[string]any {
	return map[string]any{
		"proxy.cors":                            true,
		"proxy.registration.dynamic":            true,
		"proxy.registration.metadataDocuments":  true,
		"server.addr":                           ":443",
		"server.httpAddr":                       ":80",
		"server.adminAddr":                      "127.0.0.1:9090",
		"server.scheme":                         "https",
		"server.shutdownGrace":                  30 * time.Second,
		"server.maxBodyBytes":                   10 << 20,
		"server.heapFloor":                      64 << 20,
		"server.limits.registrationsPerMinute":  60,
		"server.limits.authorizationsPerMinute": 60,
		"server.limits.failedSigninsPerMinute":  10,
		"server.limits.streamsPerUser":          100,
		"tls.acme.directoryURL":                 "https://acme-v02.api.letsencrypt.org/directory",
		"token.accessTTL":                       time.Hour,
		"token.refreshIdleTTL":                  30 * 24 * time.Hour,
		"token.refreshTTL":                      90 * 24 * time.Hour,
		"token.keyRotation":                     time.Hour,
		"token.algorithm":                       "RS256",
		"session.ttl":                           12 * time.Hour,
		"store.url":                             "bolt:///var/lib/mcp-oauth2-proxy/state.db",
		"store.connectTimeout":                  30 * time.Second,
		"store.staleAfter":                      30 * time.Second,
		"audit.toolCalls":                       true,
		"audit.keyTTL":                          400 * 24 * time.Hour,
		"tracing.sampleRatio":                   1.0,
		"logging.level":                         "info",
		"logging.format":                        "json",
	}
}

// defaultHosts does the same for the entries of proxy.hosts, which viper does
// not reach.
func defaultHosts(tree map[string]any) {
	proxy, _ := tree["proxy"].(map[string]any)
	hosts, _ := proxy["hosts"].([]any)
	for _, one := range hosts {
		host, _ := one.(map[string]any)
		for name, value := range hostDefaults() {
			if _, given := host[name]; !given {
				host[name] = value
			}
		}
	}
}

func hostDefaults() map[string]any {
	return map[string]any{
		"authorization":   authorizationForward,
		"identityHeaders": true,
		"enforceScopes":   true,
		"toolsList":       "all",
		"unscopedTools":   "allow",
		"sseKeepAlive":    25 * time.Second,
		"pinTools":        true,
	}
}

// complete fills in what follows from other keys.
func (c *Config) complete() {
	if c.given["provider"] {
		c.Providers = append([]idp.Config{c.Provider}, c.Providers...)
	}
	for i := range c.Proxy.Hosts {
		h := &c.Proxy.Hosts[i]
		h.Host = canonicalHost(h.Host, c.Server.Scheme)
		if h.Name == "" {
			h.Name = h.Host
		}
	}
	if c.Proxy.CallbackHost != "" {
		c.Proxy.CallbackHost = canonicalHost(c.Proxy.CallbackHost, c.Server.Scheme)
	}
	c.Logging.Level = strings.ToLower(c.Logging.Level)
}
