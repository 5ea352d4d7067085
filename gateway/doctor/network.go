package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// nearExpiry is how long before its end a certificate deserves a word: ACME
// clients renew a month ahead, so something has failed by then.
const nearExpiry = 14 * 24 * time.Hour

// maxAddrs bounds how many addresses of a name are tried.
const maxAddrs = 8

// dns looks the name up. What it finds is the same for all; what it means
// depends on where a client runs.
func (c *client) dns(ctx context.Context) finding {
	f := c.once("dns", func() finding { return c.lookup(ctx) })
	if f.result == Wrong {
		return f
	}
	return c.reachable(f)
}

func (s *site) lookup(ctx context.Context) finding {
	host := s.target.Hostname()
	if ip, err := netip.ParseAddr(host); err == nil {
		s.addrs = []netip.Addr{ip.Unmap()}
		return ok("%s is an address", host)
	}
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	found, err := s.Lookup(ctx, host)
	if err != nil || len(found) == 0 {
		return wrong("%s has no address: %v", host, err).
			fixed("add an A record (and an AAAA record, if the machine has IPv6) for %s", host).ends()
	}
	for _, ip := range found[:min(len(found), maxAddrs)] {
		s.addrs = append(s.addrs, ip.Unmap())
	}
	var texts []string
	for _, ip := range s.addrs {
		texts = append(texts, ip.String())
	}
	return ok("%s", strings.Join(texts, ", "))
}

// reachable asks whether this client can get to the addresses.
func (c *client) reachable(f finding) finding {
	if !c.Hosted {
		return f
	}
	if loopbackName(c.target.Hostname()) {
		return warn("%s is this machine: the client connects from elsewhere, and is judged as if it could", c.target.Hostname()).
			fixed("give it a public name to use it with this client")
	}
	for _, ip := range c.addrs {
		if !global(ip) {
			return wrong("%s is not a public address", ip).
				by("https://claude.com/docs/connectors/building/troubleshooting").
				fixed("the client connects from its maker's machines: let the public name resolve to a public address " +
					"(if only this network's resolver says so, run the doctor from outside)").ends()
		}
	}
	if c.IPv4Only && !slices.ContainsFunc(c.addrs, netip.Addr.Is4) {
		return wrong("the name has no IPv4 address").
			by("https://claude.com/docs/connectors/building/troubleshooting").
			fixed("add an A record: the client connects by IPv4 only").ends()
	}
	return f
}

// cgnat is RFC 6598, private in all but name.
var cgnat = netip.MustParsePrefix("100.64.0.0/10")

// global says whether the Internet routes to an address.
func global(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !cgnat.Contains(ip)
}

// port connects. Clients take whichever address answers; the others cost them
// time.
func (c *client) port(ctx context.Context) finding {
	f := c.once("port", func() finding { return c.connect(ctx) })
	if f.result == OK && c.Hosted && c.target.Scheme == "https" && c.portNumber() != "443" && !loopbackName(c.target.Hostname()) {
		return warn("port %s: connectors have been seen to reach port 443 only", c.portNumber()).fixed("serve at port 443")
	}
	return f
}

func (s *site) portNumber() string {
	if p := s.target.Port(); p != "" {
		return p
	}
	if s.target.Scheme == "http" {
		return "80"
	}
	return "443"
}

func (s *site) connect(ctx context.Context) finding {
	var failed, untried []string
	for _, ip := range s.addrs {
		conn, err := s.dialTo(ctx, net.JoinHostPort(ip.String(), s.portNumber()))
		switch {
		case err == nil:
			_ = conn.Close()
		case ip.Is6() && !ipv6(): // says nothing about the deployment
			untried = append(untried, ip.String())
		default:
			failed = append(failed, fmt.Sprintf("%s: %v", ip, short(err)))
		}
	}
	switch {
	case len(untried) == len(s.addrs):
		return skip("this machine has no IPv6, and the name has nothing else").ends()
	case len(failed) == 0:
		return ok("port %s answers", s.portNumber())
	case len(failed)+len(untried) < len(s.addrs):
		return warn("not at every address: %s", strings.Join(failed, "; ")).
			fixed("serve at every address of the name, or take the others out of the DNS")
	}
	return wrong("%s", strings.Join(failed, "; ")).
		fixed("start the server, and let port %s through the firewall and the router", s.portNumber()).ends()
}

// ipv6 says whether this machine could reach an address of IPv6 at all.
func ipv6() bool {
	addrs, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(addrs, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Is6() && prefix.Addr().IsGlobalUnicast()
	})
}

func (s *site) dialTo(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	return s.Dial(ctx, "tcp", addr)
}

// handshake believes anything for the moment: what is wrong with the
// certificate is told by the steps after it.
func (c *client) handshake(ctx context.Context) finding {
	if c.target.Scheme == "http" {
		return c.plainHTTP()
	}
	return c.once("tls", func() finding { return c.negotiate(ctx) })
}

func (c *client) plainHTTP() finding {
	if loopbackName(c.target.Hostname()) {
		return ok("plain http on loopback")
	}
	return wrong("plain http: tokens travel in clear").by("OAuth 2.1 §1.5").
		fixed("serve https").matters(c.Hosted).ends()
}

func (s *site) negotiate(ctx context.Context) finding {
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	raw, err := s.Dial(ctx, "tcp", net.JoinHostPort(s.target.Hostname(), s.portNumber()))
	if err != nil {
		return wrong("%v", short(err)).ends()
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{
		ServerName: s.target.Hostname(), NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // nothing is sent over it; the next steps verify what it showed
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return wrong("no TLS 1.2 or 1.3 with a usual cipher: %v", short(err)).by("OAuth 2.1 §1.5").
			fixed("let the port speak TLS 1.2 and 1.3").ends()
	}
	state := conn.ConnectionState()
	s.state = &state
	protocol := state.NegotiatedProtocol
	if protocol == "" {
		protocol = "no ALPN"
	}
	return ok("%s, %s", tls.VersionName(state.Version), protocol)
}

// leaf is the certificate of the host; nil on plain http.
func (s *site) leaf() *x509.Certificate {
	if s.state == nil || len(s.state.PeerCertificates) == 0 {
		return nil
	}
	return s.state.PeerCertificates[0]
}

const noTLS = "plain http"

func (c *client) certificateName(context.Context) finding {
	leaf := c.leaf()
	if leaf == nil {
		return skip(noTLS)
	}
	if err := leaf.VerifyHostname(c.target.Hostname()); err != nil {
		return wrong("it is for %s", strings.Join(names(leaf), ", ")).by("RFC 9525 §6").
			fixed("get a certificate for %s", c.target.Hostname()).ends()
	}
	return ok("%s", strings.Join(names(leaf), ", "))
}

func names(leaf *x509.Certificate) []string {
	all := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return []string{"no name"}
	}
	return all
}

func (c *client) certificateDates(context.Context) finding {
	if c.leaf() == nil {
		return skip(noTLS)
	}
	now := c.Now()
	for _, cert := range c.state.PeerCertificates {
		if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
			return wrong("%s is valid from %s to %s", cert.Subject, cert.NotBefore.Format(time.DateOnly), cert.NotAfter.Format(time.DateOnly)).
				by("RFC 5280 §4.1.2.5").fixed("renew it, and look at the clock of the server").ends()
		}
	}
	end := c.leaf().NotAfter
	if end.Sub(now) < nearExpiry {
		return warn("it ends on %s", end.Format(time.DateOnly)).fixed("look why it was not renewed")
	}
	return ok("until %s", end.Format(time.DateOnly))
}

// certificateChain verifies with the served certificates and the known
// authorities, and nothing else: no client here fetches a missing one.
func (c *client) certificateChain(context.Context) finding {
	if c.leaf() == nil {
		return skip(noTLS)
	}
	f := c.once("chain", c.verifyChain)
	if f.result == Warning && !c.Hosted { // a private authority, which --ca has made known
		return ok("%s", f.seen)
	}
	return f
}

func (s *site) verifyChain() finding {
	err := s.verify(nil)
	if err == nil {
		return ok("%d certificates, from %s", len(s.state.PeerCertificates), s.state.PeerCertificates[0].Issuer)
	}
	if s.CA != nil && s.verify(s.CA) == nil {
		return warn("it is trusted because --ca was given").
			fixed("this client cannot be told to trust a private authority; get a public certificate to use it")
	}
	last := s.state.PeerCertificates[len(s.state.PeerCertificates)-1]
	var unknown x509.UnknownAuthorityError
	switch {
	case !errors.As(err, &unknown):
		return wrong("%v", err).by("RFC 5280 §6").ends()
	case last.Subject.String() == last.Issuer.String():
		return wrong("%s is not an authority that clients know", last.Subject).by("RFC 5280 §6").
			fixed("get a certificate of a public authority, or make this one known to the clients and to the doctor (--ca)").ends()
	}
	return wrong("the chain ends at %s, whose issuer %s is not served", last.Subject, last.Issuer).by("RFC 8446 §4.4.2").
		fixed("serve the intermediate certificates too (fullchain.pem, not cert.pem)").ends()
}

// verify leaves dates to the step about them.
func (s *site) verify(roots *x509.CertPool) error {
	served := s.state.PeerCertificates
	between := x509.NewCertPool()
	for _, cert := range served[1:] {
		between.AddCert(cert)
	}
	chains, err := served[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: s.Now()})
	if err != nil {
		return err
	}
	// Some systems fetch what is missing; clients do not.
	for _, chain := range chains {
		if !slices.ContainsFunc(chain[1:max(1, len(chain)-1)], func(cert *x509.Certificate) bool { return !slices.ContainsFunc(served, cert.Equal) }) {
			return nil
		}
	}
	return x509.UnknownAuthorityError{Cert: served[len(served)-1]}
}

// httpRedirect looks at port 80 of an https deployment. It may be closed.
func (c *client) httpRedirect(ctx context.Context) finding {
	if c.target.Scheme == "http" {
		return skip(noTLS)
	}
	if c.target.Port() != "" {
		return skip("not at the default port")
	}
	return c.once("http-redirect", func() finding {
		a := c.web.do(ctx, http.MethodGet, "http://"+c.target.Host+c.target.EscapedPath(), nil)
		to := a.leads()
		switch {
		case a.err != nil:
			return ok("port 80 is closed")
		case to != nil && to.Scheme == "https" && to.Hostname() == c.target.Hostname():
			return ok("%s", a)
		case a.status >= 400:
			return ok("%s", a)
		}
		return warn("http answers %s", a).by("RFC 9700 §2.6").fixed("redirect http to https, or close port 80")
	})
}
