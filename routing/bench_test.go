package routing_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

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
				if err := r.Authorize(b.Context(), req, ada.Scopes); err != nil {
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
