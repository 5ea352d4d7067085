package routing_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing"
)

// nowhere is a client that throws answers away.
type nowhere struct{ h http.Header }

func (n *nowhere) Header() http.Header         { return n.h }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Flush()                      {}

// BenchmarkForward is a call of 190 bytes answered with 1 KB, to a server on a
// real listener, with and without the scopes held.
func BenchmarkForward(b *testing.B) {
	answer := []byte(`{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("x", 980) + `"}`)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	defer s.Close()
	small := strings.Replace(call("get"), `{}`, `{"q":"`+strings.Repeat("a", 90)+`"}`, 1)
	large := strings.Replace(call("get"), `{}`, `{"q":"`+strings.Repeat("a", 1<<20)+`"}`, 1)
	for name, tc := range map[string]struct {
		body    string
		enforce bool
	}{
		"190B": {small, false}, "190B enforced": {small, true}, "1MB": {large, false}, "1MB enforced": {large, true},
	} {
		b.Run(name, func(b *testing.B) {
			c := routing.Config{Host: "a.example", Endpoint: parse(b, s.URL+"/mcp"), IdentityHeaders: true, EnforceScopes: tc.enforce, ScopesSet: true}
			for _, s := range noteScopes {
				c.Scopes = append(c.Scopes, routing.Scope(s))
			}
			r := route(b, c)
			b.ReportAllocs()
			for b.Loop() {
				req := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(tc.body))
				req.Header = http.Header{
					"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer x"},
					"Mcp-Session-Id": {"s"}, "Mcp-Protocol-Version": {"2025-11-25"}, "User-Agent": {"bench"},
				}
				if err := r.Authorize(b.Context(), req, routing.Granted{Scopes: ada.Scopes}); err != nil {
					b.Fatal(err)
				}
				r.Forward(&nowhere{http.Header{}}, req, ada)
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	r := route(b, routing.Config{Host: "a.example"})
	table, _ := routing.NewTable([]routing.Config{{Host: r.Host}}, routing.Options{})
	for b.Loop() {
		if _, ok := table.Lookup("a.example"); !ok {
			b.Fatal()
		}
	}
}
