// Package routing knows which MCP servers exist: it finds the one a host name
// means, says which scopes it advertises and whether a call is within those
// granted, and passes requests on as they came.
//
// It promises that two spellings of a host are one host, that nothing a client
// says about who it is reaches an MCP server, and that a call outside the
// granted scopes never leaves. It knows nothing of tokens, sign-in or consent:
// it is told who calls and what was granted, in plain values.
package routing

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Table holds the routes. It never changes; a new configuration is a new
// Table.
type Table struct {
	routes  []*Route
	byHost  map[string]*Route
	schemes []string
}

// NewTable makes a Table of configurations that were checked before. Two that
// mean the same host are refused.
func NewTable(c []Config, o Options) (*Table, error) {
	o = o.withDefaults()
	t := &Table{byHost: make(map[string]*Route, len(c))}
	var faults []error
	for i := range c {
		r, err := newRoute(c[i], o)
		if err != nil {
			faults = append(faults, fmt.Errorf("proxy.hosts[%d]: %w", i, err))
			continue
		}
		if t.byHost[r.Host] != nil {
			faults = append(faults, fmt.Errorf("proxy.hosts[%d].host: %q is already listed", i, r.Host))
			continue
		}
		t.byHost[r.Host] = r
		t.routes = append(t.routes, r)
		if !slices.Contains(t.schemes, r.scheme) {
			t.schemes = append(t.schemes, r.scheme)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return t, nil
}

// Lookup finds the route that a Host header means, however it is spelled.
func (t *Table) Lookup(host string) (*Route, bool) {
	if r, ok := t.byHost[host]; ok {
		return r, true
	}
	for _, scheme := range t.schemes {
		if r, ok := t.byHost[Canonical(host, scheme)]; ok && r.scheme == scheme {
			return r, true
		}
	}
	return nil, false
}

// Routes returns all routes in the order of the configuration.
func (t *Table) Routes() []*Route { return slices.Clone(t.routes) }

// Close lets go of connections that are idle. Streams are not touched: a table
// that was replaced is closed while its last ones still run.
func (t *Table) Close() {
	for _, r := range t.routes {
		r.forwarder.CloseIdleConnections()
	}
}

// Canonical returns a Host header as the table spells it: lower case, without a
// trailing dot and without the scheme's default port. Two spellings of one host
// must never be two hosts. What is no host comes back as no table spells it.
func Canonical(host, scheme string) string {
	name, port := splitPort(host)
	name = lower(name)
	if trimmed, ok := strings.CutSuffix(name, "."); ok && !strings.HasSuffix(trimmed, ".") && !strings.Contains(name, ":") {
		name = trimmed
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		if addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]")); err == nil {
			name = "[" + addr.String() + "]"
		}
	}
	port = strings.TrimLeft(port, "0")
	if port == "" || port == defaultPort(scheme) {
		return name
	}
	return name + ":" + port
}

// splitPort cuts a port off only where there is no doubt that it is one.
func splitPort(host string) (name, port string) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.Trim(host[i+1:], "0123456789") != "" {
		return host, ""
	}
	if strings.IndexByte(host, ':') != i && !strings.HasSuffix(host[:i], "]") {
		return host, ""
	}
	return host[:i], host[i+1:]
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

// lower folds ASCII only: to Unicode the Kelvin sign is a k, to DNS it is not.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
