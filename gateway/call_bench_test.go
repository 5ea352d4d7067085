package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/access"
)

// BenchmarkCall is a tools/call of 180 bytes that is answered with 1 KB of JSON,
// through the whole gateway: TLS, host, token, session, limits, scopes and pinned
// tools, identity headers, the audit log's line, metrics. The client and the MCP
// server are bare sockets, so that what is allocated is the gateway's.
//
// With Go 1.26 on two cores one with a token seen before takes 84 µs and 70
// allocations, 8 KB; one with a token seen for the first time 177 µs and 134;
// with HTTP/2, Go's client included, 147 µs and 143; in process, which is without
// TLS and Go's HTTP server, 42 µs and 33; at the same time 82 µs each.
func BenchmarkCall(b *testing.B) {
	x := newBench(b)
	b.Run("a token seen before", func(b *testing.B) {
		token := x.token(b)
		x.call(b, func() string { return token })
	})
	b.Run("a token seen for the first time", func(b *testing.B) {
		var left []string
		x.call(b, func() string {
			if len(left) == 0 {
				b.StopTimer()
				for range 100 {
					left = append(left, x.token(b))
				}
				b.StartTimer()
			}
			token := left[0]
			left = left[1:]
			return token
		})
	})
	b.Run("HTTP/2", x.http2)
	b.Run("in process", x.inProcess)
}

// BenchmarkCallParallel is BenchmarkCall over as many connections as there are
// processors, all of one user: with -mutexprofile it shows who waits for whom.
func BenchmarkCallParallel(b *testing.B) {
	x := newBench(b)
	token := x.token(b)
	connections := make(chan *caller1, runtime.GOMAXPROCS(0))
	for range cap(connections) {
		connections <- x.dial(b)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		c := <-connections
		defer func() { _ = c.Close() }()
		for p.Next() {
			if err := c.call(token); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A bench is a gateway behind TLS, with its log and audit log written nowhere.
type bench struct {
	*fixture
	server  *httptest.Server
	session string // as the client is shown it
}

const benchCall = `{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"name":"read_note","arguments":{"query":"weather in lisbon tomorrow","limit":10,"locale":"en"},"_meta":{"progressToken":"tok"}}}`

func newBench(b testing.TB, options ...option) *bench {
	b.Helper()
	hosts := fmt.Sprintf(`[{"host":"notes.example.com","endpoint":"http://%s/mcp"}]`, newOrigin(b))
	f := newFixture(b, append([]option{serving(hosts), with("TOKEN_ALGORITHM", "RS256"), with("SERVER_LIMITS_STREAMSPERUSER", "0"),
		func(s *setup) { s.clock = nil }}, options...)...)
	f.logged.discard()
	f.audited.discard()
	x := &bench{fixture: f, server: httptest.NewUnstartedServer(f.Gateway)}
	x.server.EnableHTTP2 = true
	x.server.StartTLS()
	b.Cleanup(x.server.Close)
	a := f.ask(b, http.MethodPost, notes+"/mcp", benchCall, "Authorization", "Bearer "+x.token(b), "Content-Type", "application/json")
	if x.session = a.Header.Get("Mcp-Session-Id"); x.session == "" {
		b.Fatalf("the first call: %s %s", a.Status, a.body)
	}
	return x
}

// token is one that a consent to a scope would have led to, pin included.
func (x *bench) token(b testing.TB) string {
	b.Helper()
	route, _ := x.site.Load().table.Lookup("notes.example.com")
	scopes := []string{"notes:read"}
	raw, _, err := access.NewMinter(x.ring, time.Hour, x.now).Mint(b.Context(), access.Token{
		Issuer: notes, Subject: "local:ada", ClientID: "bench", Audience: []string{notes, notes + "/mcp"}, Scopes: scopes,
		Groups: []string{"analysts", "staff"}, Email: "ada@example.com", PreferredUsername: "ada", Grant: "grant",
		Pin: route.Catalogue(b.Context()).Pin(scopes),
	}, time.Time{})
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

// call calls over one connection of HTTP/1.1.
func (x *bench) call(b *testing.B, token func() string) {
	c := x.dial(b)
	defer func() { _ = c.Close() }()
	b.ReportAllocs()
	for b.Loop() {
		if err := c.call(token()); err != nil {
			b.Fatal(err)
		}
	}
}

// A caller1 is a connection of HTTP/1.1 that costs next to nothing; whoever
// dials closes it.
type caller1 struct {
	*bench
	net.Conn
	r       *bufio.Reader
	request []byte
}

func (x *bench) dial(t testing.TB) *caller1 {
	t.Helper()
	conn, err := tls.Dial("tcp", x.server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return &caller1{bench: x, Conn: conn, r: bufio.NewReader(conn)}
}

func (c *caller1) head(method, token string) {
	c.request = append(append(c.request[:0], method...), " /mcp HTTP/1.1\r\nHost: notes.example.com\r\nUser-Agent: bench\r\nAccept: application/json, text/event-stream\r\n"+
		"Mcp-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: "...)
	c.request = append(append(append(append(c.request, c.session...), "\r\nAuthorization: Bearer "...), token...), "\r\n"...)
}

// call calls a tool.
func (c *caller1) call(token string) error {
	c.head(http.MethodPost, token)
	c.request = strconv.AppendInt(append(c.request, "Content-Type: application/json\r\nContent-Length: "...), int64(len(benchCall)), 10)
	c.request = append(append(c.request, "\r\n\r\n"...), benchCall...)
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	first, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.Contains(first, []byte(" 200 ")) {
		return fmt.Errorf("answered %q", first)
	}
	_, err = readMessage(c.r)
	return err
}

// listen opens a stream and returns when its first event is there.
func (c *caller1) listen(token string) error {
	c.head(http.MethodGet, token)
	c.request = append(c.request, "\r\n"...)
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil || bytes.HasPrefix(line, []byte("data:")) {
			return err
		}
	}
}

// http2 calls with many requests at a time on one connection.
func (x *bench) http2(b *testing.B) {
	c := x.server.Client()
	token := "Bearer " + x.token(b)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			req, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, x.server.URL+"/mcp", strings.NewReader(benchCall))
			req.Host = "notes.example.com"
			req.Header = http.Header{"Authorization": {token}, "Content-Type": {"application/json"}, "Mcp-Session-Id": {x.session}}
			res, err := c.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
				b.Error(res.Status, res.Proto)
			}
		}
	})
}

// inProcess calls with a request that has been read and a writer of answers that
// drops them, so that neither TLS nor Go's HTTP server is measured.
func (x *bench) inProcess(b *testing.B) {
	body := strings.NewReader("")
	r, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, notes+"/mcp", io.NopCloser(body))
	r.RequestURI, r.RemoteAddr, r.ContentLength = "/mcp", "127.0.0.1:1234", int64(len(benchCall))
	r.Header = http.Header{
		"Authorization": {"Bearer " + x.token(b)}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Session-Id": {x.session}, "Mcp-Protocol-Version": {"2025-11-25"}, "User-Agent": {"bench"},
	}
	fresh, w := *r, &dropped{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		body.Reset(benchCall)
		*r, w.status = fresh, 0
		x.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

// A dropped answer is one that nobody gets.
type dropped struct {
	header http.Header
	status int
}

func (d *dropped) Header() http.Header         { return d.header }
func (d *dropped) Write(b []byte) (int, error) { return len(b), nil }
func (d *dropped) WriteHeader(status int)      { d.status = status }
func (d *dropped) Flush()                      {}

// newOrigin is an MCP server on bare sockets, with a scope and tools.
func newOrigin(b testing.TB) (address string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serveOrigin(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func serveOrigin(conn net.Conn) {
	result := originAnswer(`"id":42,"result":{"content":[{"type":"text","text":"` + strings.Repeat("All work and no play. ", 44) + `"}],"isError":false}`)
	r := bufio.NewReader(conn)
	for {
		if method, err := r.Peek(len(http.MethodGet)); err == nil && string(method) == http.MethodGet {
			// An event, and then nothing until the client leaves.
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {}\n\n"))
			_, _ = io.Copy(io.Discard, r)
			return
		}
		body, err := readMessage(r)
		if err != nil {
			return
		}
		answer := result
		if !bytes.Contains(body, []byte(`"tools/call"`)) {
			answer = aboutOrigin(body)
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

var originID = regexp.MustCompile(`"id":[0-9]+`)

// aboutOrigin answers what is asked before there are calls.
func aboutOrigin(body []byte) []byte {
	id := string(originID.Find(body))
	switch {
	case id == "":
		return []byte("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
	case bytes.Contains(body, []byte(`"initialize"`)):
		return originAnswer(id + `,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"origin","version":"1"}}`)
	case bytes.Contains(body, []byte(`"tools/list"`)):
		return originAnswer(id + `,"result":{"tools":[{"name":"read_note","inputSchema":{"type":"object"}},{"name":"write_note","inputSchema":{"type":"object"}}],` +
			`"_meta":{"scopes":[{"name":"notes:read","tools":["read_note"]},{"name":"notes:admin","tools":["read_note","write_note"]}]}}`)
	}
	return originAnswer(id + `,"error":{"code":-32601,"message":"Method not found"}`)
}

func originAnswer(rest string) []byte {
	body := `{"jsonrpc":"2.0",` + rest + `}`
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: 2f1c7b1e-7a2c-4d0e-9d8a-1f6f0c9b5a11\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// readMessage reads a message with a length, and returns its body as long as it
// lies in the reader.
func readMessage(r *bufio.Reader) ([]byte, error) {
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) == 2 {
			break
		}
		if len(line) > 16 && bytes.EqualFold(line[:16], []byte("content-length: ")) {
			if length, err = strconv.Atoi(string(line[16 : len(line)-2])); err != nil {
				return nil, err
			}
		}
	}
	body, err := r.Peek(length)
	if err != nil {
		return nil, err
	}
	_, err = r.Discard(length)
	return body, err
}
