package gateway

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
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
	if host, inClear := clearDatabase(c.Store.URL); inClear {
		out = append(out, fmt.Sprintf("store.url: the connection to %s may not be encrypted, or not to who you think; add sslmode=verify-full", host))
	}
	if c.Proxy.DisableConsentScreen {
		for i, re := range c.redirectURLs {
			if re.MatchString("https://a.invalid/callback") && re.MatchString("http://127.0.0.1:1/x") {
				out = append(out, fmt.Sprintf("proxy.allowedRedirectURLs[%d]: matches any URL, and nobody is asked (disableConsentScreen): any page could get a token of who is signed in", i))
			}
		}
	}
	if u, err := url.Parse(c.Tracing.Endpoint); err == nil && u.Scheme == "http" && len(c.Tracing.Headers) > 0 && !nearby(u.Hostname()) {
		out = append(out, fmt.Sprintf("tracing.endpoint: the credential of tracing.headers would travel in clear to %s; use https", u.Host))
	}
	if c.TLS.Mode == "acme" && c.Store.URL == "memory:" {
		out = append(out, "store.url: memory: forgets the certificates, and CAs bear only a few orders for the same host in a week; use bolt:///path with tls.mode acme")
	}
	return append(out, c.sinceOriginal()...)
}

// clearDatabase says whether a database that is not nearby may be spoken to in
// clear. pgx encrypts where the server offers to, and checks no certificate,
// unless it is told.
func clearDatabase(storeURL string) (host string, inClear bool) {
	u, err := url.Parse(storeURL)
	if err != nil || !isPostgres(storeURL) || u.Hostname() == "" || nearby(u.Hostname()) {
		return "", false
	}
	mode := u.Query().Get("sslmode")
	return u.Host, mode != "verify-full" && mode != "verify-ca"
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
