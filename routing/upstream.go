package routing

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// upstream is where the requests of a route go.
type upstream struct {
	scheme    string
	host      string
	path      string // of the MCP endpoint, as written
	plainPath string // the same, decoded
	endpoint  string // all of it
}

func newUpstream(c Config) (upstream, error) {
	u := c.Endpoint
	if u == nil {
		return upstream{}, nil
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return upstream{}, fmt.Errorf("endpoint: %q is not an http or https URL", u.Redacted())
	}
	return upstream{scheme: u.Scheme, host: u.Host, path: u.EscapedPath(), plainPath: u.Path, endpoint: u.String()}, nil
}

// newTransport makes the connections of one route: each has its own, so that a
// connection that carries one route's credential never serves another's.
func newTransport() *http.Transport {
	dial := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 nil, // what the environment says is not for credentials to follow
		DialContext:           dial.DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   512,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		// No ResponseHeaderTimeout: a tool may think for minutes before it answers.
		MaxResponseHeaderBytes: 1 << 20,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}
