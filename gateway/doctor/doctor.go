// Package doctor plays real MCP clients against a live deployment, and says
// which step is wrong, for which clients, by which rule, and what fixes it.
//
// A client is data: a Profile names its habits. The steps are the same for all
// of them, in the order in which a client meets them, from the name to an idle
// stream.
//
// It promises to do no harm: it asks for little, in bounded time and size; what
// it registers is named after it; a token goes to the origin it was asked for
// and nowhere else; no token, code or secret is in what it reports. It knows
// nothing of this gateway: any deployment can be its patient.
package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options of a run. The zero value plays all clients and does not sign in.
type Options struct {
	Profiles []string       // names of clients; none: all
	CA       *x509.CertPool // authorities that are believed besides the system's

	Patience time.Duration // for one answer; default 10s, which is what claude.ai grants
	Idle     time.Duration // how long a stream has to live without a word; default 5s

	// SignIn shows the person where to sign in; it may return before they did.
	// Without it the walk ends before the sign-in.
	SignIn       func(ctx context.Context, address string) error
	SignInWait   time.Duration // for the person; default 5m
	CallbackPort int           // on loopback; 0: any
	ClientID     string        // to sign in as, where the server registers nobody
	ClientSecret string

	Each func(Step) // told each step as it is done

	Lookup func(ctx context.Context, host string) ([]netip.Addr, error) // default: the system's resolver
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	Now    func() time.Time
}

func (o *Options) fill() {
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 5 * time.Second
	}
	if o.SignInWait == 0 {
		o.SignInWait = 5 * time.Minute
	}
	if o.Lookup == nil {
		o.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: o.Patience}).DialContext
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Each == nil {
		o.Each = func(Step) {}
	}
}

// Run walks the deployment at address, the URL that people give their clients.
// The error is for an address or a client that cannot be meant; what is wrong
// with the deployment is in the report.
func Run(ctx context.Context, address string, o Options) (*Report, error) {
	target, err := parseTarget(address)
	if err != nil {
		return nil, err
	}
	profiles, err := choose(o.Profiles)
	if err != nil {
		return nil, err
	}
	o.fill()
	s := newSite(target, o)
	defer s.close()
	clients := make([]*client, 0, len(profiles))
	report := &Report{URL: target.String()}
	for _, p := range profiles {
		clients = append(clients, &client{Profile: p, site: s})
		report.Clients = append(report.Clients, p.Name)
	}
	for _, st := range walk {
		done := st.askAll(ctx, clients)
		report.Steps = append(report.Steps, done)
		o.Each(done)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("doctor: step %s: %w", st.name, context.Cause(ctx))
		}
	}
	report.conclude()
	return report, nil
}

// parseTarget reads the URL of an MCP endpoint.
func parseTarget(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, fmt.Errorf("%w: %q is not the URL of an MCP endpoint, such as https://mcp.example.com/mcp", ErrUsage, address)
	case u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("%w: the URL of an MCP endpoint has no user and no fragment", ErrUsage)
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	return u, nil
}

// choose finds the profiles of these names; none means all.
func choose(names []string) ([]Profile, error) {
	if len(names) == 0 {
		return Profiles(), nil
	}
	var chosen []Profile
	for _, p := range Profiles() {
		if slices.Contains(names, p.Name) {
			chosen = append(chosen, p)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(chosen, func(p Profile) bool { return p.Name == name }) {
			return nil, fmt.Errorf("%w: %q is not one of %s", ErrUsage, name, strings.Join(Names(), ", "))
		}
	}
	return chosen, nil
}
