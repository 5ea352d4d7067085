package gateway

import (
	"errors"
	"net"
	"strconv"
	"time"
)

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
	if s.HeapFloor < 0 || s.HeapFloor > 1<<34 {
		f.add("server.heapFloor: %d is not between 0, which is none, and %d", s.HeapFloor, int64(1<<34))
	}
	for key, n := range map[string]int{
		"registrationsPerMinute": s.Limits.RegistrationsPerMinute, "authorizationsPerMinute": s.Limits.AuthorizationsPerMinute,
		"failedSigninsPerMinute": s.Limits.FailedSigninsPerMinute, "streamsPerUser": s.Limits.StreamsPerUser,
		"requestsPerMinute": s.Limits.RequestsPerMinute,
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
		{"audit.keyTTL", c.Audit.KeyTTL, time.Hour, 3650 * day},
		{"store.connectTimeout", c.Store.ConnectTimeout, 0, time.Hour},
		{"store.staleAfter", c.Store.StaleAfter, 2 * time.Second, day}, // what is polled must have a chance
	} {
		if d.is < d.least || d.is > d.max {
			f.add("%s: %s is not between %s and %s", d.key, d.is, d.least, d.max)
		}
	}
	if c.Token.RefreshIdleTTL > c.Token.RefreshTTL {
		f.add("token.refreshIdleTTL: %s is longer than token.refreshTTL, %s", c.Token.RefreshIdleTTL, c.Token.RefreshTTL)
	}
}
