package gateway

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"mcp-oauth2-proxy/tls"
)

// check finds every fault that can be known before anything runs.
func (c *Config) check(f *configFaults) {
	c.checkProviders(f)
	c.checkHosts(f)
	c.checkProxy(f)
	c.checkClients(f)
	c.checkServer(f)
	c.checkTLS(f)
	c.checkTimes(f)
	c.checkStore(f)
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
	first := map[string]string{}
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

func (c *Config) checkServer(f *configFaults) {
	s := c.Server
	f.oneOf("server.scheme", s.Scheme, "https", "http")
	if s.Addr == "" {
		f.add("server.addr: is empty; the gateway has to listen somewhere")
	}
	for key, addr := range map[string]string{"addr": s.Addr, "httpAddr": s.HTTPAddr, "adminAddr": s.AdminAddr} {
		if err := checkAddr(addr); addr != "" && err != nil {
			f.add("server.%s: %q %w", key, addr, err)
		}
	}
	if s.MaxBodyBytes < 1024 || s.MaxBodyBytes > 1<<30 {
		f.add("server.maxBodyBytes: %d is not between 1024 and %d", s.MaxBodyBytes, 1<<30)
	}
	for key, n := range map[string]int{
		"registrationsPerMinute": s.Limits.RegistrationsPerMinute, "authorizationsPerMinute": s.Limits.AuthorizationsPerMinute,
		"failedSigninsPerMinute": s.Limits.FailedSigninsPerMinute, "streamsPerUser": s.Limits.StreamsPerUser,
	} {
		if n < 0 {
			f.add("server.limits.%s: %d is less than 0, which is no limit", key, n)
		}
	}
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("is not an address such as :443 or 127.0.0.1:8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return errors.New("does not end in a port number")
	}
	return nil
}

// checkTLS lets the sources say what is wrong with what they are given; none
// of them talks to anybody yet.
func (c *Config) checkTLS(f *configFaults) {
	var names []string
	for _, h := range c.Proxy.Hosts {
		names = append(names, h.Host)
	}
	hosts := tls.NewHosts(names...)
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

func (c *Config) checkTimes(f *configFaults) {
	const day = 24 * time.Hour
	for _, d := range []struct {
		key        string
		is         time.Duration
		least, max time.Duration
	}{
		{"server.shutdownGrace", c.Server.ShutdownGrace, 0, time.Hour},
		{"token.accessTTL", c.Token.AccessTTL, time.Second, day},
		{"token.refreshIdleTTL", c.Token.RefreshIdleTTL, time.Second, 3650 * day},
		{"token.refreshTTL", c.Token.RefreshTTL, time.Second, 3650 * day},
		{"token.keyRotation", c.Token.KeyRotation, time.Second, 30 * day},
		{"session.ttl", c.Session.TTL, time.Second, 365 * day},
	} {
		if d.is < d.least || d.is > d.max {
			f.add("%s: %s is not between %s and %s", d.key, d.is, d.least, d.max)
		}
	}
	if c.Token.RefreshIdleTTL > c.Token.RefreshTTL {
		f.add("token.refreshIdleTTL: %s is longer than token.refreshTTL, %s", c.Token.RefreshIdleTTL, c.Token.RefreshTTL)
	}
}

func (c *Config) checkStore(f *configFaults) {
	switch url := c.Store.URL; {
	case url == "memory:":
	case strings.HasPrefix(url, "bolt:///") && len(url) > len("bolt:///"):
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		f.add("store.url: postgres is not available yet; use memory: or bolt:///path")
	default: // not shown: it may hold a password
		f.add("store.url: is not memory: or bolt:// and an absolute path, such as bolt:///var/lib/mcp-oauth2-proxy/state.db")
	}
	if c.Store.KeyFile != "" {
		if _, err := readKey(c.Store.KeyFile); err != nil {
			f.add("store.keyFile: %w", err)
		}
	}
}
