package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"mcp-oauth2-proxy/auth"

	"github.com/prometheus/client_golang/prometheus"
)

// hostMetrics are the metrics of one host. Those of the call path are resolved
// once, so that counting is an index and an addition.
type hostMetrics struct {
	parts   []prometheus.Collector
	guarded bool // it asks who calls

	requests *prometheus.HistogramVec                     // kind, status
	found    [kinds][]atomic.Pointer[prometheus.Observer] // by status

	streams prometheus.Gauge

	// Of hosts that ask who calls.
	checks        [len(checkNames)]prometheus.Counter
	registrations [2]prometheus.Counter // refused, ok
	decisions     map[auth.Decision]prometheus.Counter
	tools         toolMetrics
}

// requestBuckets are the classic ones: an answer of our own takes a
// millisecond, a tool may think for minutes.
var requestBuckets = []float64{.001, .005, .01, .05, .1, .5, 1, 5, 30, 300}

// histogram has classic buckets, for who reads text, and native ones, for who
// asks for protobuf: each ten percent wider than the one before, at most 100.
func histogram(name, help string, fixed prometheus.Labels) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, ConstLabels: fixed, Buckets: requestBuckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}
}

func newHostMetrics(name string, guarded bool) *hostMetrics {
	host := prometheus.Labels{"host": name}
	h := &hostMetrics{
		guarded: guarded,
		requests: prometheus.NewHistogramVec(histogram("http_request_duration_seconds",
			"Time from a request's head to the end of its answer.", host), []string{"kind", "status"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mcp_streams_open", Help: "Event streams of the MCP server that are open now.", ConstLabels: host,
		}),
	}
	for k := range h.found {
		h.found[k] = make([]atomic.Pointer[prometheus.Observer], len(statusNames))
	}
	h.parts = []prometheus.Collector{h.requests}
	if name == unknownHost {
		return h
	}
	h.parts = append(h.parts, h.streams)
	if guarded {
		h.guard(host)
	}
	return h
}

// guard adds what only hosts have that ask who calls. What may be counted is
// there from the start, as 0: of a series that begins with its first event,
// rate() never sees that one.
func (h *hostMetrics) guard(host prometheus.Labels) {
	checks := counters("access_token_checks_total", "Requests for the MCP server or /authenticate, by what their access token was worth.", host, "result")
	for i, name := range checkNames {
		h.checks[i] = checks.WithLabelValues(name)
	}
	registrations := counters("client_registrations_total", "Registrations of clients (RFC 7591).", host, "result")
	h.registrations = [2]prometheus.Counter{registrations.WithLabelValues("refused"), registrations.WithLabelValues("ok")}
	decisions := counters("consent_decisions_total", "What became of the question whether a client may act for a user.", host, "decision")
	h.decisions = map[auth.Decision]prometheus.Counter{}
	for _, d := range []auth.Decision{auth.ConsentGiven, auth.ConsentDenied, auth.ConsentUnasked} {
		h.decisions[d] = decisions.WithLabelValues(string(d))
	}
	h.tools = newToolMetrics(host)
	h.parts = append(h.parts, checks, registrations, decisions, h.tools.calls, h.tools.time)
}

func counters(name, help string, fixed prometheus.Labels, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: fixed}, labels)
}

// Describe implements prometheus.Collector.
func (h *hostMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, p := range h.parts {
		p.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (h *hostMetrics) Collect(out chan<- prometheus.Metric) {
	for _, p := range h.parts {
		p.Collect(out)
	}
}

// check is what an access token was worth.
type check int

// The checks, as checkNames has them.
const (
	checkOK check = iota
	checkNone
	checkMalformed
	checkInvalid
	checkExpired
	checkRevoked
	checkUnavailable
)

var checkNames = [...]string{"ok", "none", "malformed", "invalid", "expired", "revoked", "unavailable"}

// signinMetrics are the metrics of one identity provider.
type signinMetrics struct {
	*prometheus.CounterVec
	results map[auth.Signin]prometheus.Counter
}

func newSigninMetrics(id string) *signinMetrics {
	s := &signinMetrics{
		counters("signins_total", "Sign-ins that came to an end.", prometheus.Labels{"provider": id}, "result"),
		map[auth.Signin]prometheus.Counter{},
	}
	for _, r := range []auth.Signin{auth.SigninOK, auth.SigninRefused, auth.SigninCancelled, auth.SigninUnavailable, auth.SigninFailed} {
		s.results[r] = s.WithLabelValues(string(r))
	}
	return s
}

// meter implements auth.Meter for one host.
type meter struct {
	host      *hostMetrics
	providers map[string]*signinMetrics
}

// Signin implements auth.Meter.
func (m meter) Signin(provider string, result auth.Signin) {
	m.providers[provider].results[result].Inc()
}

// Registration implements auth.Meter.
func (m meter) Registration(ok bool) {
	if ok {
		m.host.registrations[1].Inc()
		return
	}
	m.host.registrations[0].Inc()
}

// Consent implements auth.Meter.
func (m meter) Consent(d auth.Decision) { m.host.decisions[d].Inc() }

const (
	// maxTools is how many tools of a host have series of their own. A server
	// may list what it likes.
	maxTools = 100

	// otherTool is what all the others are called, and those that the server
	// does not list.
	otherTool = "other"
)

// toolMetrics count the calls of tools. Names are looked up without a lock.
type toolMetrics struct {
	calls *prometheus.CounterVec // tool, decision
	time  prometheus.Histogram
	known *atomic.Pointer[map[string]*[2]prometheus.Counter] // denied, allowed
	add   *sync.Mutex
}

func newToolMetrics(host prometheus.Labels) toolMetrics {
	t := toolMetrics{
		calls: counters("mcp_tool_calls_total", "Calls of tools, by whether they were passed on.", host, "tool", "decision"),
		time:  prometheus.NewHistogram(histogram("mcp_tool_call_duration_seconds", "Time from a tool call's head to the end of its answer.", host)),
		known: &atomic.Pointer[map[string]*[2]prometheus.Counter]{}, add: &sync.Mutex{},
	}
	t.known.Store(&map[string]*[2]prometheus.Counter{otherTool: t.counters(otherTool)})
	return t
}

func (t *toolMetrics) counters(tool string) *[2]prometheus.Counter {
	return &[2]prometheus.Counter{t.calls.WithLabelValues(tool, "denied"), t.calls.WithLabelValues(tool, "allowed")}
}

// called counts the call of a tool; listed says whether the MCP server lists
// it.
func (t *toolMetrics) called(tool string, listed, allowed bool) {
	c, ok := (*t.known.Load())[tool]
	if !ok && listed {
		c = t.learn(tool)
	} else if !ok {
		c = (*t.known.Load())[otherTool]
	}
	if allowed {
		c[1].Inc()
		return
	}
	c[0].Inc()
}

// learn gives a tool series of its own if there is room.
func (t *toolMetrics) learn(tool string) *[2]prometheus.Counter {
	t.add.Lock()
	defer t.add.Unlock()
	known := *t.known.Load()
	if c, ok := known[tool]; ok {
		return c
	}
	if len(known) > maxTools { // other is one of them
		return known[otherTool]
	}
	more := make(map[string]*[2]prometheus.Counter, len(known)+1)
	for name, c := range known {
		more[name] = c
	}
	more[tool] = t.counters(tool)
	t.known.Store(&more)
	return more[tool]
}
