package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// unknownHost is what all hosts are called that are not ours.
const unknownHost = "unknown"

// statusLeft is that of a client that left before there was an answer, as nginx
// has it.
const statusLeft = 499

// recorders are used again: their life is exactly that of ServeHTTP.
var recorders = sync.Pool{New: func() any { return new(recorder) }}

// observe serves a request and counts it.
func (g *Gateway) observe(w http.ResponseWriter, r *http.Request) {
	s := g.site.Load()
	rec := recorders.Get().(*recorder)
	*rec = recorder{ResponseWriter: w, host: s.series.unknown, began: time.Now()}
	if g.tracing != nil {
		r, rec.span = g.tracing.begin(r, s.scheme)
	}
	defer rec.end()
	s.ServeHTTP(rec, r)
	rec.returned = true
}

// recorder remembers what is to be counted of an answer, and hides nothing else
// of the ResponseWriter: http.ResponseController finds it through Unwrap.
type recorder struct {
	http.ResponseWriter
	host  *hostMetrics
	kind  kindIndex
	began time.Time
	span  trace.Span // nil: requests are not traced

	status   int // 0: nothing was answered yet
	stream   bool
	returned bool // it was served, and not broken off
}

// at says whose request it is, once that is known.
func (r *recorder) at(h *hostMetrics, k kind) { r.host, r.kind = h, indexOf(k) }

// recorderOf finds what counts a request.
func recorderOf(c echo.Context) *recorder {
	rec, ok := c.Response().Writer.(*recorder)
	if !ok { // a handler that is not served by observe counts nowhere
		return &recorder{}
	}
	return rec
}

func (r *recorder) end() {
	if r.stream {
		r.host.streams.Dec()
	}
	status := r.status
	switch {
	case status != 0:
	case r.returned:
		status = http.StatusOK // as net/http answers for who says nothing
	default:
		status = statusLeft
	}
	o, took := r.host.request(r.kind, status), time.Since(r.began).Seconds()
	if r.span == nil {
		o.Observe(took)
	} else {
		observeSpan(o, took, r.span)
		endRequest(r.span, status)
	}
	*r = recorder{}
	recorders.Put(r)
}

// WriteHeader notes the final status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
		if r.kind == indexCall && strings.HasPrefix(r.Header().Get("Content-Type"), eventStream) {
			r.stream = true
			r.host.streams.Inc()
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

// Flush implements http.Flusher.
func (r *recorder) Flush() {
	if f, ok := r.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// observeSpan leads from a number to the trace of a request that made it, if the
// trace is kept.
func observeSpan(o prometheus.Observer, value float64, span trace.Span) {
	x, ok := o.(prometheus.ExemplarObserver)
	if at := span.SpanContext(); ok && at.IsSampled() {
		x.ObserveWithExemplar(value, prometheus.Labels{"trace_id": at.TraceID().String()})
		return
	}
	o.Observe(value)
}

// request finds the histogram of a kind and status.
func (h *hostMetrics) request(k kindIndex, status int) prometheus.Observer {
	i := statusIndex(status)
	if o := h.found[k][i].Load(); o != nil {
		return *o
	}
	o := h.requests.WithLabelValues(kindNames[k], statusNames[i])
	h.found[k][i].Store(&o)
	return o
}

// kindIndex is a kind as a small number; 0 is that of hosts we do not have.
type kindIndex uint8

const (
	kinds               = 6
	indexCall kindIndex = 1
)

// kindNames are the values of the label kind.
var kindNames = [kinds]string{"unknown", string(kindCall), string(kindToken), string(kindPage), string(kindMetadata), string(kindForwardAuth)}

func indexOf(k kind) kindIndex {
	switch k {
	case kindToken:
		return 2
	case kindPage:
		return 3
	case kindMetadata:
		return 4
	case kindForwardAuth:
		return 5
	case kindCall:
	}
	return indexCall
}

// statusNames are the values of the label status: those of net/http by their
// numbers, all others, which an MCP server may make up, by their class.
// statusIndexes says which is a status's.
var statusNames, statusIndexes = nameStatuses()

func nameStatuses() (names []string, indexes [1000]uint8) {
	for class := 1; class <= 9; class++ {
		for status := 100 * class; status < 100*class+100; status++ {
			indexes[status] = uint8(len(names))
		}
		names = append(names, strconv.Itoa(class)+"xx")
	}
	for status := 100; status < 600; status++ {
		if http.StatusText(status) != "" {
			indexes[status] = uint8(len(names))
			names = append(names, strconv.Itoa(status))
		}
	}
	return names, indexes
}

func statusIndex(status int) uint8 {
	if status < 0 || status >= len(statusIndexes) {
		return 0
	}
	return statusIndexes[status]
}
