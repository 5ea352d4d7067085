package routing

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
)

// A Route leads from one host to one MCP server.
type Route struct {
	Host     string // canonical authority
	Origin   string // scheme://host: the issuer, and the first audience
	Name     string // shown to people
	Public   bool   // nobody is asked who they are
	Proxied  bool   // false: there is only sign-in on this host
	Enforced bool   // calls are held to the granted scopes
	Pinned   bool   // and to the definitions of tools that were consented to

	scheme    string
	config    Config
	options   Options
	resource  string
	upstream  upstream
	transport *http.Transport
	forwarder forwarder         // transport, or what is quicker
	forwards  http.RoundTripper // forwarder, as Options.Transport wraps it
	catalogue *keeper
	own       http.Header     // sent upstream whoever calls
	added     map[string]bool // their names, and the identity's
	buffers   buffers
	taggers   sync.Pool   // of *tagger
	exchanges sync.Pool   // of *exchange
	noise     *log.Logger // what net/http has to say
	monitor   monitor
	unserved  sync.Once // a warning
}

// Resource is the canonical URI of the MCP server: the origin plus the path of
// its endpoint, without a trailing slash.
func (r *Route) Resource() string { return r.resource }

// Endpoint is where the MCP server itself listens; empty if nothing is proxied.
func (r *Route) Endpoint() string { return r.upstream.String() }

func newRoute(c Config, o Options) (*Route, error) {
	if c.Scheme == "" {
		c.Scheme = "https"
	}
	if c.Scheme != "https" && c.Scheme != "http" {
		return nil, fmt.Errorf("scheme: %q is not one of https, http", c.Scheme)
	}
	host := Canonical(c.Host, c.Scheme)
	if host == "" {
		return nil, errors.New("host: name the authority that clients type")
	}
	up, err := newUpstream(c)
	if err != nil {
		return nil, err
	}
	trust, err := c.TLS.config()
	if err != nil {
		return nil, err
	}
	r := &Route{
		Host: host, Origin: c.Scheme + "://" + host, Name: c.Name, Public: c.Public,
		Proxied: c.Endpoint != nil, Enforced: c.EnforceScopes && !c.Public && c.Endpoint != nil,
		scheme: c.Scheme, config: c, options: o, upstream: up, transport: newTransport(up, trust),
	}
	r.forwarder = newForwarder(up, r.transport)
	if r.forwards = r.forwarder; o.Transport != nil {
		r.forwards = o.Transport(r.forwarder)
	}
	if r.Name == "" {
		r.Name = host
	}
	r.Pinned = r.Enforced && c.PinTools && o.Pins != nil
	r.own = ownHeaders(c, host)
	r.added = addedNames(r.own)
	r.noise = slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	r.resource = r.Origin + strings.TrimRight(up.path, "/")
	r.catalogue = newKeeper(r)
	return r, nil
}

// Serves says whether a path, as the client wrote it, is passed on at all: the
// endpoint, the listed paths and what lies below them, or everything where none
// is listed.
func (r *Route) Serves(p string) bool {
	if !r.Proxied || (p != "" && p[0] != '/') {
		return false
	}
	if len(r.config.Paths) == 0 {
		return true
	}
	plain, ok := unambiguous(p)
	if !ok {
		return false
	}
	if root := strings.TrimRight(r.upstream.plainPath, "/"); below(plain, root) && (root != "" || len(plain) <= 1) {
		return true
	}
	for _, listed := range r.config.Paths {
		if below(plain, listed) {
			return true
		}
	}
	return false
}

// unambiguous returns a path decoded, or false if the MCP server might read it
// as another path than the one that was listed.
func unambiguous(p string) (string, bool) {
	plain, err := url.PathUnescape(p)
	if err != nil || strings.Contains(plain, "//") || strings.ContainsAny(plain, "\\%;\x00") {
		return "", false
	}
	if strings.Count(plain, "/") != strings.Count(p, "/") {
		return "", false
	}
	if clean := path.Clean("/" + plain); clean != plain && clean+"/" != plain {
		return "", plain == ""
	}
	return plain, true
}

func below(p, root string) bool {
	root = strings.TrimRight(root, "/")
	rest, ok := strings.CutPrefix(p, root)
	return ok && (rest == "" || rest[0] == '/')
}
