package gateway

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// tracerName is who our spans are by.
const tracerName = "mcp-oauth2-proxy"

// flushTime is how long the last spans have to be sent when the program ends.
const flushTime = 5 * time.Second

// tracing makes a span of each request and sends it to a collector. Spans lie in
// a queue of 2,048 until they are sent, and those that find it full are
// dropped: no request ever waits.
type tracing struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	context  propagation.TraceContext
	patience time.Duration // with the collector, when the program ends
}

// openTracing returns nil if there is nowhere to send traces to.
func openTracing(ctx context.Context, c TracingConfig, version string, secret []byte, log *slog.Logger) (*tracing, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "mcp-oauth2-proxy sampling of traces", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of sampling: %w", err)
	}
	to, err := newCollector(c)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	who, err := resource.New(ctx, resource.WithHost(), resource.WithTelemetrySDK(), resource.WithAttributes(
		semconv.ServiceName("mcp-oauth2-proxy"), semconv.ServiceVersion(version), semconv.ServiceInstanceID(rand.Text()),
	), resource.WithFromEnv())
	if err != nil { // what could be read of it is there
		log.WarnContext(ctx, "traces do not name this process as they should", "cause", err)
	}
	own := dice{key: key, below: c.SampleRatio}
	p := sdk.NewTracerProvider(
		sdk.WithBatcher(&calm{SpanExporter: exporter, log: log, noise: rate.NewLimiter(rate.Every(time.Minute), 1)}),
		sdk.WithResource(who),
		sdk.WithSampler(sdk.ParentBased(own, sdk.WithRemoteParentSampled(own), sdk.WithRemoteParentNotSampled(own))),
	)
	return &tracing{provider: p, tracer: p.Tracer(tracerName, trace.WithInstrumentationVersion(version)), patience: flushTime}, nil
}

// Close sends what has not been sent.
func (t *tracing) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), t.patience)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}

// dice decides which traces are kept, by a hash of the trace's ID under a key
// that only we know: all replicas decide alike, and no caller can choose an ID
// that is kept, or say that it be.
type dice struct {
	key   []byte
	below float64
}

// ShouldSample implements sdk.Sampler.
func (d dice) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	sum := sha256.Sum256(append(d.key[:len(d.key):len(d.key)], p.TraceID[:]...))
	r := sdk.SamplingResult{Decision: sdk.Drop, Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
	if float64(binary.BigEndian.Uint64(sum[:]))/math.MaxUint64 < d.below || d.below == 1 {
		r.Decision = sdk.RecordAndSample
	}
	return r
}

// Description implements sdk.Sampler.
func (d dice) Description() string { return fmt.Sprintf("mcp-oauth2-proxy{%g}", d.below) }

// calm is an exporter whose trouble is ours to log, at most once a minute, and
// nobody else's.
type calm struct {
	sdk.SpanExporter
	log     *slog.Logger
	noise   *rate.Limiter
	failing bool // its caller is one at a time
}

// ExportSpans implements sdk.SpanExporter.
func (c *calm) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	switch err := c.SpanExporter.ExportSpans(ctx, spans); {
	case err != nil:
		c.failing = true
		if c.noise.Allow() {
			c.log.WarnContext(ctx, "traces are lost: the collector does not take them", "spans", len(spans), "cause", err)
		}
	case c.failing:
		c.failing = false
		c.log.InfoContext(ctx, "the collector takes traces again")
	}
	return nil
}

// step begins a span within that of a request; without one, or in one that is
// not kept, it costs a look into the context and nothing else.
func step(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, nil
	}
	return parent.TracerProvider().Tracer(tracerName).Start(ctx, name, o...)
}

// endStep ends what step began.
func endStep(s trace.Span, result string) {
	if s == nil {
		return
	}
	s.SetAttributes(keyResult.String(result))
	s.End()
}
