package clients

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// checkAuthority wants a host in plain letters and a port that is one.
func checkAuthority(u *url.URL) error {
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		if a, err := netip.ParseAddr(host); err != nil || a.Zone() != "" {
			return errors.New("its host is not an address")
		}
	} else if !isDomain(host) {
		return errors.New("its host is not a name")
	}
	if strings.HasSuffix(u.Host, ":") || u.Port() != "" && !isPort(u.Port()) {
		return errors.New("its port is not one")
	}
	return nil
}

func isDomain(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool { return !isAlphanumeric(r) && r != '-' && r != '_' }) {
			return false
		}
	}
	return true
}

// isPort is a port in its one spelling: no sign, no leading zero.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}
