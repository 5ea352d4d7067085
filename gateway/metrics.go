package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what /metrics shows. No label takes a value from outside: hosts
// are those of the configuration, paths are kinds.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	failures *prometheus.CounterVec // of certificates
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time from a request's head to the end of its answer.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 30, 300},
		}, []string{"host", "kind", "status"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "certificate_failures_total", Help: "Orders for a certificate that failed, by what was wrong.",
		}, []string{"host", "reason"}),
	}
	m.registry.MustRegister(m.requests, m.failures, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch shows a number that something else keeps.
func (m *metrics) watch(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// observe serves a request and counts it.
func (m *metrics) observe(w http.ResponseWriter, r *http.Request, s *site) {
	start := time.Now()
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		name := "unknown"
		if route, ok := s.table.Lookup(r.Host); ok {
			name = route.Host
		} else if s.callback != "" && r.Host == s.callback { // its one spelling by now
			name = s.callback
		}
		m.requests.WithLabelValues(name, string(kindOf(r.URL.Path)), strconv.Itoa(rec.status)).Observe(time.Since(start).Seconds())
	}()
	s.echo.ServeHTTP(rec, r)
}

// recorder remembers the status of an answer and hides nothing else of the
// ResponseWriter: http.ResponseController finds it through Unwrap.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (r *recorder) WriteHeader(status int) {
	if !r.wrote && status >= 200 {
		r.status, r.wrote = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Flush() {
	if f, ok := r.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
