package routing_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"runtime"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/routing/routingtest"
)

// nowhere is a client that throws answers away.
type nowhere struct{ h http.Header }

func (n *nowhere) Header() http.Header         { return n.h }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Flush()                      {}

// BenchmarkForward is a call answered with 1 KB, to a server on a real listener:
// with nothing held, with the scopes held, with the tools' definitions held as
// well (unchanged, and where another tool of the grant has changed), and with
// an argument held.
func BenchmarkForward(b *testing.B) {
	answer := []byte(`{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("x", 980) + `"}`)
	s := routingtest.New(b, routingtest.Options{
		Era: routingtest.Modern, Scopes: noteScopes, TTL: time.Minute,
		Tools: []routingtest.Tool{{Name: "get"}, {Name: "list"}, {Name: "delete"}, {Name: "create"}},
	})
	mcp := httputil.NewSingleHostReverseProxy(parse(b, strings.TrimSuffix(s.URL, "/mcp")))
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("User-Agent") != "bench" {
			mcp.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	defer front.Close()
	bodies := map[string]string{}
	for size, n := range map[string]int{"1KB": 1<<10 - 100, "1MB": 1 << 20} {
		bodies[size] = strings.Replace(call("get"), `{}`, `{"p":"me/x","q":"`+strings.Repeat("a", n)+`"}`, 1)
	}
	then := pinsOf{"other": {"get": "", "list": "changed"}}
	for name, tc := range map[string]struct {
		enforce bool
		pin     string
		limits  []routing.Limit
	}{
		"nothing held":            {},
		"scopes":                  {enforce: true},
		"scopes and tools":        {enforce: true, pin: "same"},
		"scopes and another tool": {enforce: true, pin: "other"},
		"scopes and an argument":  {enforce: true, limits: []routing.Limit{{Tool: "get", Argument: "p", Value: "me/"}}},
	} {
		for size, body := range bodies {
			b.Run(size+", "+name, func(b *testing.B) {
				r := route(b, routing.Config{Host: "a.example", Endpoint: parse(b, front.URL+"/mcp"), IdentityHeaders: true, EnforceScopes: tc.enforce, PinTools: true},
					func(o *routing.Options) { o.Pins = then })
				g := routing.Granted{Scopes: []string{"notes:read"}, Pin: tc.pin, Limits: tc.limits}
				c := r.Catalogue(b.Context())
				if tc.pin == "same" {
					g.Pin = c.Pin(g.Scopes)
				}
				then["other"]["get"] = c.Covered(g.Scopes)[0].Digest
				b.ReportAllocs()
				for b.Loop() {
					req := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
					req.Header = http.Header{
						"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer x"},
						"Mcp-Session-Id": {"s"}, "Mcp-Protocol-Version": {"2025-11-25"}, "User-Agent": {"bench"},
					}
					if err := r.Authorize(b.Context(), req, g); err != nil {
						b.Fatal(err)
					}
					r.Forward(&nowhere{http.Header{}}, req, ada)
				}
			})
		}
	}
}

// BenchmarkAuthorize is what of that is the decision alone.
func BenchmarkAuthorize(b *testing.B) {
	r := scoped(b, routing.Config{}, func(o *routing.Options) { o.MaxBody = 4 << 20 })
	for size, n := range map[string]int{"1KB": 1<<10 - 100, "1MB": 1 << 20} {
		body := strings.Replace(call("get"), `{}`, `{"q":"`+strings.Repeat("a", n)+`"}`, 1)
		b.Run(size, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			req := httptest.NewRequest(http.MethodPost, "/mcp", nil)
			for b.Loop() {
				req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
				if err := r.Authorize(b.Context(), req, routing.Granted{Scopes: []string{"notes:read"}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// pinsOf implements routing.Pins.
type pinsOf map[string]map[string]string

func (p pinsOf) Pinned(_ context.Context, pin string) (map[string]string, error) { return p[pin], nil }

func BenchmarkLookup(b *testing.B) {
	r := route(b, routing.Config{Host: "a.example"})
	table, _ := routing.NewTable([]routing.Config{{Host: r.Host}}, routing.Options{})
	for b.Loop() {
		if _, ok := table.Lookup("a.example"); !ok {
			b.Fatal()
		}
	}
}

// BenchmarkOpenStreams opens event streams that are silent, and reports what
// each costs: the gateway's two connections and goroutines, kept alive. Its
// server and its clients are bare sockets, which cost next to nothing here.
func BenchmarkOpenStreams(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	head := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n: x\n\n\r\n")
	var held []net.Conn
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			held = append(held, conn)
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write(head)
		}
	}()
	c := routing.Config{IdentityHeaders: true, Endpoint: parse(b, "http://"+l.Addr().String()+"/mcp"), KeepAlive: time.Minute}
	f := newFront(b, c, keyed)
	request := []byte("GET /mcp HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nAuthorization: Bearer x\r\n\r\n")
	answer := make([]byte, 4096)
	before := inUse()
	var open []net.Conn
	for b.Loop() {
		conn, err := net.Dial("tcp", f.Listener.Addr().String())
		if err == nil {
			_, err = conn.Write(request)
		}
		for got := 0; err == nil && !bytes.Contains(answer[:got], []byte(": x\n\n")); {
			var n int
			n, err = conn.Read(answer[got:])
			got += n
		}
		if err != nil {
			b.Fatal(err)
		}
		open = append(open, conn)
	}
	b.ReportMetric(float64(inUse()-before)/float64(len(open)), "B/stream")
	for _, conn := range open {
		_ = conn.Close()
	}
}

// inUse is the memory of heap and stacks after a collection.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
