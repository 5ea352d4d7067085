package gateway

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// guard is what holds for every request of a host, whatever it asks for:
// browsers are told to stay on https, and forms must arrive in time. The bodies
// of calls are the MCP server's to wait for.
func (s *site) guard(c echo.Context, host string) {
	if c.Request().TLS != nil && s.hsts && mayBeStrict(host) {
		c.Response().Header().Set("Strict-Transport-Security", "max-age=31536000")
	}
	if kindOf(c.Request().URL.Path) != kindCall {
		// Where there is no deadline to set there is no connection to hold.
		_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(formTimeout))
	}
}

// mayBeStrict tells whether browsers may be told to use nothing but https at a
// host (RFC 6797). They apply that to all its ports for a year, so not where
// another port of the same name, or another program on this machine, may be in
// use.
func mayBeStrict(host string) bool {
	return !strings.Contains(host, ":") && strings.Contains(host, ".") && net.ParseIP(host) == nil && !strings.HasSuffix(host, ".localhost")
}
