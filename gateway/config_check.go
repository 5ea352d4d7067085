package gateway

import (
	"net/url"
	"slices"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/tls"
)

// check finds every fault that can be known before anything runs.
func (c *Config) check(f *configFaults) {
	c.checkProviders(f)
	c.checkTrustedIssuers(f)
	c.checkHosts(f)
	c.checkProxy(f)
	c.checkClients(f)
	c.checkServer(f)
	c.checkTLS(f)
	c.checkTimes(f)
	c.checkStore(f)
	c.checkTracing(f)
	c.Web.check(f)
	f.oneOf("token.algorithm", c.Token.Algorithm, "RS256", "ES256")
	f.oneOf("logging.level", c.Logging.Level, "debug", "info", "warn", "error")
	f.oneOf("logging.format", c.Logging.Format, "json", "text")
}

func (c *Config) checkProviders(f *configFaults) {
	public := len(c.Proxy.Hosts) > 0
	for _, h := range c.Proxy.Hosts {
		public = public && h.Public
	}
	if len(c.Providers) == 0 && !public {
		f.add("provider: is missing; it is who signs people in")
	}
	first, local := map[string]string{}, ""
	for i, p := range c.Providers {
		at := c.providerKey(i)
		f.addAll(at+".", p.Check()...)
		id := p.ID
		if id == "" {
			id = p.Name
		}
		if earlier := first[id]; earlier != "" && id != "" {
			f.add("%s.id: %q is the id of %s already; give each its own", at, id, earlier)
		} else {
			first[id] = at
		}
		if p.Name != "local" {
			continue
		}
		if local != "" {
			f.add("%s.name: %s is local already; list all users there", at, local)
		}
		local = at
	}
}

// checkTrustedIssuers lets an assertion's sub name a user: that holds where the
// provider's own sign-in takes the sub for the user's ID.
func (c *Config) checkTrustedIssuers(f *configFaults) {
	seen := map[string]bool{}
	for i, t := range c.TrustedIssuers {
		at := indexKey("trustedIssuers", i)
		u, err := url.Parse(t.IssuerURL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopbackName(u.Hostname())):
			f.add("%s.issuerURL: %q is not an https URL", at, t.IssuerURL)
		case seen[t.IssuerURL]:
			f.add("%s.issuerURL: %q is listed twice", at, t.IssuerURL)
		}
		seen[t.IssuerURL] = true
		j := slices.IndexFunc(c.Providers, func(p idp.Config) bool { return p.ID == t.Provider || p.ID == "" && p.Name == t.Provider })
		switch {
		case j < 0 || t.Provider == "":
			f.add("%s.provider: %q is not the id of a provider; its rules say who may enter", at, t.Provider)
		case c.Providers[j].Name != "oidc" && c.Providers[j].Name != "google":
			f.add("%s.provider: %q is of kind %s; only oidc and google know their users by the sub of an assertion", at, t.Provider, c.Providers[j].Name)
		}
	}
}

// providerKey is where a provider was written.
func (c *Config) providerKey(i int) string {
	if !c.given["provider"] {
		return indexKey("providers", i)
	}
	if i == 0 {
		return "provider"
	}
	return indexKey("providers", i-1)
}

// checkTLS lets the sources say what is wrong with what they are given; none
// of them talks to anybody yet.
func (c *Config) checkTLS(f *configFaults) {
	hosts := tls.NewHosts(c.names()...)
	switch c.TLS.Mode {
	case "":
		f.add("tls.mode: is missing; say acme, files, selfsigned, or off behind another proxy (tls: {mode: off})")
	case "acme":
		a := c.TLS.ACME
		_, err := tls.NewACME(tls.ACME{
			Hosts: hosts, Email: a.Email, DirectoryURL: a.DirectoryURL, CAFile: a.CAFile,
			AcceptTOS: a.AcceptTOS, EABKeyID: a.EABKeyID, EABMACKey: a.EABMACKey,
		})
		f.addAll("", err)
	case "files":
		_, err := tls.NewFiles(c.TLS.Files, tls.FilesOptions{Hosts: hosts})
		f.addAll("", err)
	default:
		f.oneOf("tls.mode", c.TLS.Mode, "acme", "files", "selfsigned", "off")
	}
}

func (c *Config) checkStore(f *configFaults) {
	if err := checkStoreURL(c.Store.URL); err != nil {
		f.add("store.url: %w", err)
	}
	if c.Store.KeyFile != "" {
		if _, err := readKey(c.Store.KeyFile); err != nil {
			f.add("store.keyFile: %w", err)
		}
	}
}
