package routing

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// How long a connection may take to be there.
const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
)

// How much of an answer may be its head, and how many connections to a server
// that are not in use are kept, for how long.
const (
	maxHead  = 1 << 20
	maxIdle  = 512
	idleTime = 90 * time.Second
)

// upstream is where the requests of a route go.
type upstream struct {
	scheme    string
	host      string
	path      string // of the MCP endpoint, as written
	plainPath string // the same, decoded
	endpoint  string // all of it, as HTTP has it
	socket    string // the unix socket to connect to; empty: the host
}

// ParseEndpoint reads the address of an MCP server: an http or https URL, or
// unix://, the path of a socket, a bar, and the path of the MCP endpoint. Behind
// a socket the server is called localhost, which is what servers take for
// themselves.
func ParseEndpoint(endpoint string) (u *url.URL, socket string, err error) {
	if rest, ok := strings.CutPrefix(endpoint, "unix://"); ok {
		var path string
		if socket, path, ok = strings.Cut(rest, "|"); !ok || !strings.HasPrefix(socket, "/") || !strings.HasPrefix(path, "/") {
			return nil, "", fmt.Errorf("%q is not unix://, the absolute path of a socket, a bar and a path, such as unix:///run/notes.sock|/mcp", endpoint)
		}
		endpoint = "http://localhost" + path
	}
	u, err = url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" {
		return nil, "", fmt.Errorf("%q is not an http or https URL", redacted(endpoint))
	}
	return u, socket, nil
}

// redacted shows what is no URL, unless it could hold a password.
func redacted(s string) string {
	if strings.Contains(s, "@") {
		return "…"
	}
	return s
}

func newUpstream(c Config) (upstream, error) {
	u := c.Endpoint
	if u == nil {
		return upstream{}, nil
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return upstream{}, fmt.Errorf("endpoint: %q is not an http or https URL", u.Redacted())
	}
	return upstream{
		scheme: u.Scheme, host: u.Host, path: u.EscapedPath(), plainPath: u.Path, endpoint: u.String(), socket: c.Socket,
	}, nil
}

// address is what to connect to. DNS knows names in ASCII only.
func (u *upstream) address() string {
	name, port, err := net.SplitHostPort(u.host)
	if err != nil || port == "" {
		name, port = strings.Trim(strings.TrimSuffix(u.host, ":"), "[]"), defaultPort(u.scheme)
	}
	if ascii, err := idna.Lookup.ToASCII(name); err == nil {
		name = ascii
	}
	return net.JoinHostPort(name, port)
}

// String is the endpoint as the operator wrote it.
func (u *upstream) String() string {
	if u.socket == "" {
		return u.endpoint
	}
	return "unix://" + u.socket + "|" + u.path
}

// newTransport makes the connections of one route: each has its own, so that a
// connection that carries one route's credential never serves another's.
func newTransport(u upstream, c *tls.Config) *http.Transport {
	dial := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	connect := dial.DialContext
	if u.socket != "" {
		connect = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial.DialContext(ctx, "unix", u.socket)
		}
	}
	return &http.Transport{
		Proxy:                 nil, // what the environment says is not for credentials to follow
		DialContext:           connect,
		TLSClientConfig:       c,
		TLSHandshakeTimeout:   handshakeTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       idleTime,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		// No ResponseHeaderTimeout: a tool may think for minutes before it answers.
		MaxResponseHeaderBytes: maxHead,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}
