package clients

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

var errSpecialUse = errors.New("the address is not a public one")

// globalIPv6 is all the IPv6 space that is routed as a whole. What lies
// outside is special by definition: loopback ::1, IPv4-mapped ::ffff:0:0/96,
// NAT64 64:ff9b::/96 and 64:ff9b:1::/48, discard 100::/64, SRv6 5f00::/16,
// unique local fc00::/7, link-local fe80::/10, multicast ff00::/8.
var globalIPv6 = netip.MustParsePrefix("2000::/3")

// specialUse are the ranges of IANA's special-purpose registries (RFC 6890)
// that are not the internet (C10). Where a range carries other addresses
// inside (6to4, Teredo), it is refused as a whole.
var specialUse = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),         // this network
	netip.MustParsePrefix("10.0.0.0/8"),        // private
	netip.MustParsePrefix("100.64.0.0/10"),     // shared by carriers; Alibaba's metadata service
	netip.MustParsePrefix("127.0.0.0/8"),       // loopback
	netip.MustParsePrefix("169.254.0.0/16"),    // link-local; the metadata services of most clouds
	netip.MustParsePrefix("172.16.0.0/12"),     // private
	netip.MustParsePrefix("192.0.0.0/24"),      // protocol assignments; Oracle's metadata service
	netip.MustParsePrefix("192.0.2.0/24"),      // documentation
	netip.MustParsePrefix("192.31.196.0/24"),   // AS112
	netip.MustParsePrefix("192.52.193.0/24"),   // AMT
	netip.MustParsePrefix("192.88.99.0/24"),    // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),    // private
	netip.MustParsePrefix("192.175.48.0/24"),   // AS112
	netip.MustParsePrefix("198.18.0.0/15"),     // benchmarking
	netip.MustParsePrefix("198.51.100.0/24"),   // documentation
	netip.MustParsePrefix("203.0.113.0/24"),    // documentation
	netip.MustParsePrefix("224.0.0.0/4"),       // multicast
	netip.MustParsePrefix("240.0.0.0/4"),       // reserved, broadcast
	netip.MustParsePrefix("2001::/23"),         // protocol assignments: Teredo, benchmarking, ORCHID
	netip.MustParsePrefix("2001:db8::/32"),     // documentation
	netip.MustParsePrefix("2002::/16"),         // 6to4
	netip.MustParsePrefix("2620:4f:8000::/48"), // AS112
	netip.MustParsePrefix("3fff::/20"),         // documentation
}

// public reports whether addr is one that anybody on the internet could reach.
func public(addr netip.Addr) bool {
	if addr.Is6() && !globalIPv6.Contains(addr.WithZone("")) {
		return false
	}
	for _, p := range specialUse {
		if p.Contains(addr) {
			return false
		}
	}
	return addr.IsValid()
}

// guardDial is a net.Dialer's Control: it sees the address a connection is
// about to be made to, after every name has been resolved. A check of the name
// before that would see another answer of the same DNS server.
func guardDial(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" || !public(to.Addr()) {
		return fmt.Errorf("%w: %s", errSpecialUse, address)
	}
	return nil
}
