package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/store/memory"
)

func (c *Config) checkProxy(f *configFaults) {
	p := c.Proxy
	for i, pattern := range p.AllowedRedirectURLs {
		re, err := wholeValue(pattern)
		if err != nil {
			f.add("proxy.allowedRedirectURLs[%d]: %w", i, err)
		}
		c.redirectURLs = append(c.redirectURLs, re)
	}
	if p.DisableConsentScreen && len(p.AllowedRedirectURLs) == 0 {
		f.add("proxy.disableConsentScreen: needs proxy.allowedRedirectURLs, the redirect URLs of the clients that are trusted without asking; " +
			`for Claude: allowedRedirectURLs: ['https://claude\.ai/api/mcp/auth_callback']`)
	}
	for i, origin := range p.AllowedOrigins {
		if err := checkOrigin(origin); err != nil {
			f.add("proxy.allowedOrigins[%d]: %w", i, err)
		}
	}
}

// wholeValue compiles a pattern that has to match all of a value. \A and \z
// are what ^ and $ are as long as nobody writes (?m).
func wholeValue(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, errors.New("is empty; it would match nothing")
	}
	// By itself first: an unbalanced ")" must not close the group below.
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, fmt.Errorf("%q is not a regular expression: %w", pattern, err)
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

func checkOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
		return fmt.Errorf("%q is not an origin such as https://app.example.com, nor *", origin)
	}
	// Browsers send it so, and it is compared as it is.
	if origin != strings.ToLower(origin) || u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return fmt.Errorf("%q: browsers send origins in lower case and without the default port", origin)
	}
	return nil
}

// configuredClients are proxy.clients as their registry takes them.
func (c *Config) configuredClients() []clients.Configured {
	var all []clients.Configured
	for _, one := range c.Proxy.Clients {
		all = append(all, clients.Configured{
			ID: one.ClientID, Secret: one.ClientSecret, Name: one.Name, RedirectURIs: one.RedirectURIs, GrantTypes: one.Grants, JWKS: json.RawMessage(one.JWKS),
		})
	}
	return all
}

// checkClients lets the registry of clients say what is wrong with them.
func (c *Config) checkClients(f *configFaults) {
	all := c.configuredClients()
	if len(all) == 0 {
		return
	}
	scratch := memory.New(1 << 20)
	defer func() { _ = scratch.Close() }()
	_, err := clients.New(clients.Options{Secret: make([]byte, 32), Store: scratch, Configured: all})
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		// "clients[0]: redirectURIs[1]: …" becomes the key it is about.
		at, rest, _ := strings.Cut(line, ": ")
		key, _, _ := strings.Cut(rest, ": ")
		name, _, _ := strings.Cut(key, "[")
		if slices.Contains([]string{"clientID", "redirectURIs", "grants"}, name) {
			f.add("proxy.%s.%s", at, rest)
		} else {
			f.add("proxy.%s: %s", at, rest)
		}
	}
}
