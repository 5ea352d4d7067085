package gateway

import (
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many may read /metrics at once: each reads all of it into
// memory.
const maxScrapes = 4

// metrics are what /metrics shows. No label takes a value from outside: hosts
// and providers are those of the configuration, paths are kinds, tools are those
// that the MCP server lists.
type metrics struct {
	registry *prometheus.Registry
	store    *storeMetrics
	failures *prometheus.CounterVec // of certificates: host, as certificates name it, and reason

	mu    sync.Mutex
	shown *series // those of the site in force
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(), store: newStoreMetrics(), shown: &series{},
		failures: counters("certificate_failures_total", "Orders for a certificate that failed, by what was wrong.", nil, "host", "reason"),
	}
	m.registry.MustRegister(m.store, m.failures, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes,
		// What can be read is shown: one number in disorder hides no other.
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError),
	})
}

// A reading is a metric that something else keeps: it is read when it is asked
// for, and what is not known has no sample.
type reading struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(is func(value float64, labels ...string))
}

// gauge shows what read says of each set of labels.
func (m *metrics) gauge(name, help string, labels []string, read func(is func(value float64, labels ...string))) {
	m.registry.MustRegister(reading{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, read})
}

// counter is gauge for a number that never falls.
func (m *metrics) counter(name, help string, read func(is func(value float64, labels ...string))) {
	m.registry.MustRegister(reading{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, read})
}

// Describe implements prometheus.Collector.
func (r reading) Describe(out chan<- *prometheus.Desc) { out <- r.desc }

// Collect implements prometheus.Collector.
func (r reading) Collect(out chan<- prometheus.Metric) {
	r.read(func(value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(r.desc, r.kind, value, labels...)
	})
}

// series are the metrics of a site: of its hosts by name, and of its identity
// providers by id. A reload makes new ones of which what stays is the same.
type series struct {
	hosts     map[string]*hostMetrics
	providers map[string]*signinMetrics
	unknown   *hostMetrics // requests of hosts that are not ours
}

// of returns the metrics of a site that is not in force yet.
func (m *metrics) of(hosts, public, providers []string) *series {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &series{hosts: map[string]*hostMetrics{}, providers: map[string]*signinMetrics{}, unknown: m.shown.unknown}
	for _, name := range hosts {
		s.hosts[name] = m.shown.host(name, true)
	}
	for _, name := range public {
		s.hosts[name] = m.shown.host(name, false)
	}
	for _, id := range providers {
		if s.providers[id] = m.shown.providers[id]; s.providers[id] == nil {
			s.providers[id] = newSigninMetrics(id)
		}
	}
	if s.unknown == nil {
		s.unknown = newHostMetrics(unknownHost, false)
	}
	return s
}

func (s *series) host(name string, guarded bool) *hostMetrics {
	if h := s.hosts[name]; h != nil && h.guarded == guarded {
		return h
	}
	return newHostMetrics(name, guarded)
}

// show puts the metrics of a site in place of those shown so far. What still
// counts for a host that is gone counts unseen.
func (m *metrics) show(s *series) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, is := m.shown.all(), s.all()
	for c := range was {
		if !is[c] {
			m.registry.Unregister(c)
		}
	}
	for c := range is {
		if !was[c] {
			m.registry.MustRegister(c)
		}
	}
	m.shown = s
}

func (s *series) all() map[prometheus.Collector]bool {
	all := map[prometheus.Collector]bool{}
	if s.unknown != nil {
		all[s.unknown] = true
	}
	for _, h := range s.hosts {
		all[h] = true
	}
	for _, p := range s.providers {
		all[p] = true
	}
	return all
}
