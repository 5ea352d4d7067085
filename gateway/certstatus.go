package gateway

import (
	"time"

	"mcp-oauth2-proxy/tls"
)

// certificateExpiry is when the certificate of each host ends. A host without
// one has no sample: absent() finds it, where a 0 would have to be told from
// 1970.
func certificateExpiry(status func() []tls.Status) func(is func(value float64, labels ...string)) {
	return func(is func(float64, ...string)) {
		for _, s := range status() {
			if !s.NotAfter.IsZero() {
				is(float64(s.NotAfter.Unix()), s.Host)
			}
		}
	}
}

// certificateFailed counts an order that failed. Certificates know no ports, so
// their names are not always those of hosts.
func (m *metrics) certificateFailed(name string, reason tls.Reason) {
	m.failures.WithLabelValues(name, string(reason)).Inc()
}

// uncertified is a host without a certificate, as /readyz shows it.
type uncertified struct {
	Host    string     `json:"host"`
	Problem string     `json:"problem"`
	Next    *time.Time `json:"next_attempt,omitempty"`
}

// uncertified are the hosts that have no certificate that is good now.
func (g *Gateway) uncertified() []uncertified {
	if g.certified == nil {
		return nil
	}
	var all []uncertified
	for _, s := range g.certified() {
		if s.NotAfter.After(g.now()) {
			continue
		}
		one := uncertified{Host: s.Host, Problem: s.Problem}
		if one.Problem == "" {
			one.Problem = "its certificate has expired"
		}
		if !s.Next.IsZero() {
			one.Next = &s.Next
		}
		all = append(all, one)
	}
	return all
}
