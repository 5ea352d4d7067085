package gateway

import (
	"context"
	"errors"
	"time"

	"mcp-oauth2-proxy/auth/store"

	"github.com/prometheus/client_golang/prometheus"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// verb is a verb of the store.
type verb int

// The verbs, as verbNames has them.
const (
	verbGet verb = iota
	verbPut
	verbCreate
	verbTake
	verbUpdate
	verbDelete
	verbList
)

var verbNames = [...]string{"get", "put", "create", "take", "update", "delete", "list"}

// storeSpans are the names of their spans.
var storeSpans = [...]string{"store get", "store put", "store create", "store take", "store update", "store delete", "store list"}

// storeBuckets reach from a look into memory to a database that does not
// answer.
var storeBuckets = []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 30}

// storeMetrics are how long the store takes, and whether it fails.
type storeMetrics struct {
	*prometheus.HistogramVec
	verbs [len(verbNames)][2]prometheus.Observer // ok, error
}

func newStoreMetrics() *storeMetrics {
	o := histogram("store_operation_duration_seconds", "Time that the store took for an operation. That there is no such record is no error.", nil)
	o.Buckets = storeBuckets
	m := &storeMetrics{HistogramVec: prometheus.NewHistogramVec(o, []string{"operation", "result"})}
	for v, name := range verbNames {
		m.verbs[v] = [2]prometheus.Observer{m.WithLabelValues(name, "ok"), m.WithLabelValues(name, "error")}
	}
	return m
}

// took counts an operation that began at start, and says how it ended. One that
// its caller gave up says nothing of the store.
func (m *storeMetrics) took(v verb, start time.Time, err error) (result string) {
	took := time.Since(start).Seconds()
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExists):
		m.verbs[v][0].Observe(took)
		return "ok"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	m.verbs[v][1].Observe(took)
	return "error"
}

// measured is a store whose operations are counted.
type measured struct {
	store.Store
	metrics *storeMetrics
}

// An operation is under way.
type operation struct {
	metrics *storeMetrics
	verb    verb
	start   time.Time
	span    trace.Span // nil: not part of a request that is traced
}

func (s measured) begin(ctx context.Context, v verb, kind store.Kind) (context.Context, operation) {
	o := operation{metrics: s.metrics, verb: v, start: time.Now()}
	if ctx, o.span = step(ctx, storeSpans[v]); o.span != nil {
		o.span.SetAttributes(semconv.DBOperationName(verbNames[v]), semconv.DBCollectionName(string(kind)))
	}
	return ctx, o
}

func (o operation) end(err error) {
	result := o.metrics.took(o.verb, o.start, err)
	endStep(o.span, result)
}

// Get implements store.Store.
func (s measured) Get(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	ctx, o := s.begin(ctx, verbGet, kind)
	value, err := s.Store.Get(ctx, kind, key)
	o.end(err)
	return value, err
}

// Put implements store.Store.
func (s measured) Put(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	ctx, o := s.begin(ctx, verbPut, kind)
	err := s.Store.Put(ctx, kind, key, value, ttl)
	o.end(err)
	return err
}

// Create implements store.Store.
func (s measured) Create(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	ctx, o := s.begin(ctx, verbCreate, kind)
	err := s.Store.Create(ctx, kind, key, value, ttl)
	o.end(err)
	return err
}

// Take implements store.Store.
func (s measured) Take(ctx context.Context, kind store.Kind, key string) ([]byte, error) {
	ctx, o := s.begin(ctx, verbTake, kind)
	value, err := s.Store.Take(ctx, kind, key)
	o.end(err)
	return value, err
}

// Update implements store.Store. What fn refuses is no failure of the store.
func (s measured) Update(ctx context.Context, kind store.Kind, key string, fn func(old []byte) ([]byte, time.Duration, error)) error {
	ctx, o := s.begin(ctx, verbUpdate, kind)
	var refused error
	err := s.Store.Update(ctx, kind, key, func(old []byte) (value []byte, ttl time.Duration, err error) {
		value, ttl, refused = fn(old)
		return value, ttl, refused
	})
	if refused != nil {
		o.end(nil)
		return err
	}
	o.end(err)
	return err
}

// Delete implements store.Store.
func (s measured) Delete(ctx context.Context, kind store.Kind, key string) error {
	ctx, o := s.begin(ctx, verbDelete, kind)
	err := s.Store.Delete(ctx, kind, key)
	o.end(err)
	return err
}

// List implements store.Store.
func (s measured) List(ctx context.Context, kind store.Kind, after string, limit int) ([]store.Record, error) {
	ctx, o := s.begin(ctx, verbList, kind)
	records, err := s.Store.List(ctx, kind, after, limit)
	o.end(err)
	return records, err
}
