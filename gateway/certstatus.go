package gateway

import (
	"time"

	"mcp-oauth2-proxy/tls"

	"github.com/prometheus/client_golang/prometheus"
)

// certificates shows when the certificate of each host ends. A host without one
// has no sample: absent() finds it, where a 0 would have to be told from 1970.
func (m *metrics) certificates(status func() []tls.Status) {
	m.registry.MustRegister(&expiries{status, prometheus.NewDesc(
		"certificate_expiry_timestamp_seconds", "When the certificate of a host ends.", []string{"host"}, nil,
	)})
}

func (m *metrics) certificateFailed(host string, reason tls.Reason) {
	m.failures.WithLabelValues(host, string(reason)).Inc()
}

type expiries struct {
	status func() []tls.Status
	desc   *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (e *expiries) Describe(out chan<- *prometheus.Desc) { out <- e.desc }

// Collect implements prometheus.Collector.
func (e *expiries) Collect(out chan<- prometheus.Metric) {
	for _, s := range e.status() {
		if !s.NotAfter.IsZero() {
			out <- prometheus.MustNewConstMetric(e.desc, prometheus.GaugeValue, float64(s.NotAfter.Unix()), s.Host)
		}
	}
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
