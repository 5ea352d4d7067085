package doctor

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"net/url"
)

// A site is the deployment, as all clients see it alike. What was asked for
// one client is not asked again for the next.
type site struct {
	Options
	target *url.URL
	web    *web
	memo   map[string]finding

	addrs   []netip.Addr
	state   *tls.ConnectionState
	session *session
	mine    []registration // to be taken back at the end
	secrets []string       // never to be reported
}

func newSite(target *url.URL, o Options) *site {
	s := &site{Options: o, target: target, memo: map[string]finding{}}
	s.web = newWeb(o)
	return s
}

func (s *site) close() {
	s.unregister()
	s.web.close()
}

// once asks a question whose answer is the same for all who share the key.
func (s *site) once(key string, ask func() finding) finding {
	f, known := s.memo[key]
	if !known {
		f = ask()
		s.memo[key] = f
	}
	return f
}

// origin of the MCP endpoint, without a slash.
func (s *site) origin() string { return s.target.Scheme + "://" + s.target.Host }

// path of the MCP endpoint; empty for the root.
func (s *site) path() string {
	if s.target.Path == "/" {
		return ""
	}
	return s.target.EscapedPath()
}

// secure says whether a URL may be used: https, or http where the deployment
// itself is plain http on loopback.
func (s *site) secure(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && s.target.Scheme == "http" && loopbackName(u.Hostname())
}

// loopbackName says whether a host is this machine by its very name.
func loopbackName(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// jsonType is the media type of programs.
const jsonType = "application/json"

func isJSON(h http.Header) bool { return mediaType(h) == jsonType }
