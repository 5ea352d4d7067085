package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp/idptest"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"
)

// A receiver takes spans as a collector does.
type receiver struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request) bool // in its place; nil: it takes everything

	mu    sync.Mutex
	spans []*tracepb.Span
	raw   []byte
	posts []*http.Request
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	r.posts = append(r.posts, req)
	answer := r.answer
	r.mu.Unlock()
	if answer != nil && answer(w, req) {
		return
	}
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	if err != nil || req.Header.Get("Content-Type") != "application/x-protobuf" || req.Method != http.MethodPost {
		http.Error(w, "this is not OTLP", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw = append(r.raw, body...)
	for _, resource := range data.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
}

// traced are the spans that a gateway has sent, once it has sent them all.
func (r *receiver) traced(t testing.TB, g *Gateway) []*tracepb.Span {
	t.Helper()
	if err := g.tracing.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// until is traced once want holds: an answer may be there before its span ends.
func (r *receiver) until(t testing.TB, g *Gateway, want func(*tracepb.Span) bool) []*tracepb.Span {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		if spans := r.traced(t, g); slices.ContainsFunc(spans, want) || time.Now().After(deadline) {
			return spans
		}
	}
}

// isCall is true of the span of a call.
func isCall(s *tracepb.Span) bool {
	return s.GetKind() == server && strings.HasSuffix(s.GetName(), " /*")
}

// named is the last span of a name and kind.
func named(t testing.TB, spans []*tracepb.Span, kind tracepb.Span_SpanKind, name string) *tracepb.Span {
	t.Helper()
	var all []string
	for _, s := range slices.Backward(spans) {
		if s.GetName() == name && s.GetKind() == kind {
			return s
		}
		all = append(all, fmt.Sprintf("%s %s", s.GetKind(), s.GetName()))
	}
	t.Fatalf("there is no span %s %q among %q", kind, name, all)
	return nil
}

func attributesOf(s *tracepb.Span) map[string]string {
	all := map[string]string{}
	for _, a := range s.GetAttributes() {
		all[a.GetKey()] = a.GetValue().GetStringValue()
		if n := a.GetValue().GetIntValue(); n != 0 {
			all[a.GetKey()] = fmt.Sprint(n)
		}
	}
	return all
}

func wantAttributes(t testing.TB, s *tracepb.Span, want map[string]string) {
	t.Helper()
	got := attributesOf(s)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s: %s is %q, want %q", s.GetName(), key, got[key], value)
		}
	}
}

const (
	server   = tracepb.Span_SPAN_KIND_SERVER
	outward  = tracepb.Span_SPAN_KIND_CLIENT
	internal = tracepb.Span_SPAN_KIND_INTERNAL
)

func tracingTo(r *receiver) option { return with("TRACING_ENDPOINT", r.URL) }

// traceparent is what the MCP server was told last.
func (f *fixture) traceparent(t testing.TB) (header string, trace, span, flags string) {
	t.Helper()
	all := f.upstream.Requests()
	header = all[len(all)-1].Header.Get("Traceparent")
	parts := strings.Split(header, "-")
	if len(parts) != 4 || parts[0] != "00" {
		t.Fatalf("the MCP server was told %q", header)
	}
	return header, parts[1], parts[2], parts[3]
}

func TestACallIsATrace(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, tracingTo(r))
	_, tok := f.connected(t, "notes:read")
	f.call(t, notes, tok.access, "read_note", "User-Agent", "secret-agent")
	_, traceID, parent, flags := f.traceparent(t)
	spans := r.until(t, f.Gateway, isCall)
	request := named(t, spans, server, "POST /*")
	wantAttributes(t, request, map[string]string{
		"http.request.method": "POST", "http.route": "/*", "http.response.status_code": "200", "server.address": "notes.example.com",
		"url.scheme": "https", "mcp.method.name": "tools/call", "gen_ai.tool.name": "read_note", "network.protocol.version": "1.1", "error.type": "",
	})
	if hex.EncodeToString(request.GetTraceId()) != traceID || len(request.GetParentSpanId()) != 0 || flags != "01" {
		t.Errorf("the span of the request is %v, and the MCP server was told %s, flags %s", request, traceID, flags)
	}
	onward := named(t, spans, outward, "POST")
	wantAttributes(t, onward, map[string]string{"http.request.method": "POST", "http.response.status_code": "200", "server.address": "127.0.0.1"})
	if hex.EncodeToString(onward.GetSpanId()) != parent {
		t.Errorf("the MCP server was told of %s, and not of %x", parent, onward.GetSpanId())
	}
	check, policy := named(t, spans, internal, "token check"), named(t, spans, internal, "policy")
	wantAttributes(t, check, map[string]string{"mcp_oauth2_proxy.result": "ok"})
	wantAttributes(t, policy, map[string]string{"mcp_oauth2_proxy.result": "allowed"})
	for _, child := range []*tracepb.Span{onward, check, policy} {
		if string(child.GetParentSpanId()) != string(request.GetSpanId()) {
			t.Errorf("%s is not part of the request", child.GetName())
		}
	}
}

func TestSpansSayWhatFailed(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, tracingTo(r))
	_, tok := f.connected(t, "notes:read")
	f.call(t, notes, tok.access, "delete_note")
	wantAttributes(t, named(t, r.traced(t, f.Gateway), internal, "policy"), map[string]string{"mcp_oauth2_proxy.result": "denied"})
	f.call(t, notes, tok.access+"x", "read_note")
	wantAttributes(t, named(t, r.traced(t, f.Gateway), internal, "token check"), map[string]string{"mcp_oauth2_proxy.result": "invalid"})
	f.upstream.Close()
	f.call(t, notes, tok.access, "read_note")
	spans := r.traced(t, f.Gateway)
	request, onward := named(t, spans, server, "POST /*"), named(t, spans, outward, "POST")
	wantAttributes(t, request, map[string]string{"http.response.status_code": "502", "error.type": "502"})
	wantAttributes(t, onward, map[string]string{"error.type": "transport"})
	for _, s := range []*tracepb.Span{request, onward} {
		if s.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
			t.Errorf("%s is no error", s.GetName())
		}
	}
	if log := f.logged.String(); !strings.Contains(log, `"trace_id":"`+hex.EncodeToString(request.GetTraceId())+`"`) {
		t.Error("the log does not name the trace")
	}
	text, _ := scrape(t, f.Gateway, "Accept", "application/openmetrics-text;version=1.0.0")
	if !strings.Contains(text, `# {trace_id="`+hex.EncodeToString(request.GetTraceId())+`"}`) {
		t.Error("the metrics do not name the trace")
	}
}

// Whoever reads traces must not be able to act for anybody, nor to tell who
// asked for what.
func TestSpansHoldNoSecretAndNothingRaw(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, tracingTo(r), with("TRACING_HEADERS", `[{"name":"Authorization","value":"Bearer of-the-collector"}]`))
	c, tok := f.connected(t, "notes:read")
	f.call(t, notes, tok.access, "read_note", "User-Agent", "told-agent", "Cookie", "told=cookie")
	f.get(t, notes+"/told/path?told=query", "Authorization", "Bearer "+tok.access)
	f.ask(t, "TOLD", notes+"/mcp", "", "Authorization", "Bearer "+tok.access)
	f.get(t, notes+"/.well-known/oauth-protected-resource/told/suffix")
	f.get(t, "https://told.example.com/")
	c.refresh(t, tok.refresh).tokens(t)
	f.ask(t, http.MethodPost, notes+"/token", "grant_type=told", "Authorization", basic("told", "told"))
	spans := r.until(t, f.Gateway, func(s *tracepb.Span) bool { return s.GetName() == "HTTP /*" })
	named(t, spans, server, "HTTP /*")
	named(t, spans, server, "GET /.well-known/oauth-protected-resource/*")
	named(t, spans, server, "POST /token")
	named(t, spans, server, "GET")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range []string{"told", tok.access, tok.refresh, "Bearer", "of-the-collector", "ada", c.id, passphrase, verifier, "127.0.0.1:"} {
		if strings.Contains(strings.ToLower(string(r.raw)), strings.ToLower(secret)) {
			t.Errorf("%q is in a span", secret)
		}
	}
	if got := r.posts[0].Header.Get("Authorization"); got != "Bearer of-the-collector" {
		t.Errorf("the collector got %q", got)
	}
	if r.posts[0].URL.Path != "/v1/traces" {
		t.Errorf("spans are sent to %s", r.posts[0].URL.Path)
	}
}

func TestATraceOfTheCallerGoesOnButWeDecideWhatIsKept(t *testing.T) {
	const id, from = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for name, tc := range map[string]struct {
		ratio, sent, want string
	}{
		"the caller keeps it, and so do we":      {"1", "01", "01"},
		"the caller does not, and we do":         {"1", "00", "01"},
		"the caller keeps it, and we do not":     {"0", "01", "00"},
		"the caller does not, and neither do we": {"0", "00", "00"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			f := newFixture(t, tracingTo(r), with("TRACING_SAMPLERATIO", tc.ratio))
			_, tok := f.connected(t, "notes:read")
			f.call(t, notes, tok.access, "read_note", "Traceparent", "00-"+id+"-"+from+"-"+tc.sent, "Tracestate", "vendor=1", "Baggage", "user=root")
			_, traceID, span, flags := f.traceparent(t)
			if traceID != id || span == from || flags != tc.want {
				t.Errorf("the MCP server was told %s, %s, %s", traceID, span, flags)
			}
			all := f.upstream.Requests()
			last := all[len(all)-1].Header
			if last.Get("Tracestate") != "vendor=1" || last.Get("Baggage") != "" {
				t.Errorf("the MCP server got tracestate %q and baggage %q", last.Get("Tracestate"), last.Get("Baggage"))
			}
			ours := func(s *tracepb.Span) bool {
				return hex.EncodeToString(s.GetTraceId()) == id && hex.EncodeToString(s.GetParentSpanId()) == from
			}
			spans := r.traced(t, f.Gateway)
			if tc.want == "01" {
				spans = r.until(t, f.Gateway, ours)
			}
			kept := slices.ContainsFunc(spans, ours)
			if kept != (tc.want == "01") {
				t.Errorf("it is kept: %t", kept)
			}
		})
	}
}

func TestATraceThatIsNoneIsNotPassedOn(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, tracingTo(r))
	_, tok := f.connected(t, "notes:read")
	for _, sent := range []string{"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "nonsense", "00-1-2-01"} {
		f.call(t, notes, tok.access, "read_note", "Traceparent", sent, "Tracestate", "vendor=1")
		if header, _, _, _ := f.traceparent(t); header == sent {
			t.Errorf("%s is passed on", sent)
		}
	}
}

func TestASigninIsATraceOfWhichTheProviderIsNotTold(t *testing.T) {
	r := newReceiver(t)
	provider := idptest.New(t)
	spy := &spy{next: provider.Client().Transport}
	config := signinConfig(oidcProvider(provider, "company", "allowAnyone: true"), "") + "tracing: {endpoint: " + r.URL + "}\n"
	h := newHouse(t, config, &http.Client{Transport: spy})
	p := h.person(t, provider.Visit)
	p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
	spans := r.traced(t, h.Gateway)
	request := named(t, spans, server, "GET /callback")
	var asked, stored int
	for _, s := range spans {
		if string(s.GetTraceId()) != string(request.GetTraceId()) {
			continue
		}
		switch {
		case s.GetKind() == outward:
			wantAttributes(t, s, map[string]string{"server.address": "127.0.0.1"})
			asked++
		case strings.HasPrefix(s.GetName(), "store "):
			if a := attributesOf(s); a["db.operation.name"] == "" || a["db.collection.name"] == "" || a["mcp_oauth2_proxy.result"] != "ok" {
				t.Errorf("%s: %v", s.GetName(), a)
			}
			stored++
		}
	}
	if asked == 0 || stored == 0 {
		t.Errorf("the callback has %d spans of the provider and %d of the store", asked, stored)
	}
	spy.mu.Lock()
	defer spy.mu.Unlock()
	if spy.seen == 0 || spy.told > 0 {
		t.Errorf("the provider was told of a trace in %d of %d requests", spy.told, spy.seen)
	}
}

// spy looks at what is sent.
type spy struct {
	next http.RoundTripper

	mu         sync.Mutex
	seen, told int
}

// RoundTrip implements http.RoundTripper.
func (s *spy) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.seen++
	if r.Header.Get("Traceparent") != "" {
		s.told++
	}
	s.mu.Unlock()
	return s.next.RoundTrip(r)
}

// The span of a call ends with its answer, however long that streams.
func TestTheSpanOfAStreamEndsWithIt(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, tracingTo(r))
	_, tok := f.connected(t, "notes:read")
	res := f.stream(t, tok.access)
	_, traceID, _, _ := f.traceparent(t)
	ended := func() (n int) {
		for _, s := range r.traced(t, f.Gateway) {
			if hex.EncodeToString(s.GetTraceId()) == traceID && s.GetKind() != internal && !strings.HasPrefix(s.GetName(), "store") {
				n++
			}
		}
		return n
	}
	if n := ended(); n != 0 {
		t.Errorf("%d spans have ended while it streams", n)
	}
	_ = res.Body.Close()
	for deadline := time.Now().Add(10 * time.Second); ended() != 2; {
		if time.Now().After(deadline) {
			t.Fatalf("%d spans have ended, want those of the request and of the call", ended())
		}
	}
}

func TestACollectorInTroubleDisturbsNobody(t *testing.T) {
	for name, tc := range map[string]func(*receiver){
		"it is gone":       func(r *receiver) { r.Close() },
		"it refuses":       func(r *receiver) { r.answer = refusing(http.StatusBadRequest) },
		"it is overloaded": func(r *receiver) { r.answer = refusing(http.StatusServiceUnavailable) },
		"it does not answer": func(r *receiver) {
			r.answer = func(_ http.ResponseWriter, req *http.Request) bool { <-req.Context().Done(); return true }
		},
		"it sends us elsewhere": func(r *receiver) { r.answer = refusing(http.StatusFound) },
		"it breaks off": func(r *receiver) {
			r.answer = func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			tc(r)
			f := newFixture(t, tracingTo(r))
			f.tracing.patience = 10 * time.Millisecond
			_, tok := f.connected(t, "notes:read")
			for range 1000 { // 4,000 spans and more; the queue has 2,048
				if a := f.call(t, notes, tok.access, "read_note"); a.StatusCode != http.StatusOK {
					t.Fatalf("a call is answered with %s", a.Status)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_ = f.tracing.provider.ForceFlush(ctx) // it waits for what cannot be sent
			if n := strings.Count(f.logged.String(), "traces are lost"); n > 1 {
				t.Errorf("the log says so %d times", n)
			}
			if strings.Contains(name, "refuses") && !strings.Contains(f.logged.String(), `traces are lost`) {
				t.Error("the log does not say so")
			}
		})
	}
}

// sending is a function as one.
type sending func() error

// ExportSpans implements sdk.SpanExporter.
func (e sending) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return e() }

// Shutdown implements sdk.SpanExporter.
func (e sending) Shutdown(context.Context) error { return nil }

func refusing(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		return true
	}
}

func TestWhatTheCollectorMayTakeLaterIsSentAgain(t *testing.T) {
	for code, want := range map[int]int{
		http.StatusOK: 1, http.StatusServiceUnavailable: 3, http.StatusTooManyRequests: 3, http.StatusBadGateway: 3,
		http.StatusBadRequest: 1, http.StatusUnauthorized: 1, http.StatusFound: 1, http.StatusInternalServerError: 1,
	} {
		r := newReceiver(t)
		failures := 2
		r.answer = func(w http.ResponseWriter, req *http.Request) bool {
			failures--
			return failures >= 0 && code != http.StatusOK && refusing(code)(w, req)
		}
		c, err := newCollector(TracingConfig{Endpoint: r.URL + "/"})
		if err != nil {
			t.Fatal(err)
		}
		c.pause = time.Millisecond
		err = c.UploadTraces(t.Context(), []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{Name: "x"}}}}}})
		if good := want == 3 || code == http.StatusOK; (err == nil) != good || len(r.posts) != want || good != (len(r.spans) == 1) {
			t.Errorf("%d: tried %d times, want %d; %v", code, len(r.posts), want, err)
		}
	}
}

func TestAnEndSendsTheLastSpans(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, tracingTo(r))
	f.get(t, notes+"/.well-known/oauth-protected-resource")
	if err := f.tracing.Close(); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	named(t, r.spans, server, "GET /.well-known/oauth-protected-resource")
}

func TestTheCollectorIsToldOnceWhenItRecovers(t *testing.T) {
	var log sharedText
	failing := true
	c := &calm{
		SpanExporter: sending(func() error {
			if failing {
				return io.ErrUnexpectedEOF
			}
			return nil
		}),
		log: slog.New(slog.NewTextHandler(&log, nil)), noise: rate.NewLimiter(rate.Every(time.Minute), 1),
	}
	for _, failing = range []bool{true, true, false, false} {
		if err := c.ExportSpans(t.Context(), nil); err != nil {
			t.Errorf("trouble is everybody's: %v", err)
		}
	}
	if text := log.String(); strings.Count(text, "traces are lost") != 1 || strings.Count(text, "takes traces again") != 1 {
		t.Errorf("the log says\n%s", text)
	}
}

func TestSamplingIsFairAndNotTheCallersToChoose(t *testing.T) {
	one, two := dice{[]byte("key"), .25}, dice{[]byte("another"), .25}
	kept, same := 0, 0
	const n = 20_000
	for range n {
		var id trace.TraceID
		_, _ = rand.Read(id[:])
		keeps := func(d dice) bool {
			return d.ShouldSample(sdk.SamplingParameters{ParentContext: t.Context(), TraceID: id}).Decision == sdk.RecordAndSample
		}
		if keeps(one) {
			kept++
		}
		if keeps(one) == keeps(two) {
			same++
		}
		if !keeps(dice{one.key, 1}) || keeps(dice{one.key, 0}) {
			t.Fatal("all is not all, or none not none")
		}
	}
	if share := float64(kept) / n; math.Abs(share-.25) > .03 {
		t.Errorf("%.3f are kept, want a quarter", share)
	}
	if share := float64(same) / n; math.Abs(share-.625) > .03 { // .25² + .75²
		t.Errorf("gateways with different keys agree on %.3f", share)
	}
}

// Without tracing, a call pays nothing for it, and headers pass as they are.
func TestWithoutTracingThereIsNoneOfIt(t *testing.T) {
	f := newFixture(t)
	if f.tracing != nil {
		t.Fatal("it is on")
	}
	_, tok := f.connected(t, "notes:read")
	f.call(t, notes, tok.access, "read_note", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Baggage", "a=b")
	header, _, _, _ := f.traceparent(t)
	if header != "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" {
		t.Errorf("X16: the MCP server got %q", header)
	}
	ctx := context.WithValue(t.Context(), http.ServerContextKey, f.listener.Config)
	if n := testing.AllocsPerRun(100, func() {
		_, span := step(ctx, "token check")
		endStep(span, checkNames[checkOK])
	}); n != 0 {
		t.Errorf("a step costs %g allocations", n)
	}
}

func TestFaultsOfTracing(t *testing.T) {
	for text, want := range map[string]string{
		"endpoint: collector":                                     "tracing.endpoint: is not an http or https URL",
		"endpoint: 'grpc://collector:4317'":                       "tracing.endpoint: is not an http or https URL",
		"endpoint: 'http://user:password@collector'":              "tracing.endpoint: holds a user",
		"sampleRatio: 1.5":                                        "tracing.sampleRatio: 1.5 is not between 0 and 1",
		"sampleRatio: -1":                                         "tracing.sampleRatio: -1 is not between 0 and 1",
		"sampleRatio: .nan":                                       "tracing.sampleRatio: NaN is not between 0 and 1",
		"sampleRatio: often":                                      "tracing.sampleRatio: is a text; it takes a number",
		"headers: [{name: 'a b', value: x}]":                      `tracing.headers[0].name: "a b" is not the name of a header`,
		"headers: [{name: Authorization}]":                        "tracing.headers[0].value: is missing (or valueFile)",
		"headers: [{name: Authorization, valueFile: /nowhere/x}]": "tracing.headers[0].valueFile: open /nowhere/x",
	} {
		t.Run(text, func(t *testing.T) { wantFaults(t, faultsOf(t, sound+"\ntracing: {"+text+"}\n"), want) })
	}
	c := loads(t, sound+"\ntracing: {endpoint: 'http://collector.example.com', headers: [{name: Authorization, value: x}]}\n")
	if w := c.Warnings(); !slices.ContainsFunc(w, func(s string) bool { return strings.HasPrefix(s, "tracing.endpoint: the credential") }) {
		t.Errorf("the warnings are %q", w)
	}
}

func TestTracesGoToThePathOfTheProtocol(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://127.0.0.1:4318":            "http://127.0.0.1:4318/v1/traces",
		"https://collector.example.com/":   "https://collector.example.com/v1/traces",
		"https://example.com/otlp?key=abc": "https://example.com/otlp?key=abc",
	} {
		if got, err := tracesURL(endpoint); err != nil || got != want {
			t.Errorf("%s: %s, %v", endpoint, got, err)
		}
	}
	c := &collector{url: "http://127.0.0.1:1/?key=secret", client: http.DefaultClient, pause: time.Millisecond}
	if err := c.UploadTraces(t.Context(), nil); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error is %v", err)
	}
}
