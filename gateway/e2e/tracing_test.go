//go:build e2e

package e2e

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestTraces: an agent's trace goes through the program to its MCP server, and
// what the program did is sent to a collector, as the protocol's own messages.
func TestTraces(t *testing.T) {
	const agent, agentSpan = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	told := make(chan string, 1)
	upstream := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told <- r.Header.Get("Traceparent")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	batches := make(chan *collector.ExportTraceServiceRequest, 100)
	receiver := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		batch := &collector.ExportTraceServiceRequest{}
		if err == nil {
			err = proto.Unmarshal(body, batch)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("X-Api-Key") != "of-the-collector" {
			http.Error(w, fmt.Sprint(r.URL.Path, r.Header, err), http.StatusBadRequest)
			t.Errorf("the collector got %s %v: %v", r.URL.Path, r.Header, err)
			return
		}
		batches <- batch
		answer, _ := proto.Marshal(&collector.ExportTraceServiceResponse{})
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(answer)
	}))
	addr := freeAddr(t)
	g := serve(t, addr, settings{
		"server":  settings{"scheme": "http"},
		"tls":     settings{"mode": "off"},
		"proxy":   settings{"hosts": []settings{{"host": addr, "endpoint": upstream + "/mcp", "public": true}}},
		"tracing": settings{"endpoint": receiver, "headers": []settings{{"name": "X-Api-Key", "value": "of-the-collector"}}},
	}, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=e2e")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/mcp", strings.NewReader(initialize))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Traceparent", "00-"+agent+"-"+agentSpan+"-00")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	parts := strings.Split(<-told, "-")
	if len(parts) != 4 || parts[1] != agent || parts[2] == agentSpan || parts[3] != "01" {
		t.Fatalf("the MCP server was told %q", parts)
	}
	g.stop(t, os.Interrupt) // and the last spans are sent
	close(batches)
	spans := map[tracepb.Span_SpanKind]*tracepb.Span{}
	resource := ""
	for batch := range batches {
		for _, r := range batch.GetResourceSpans() {
			resource = r.GetResource().String()
			for _, s := range r.GetScopeSpans() {
				for _, span := range s.GetSpans() {
					spans[span.GetKind()] = span
				}
			}
		}
	}
	request, onward := spans[tracepb.Span_SPAN_KIND_SERVER], spans[tracepb.Span_SPAN_KIND_CLIENT]
	if request.GetName() != "POST /*" || hex.EncodeToString(request.GetParentSpanId()) != agentSpan || hex.EncodeToString(request.GetTraceId()) != agent {
		t.Errorf("the span of the request is %v", request)
	}
	if string(onward.GetParentSpanId()) != string(request.GetSpanId()) || hex.EncodeToString(onward.GetSpanId()) != parts[2] {
		t.Errorf("the span of the call is %v", onward)
	}
	for _, want := range []string{"service.name", "mcp-oauth2-proxy", "service.version", "host.name", "deployment.environment.name", "e2e"} {
		if !strings.Contains(resource, `"`+want+`"`) {
			t.Errorf("it does not name %s: %s", want, resource)
		}
	}
}
