package grants

import "net/netip"

// Network is the network of an address, which is what is kept of it: enough
// for a person to know their own, too little to follow them. It is a /24 or
// what providers give a household, a /48; empty if there is no such address.
func Network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
