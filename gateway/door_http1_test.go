package gateway

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// head1 is a good request up to its own headers. TOKEN stands for an access
// token, which differs from process to process.
const head1 = "POST /mcp HTTP/1.1\r\nHost: notes.example.com\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"

const (
	good1  = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_note"}}`
	wrong1 = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"write_note"}}`
)

// hidden is a request within a request.
const hidden1 = "POST /mcp HTTP/1.1\r\nHost: notes.example.com\r\nX-Forwarded-User: root\r\nContent-Length: 2\r\n\r\n{}"

func framed(headers, body string) string { return head1 + headers + "\r\n" + body }

func length(body string) string { return fmt.Sprintf("Content-Length: %d\r\n", len(body)) }

func chunked(body string) string {
	return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

// smuggled are the ways in which one request was ever taken for two, or for
// another.
func smuggled() []string {
	both := chunked(good1) + hidden1
	seeds := []string{
		framed(length(good1), good1),
		framed("Transfer-Encoding: chunked\r\n", chunked(good1)),
		framed(length(good1), good1) + framed(length(wrong1), wrong1),
		// Two lengths, two encodings, both.
		framed("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", both),
		framed("Transfer-Encoding: chunked\r\nContent-Length: "+fmt.Sprint(len(both))+"\r\n", both),
		framed("Content-Length: 0\r\n"+length(hidden1), hidden1),
		framed("Content-Length: 0, "+fmt.Sprint(len(hidden1))+"\r\n", hidden1),
		framed("Content-Length: +2\r\n", "{}"+hidden1), framed("Content-Length: -1\r\n", hidden1), framed("Content-Length: 0x2\r\n", "{}"),
		framed("Content-Length: 2 \r\n", "{}"+hidden1), framed("Content-Length:\v2\r\n", "{}"), framed("Content-Length: 99999999999999999999\r\n", "{}"),
		framed("Content-Length\t: 2\r\n", "{}"+hidden1), framed("Content_Length: 2\r\n", "{}"+hidden1),
		// Encodings that some read and some do not.
		framed("Transfer-Encoding: identity\r\n"+length(good1), good1), framed("Transfer-Encoding: xchunked\r\n"+length(good1), both),
		framed("Transfer-Encoding: chunked, identity\r\n", both), framed("Transfer-Encoding: gzip, chunked\r\n", both),
		framed("Transfer-Encoding : chunked\r\n", both), framed("Transfer-Encoding:\x0bchunked\r\n", both), framed("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", both),
		framed(" Transfer-Encoding: chunked\r\n", both), framed("X: y\r\n Transfer-Encoding: chunked\r\n", both), framed("X: y\nTransfer-Encoding: chunked\r\n", both),
		framed("Transfer_Encoding: chunked\r\n"+length(good1), both), framed("Transfer-Encoding: \"chunked\"\r\n", both),
		// Chunks.
		framed("Transfer-Encoding: chunked\r\n", "2;x=\"\r\n\"\r\n{}\r\n0\r\n\r\n"), framed("Transfer-Encoding: chunked\r\n", "2\n{}\n0\n\n"+hidden1),
		framed("Transfer-Encoding: chunked\r\n", "0x2\r\n{}\r\n0\r\n\r\n"), framed("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n{}"), framed("Transfer-Encoding: chunked\r\n", "-2\r\n{}\r\n0\r\n\r\n"),
		framed("Transfer-Encoding: chunked\r\nTrailer: X-Forwarded-User\r\n", strings.TrimSuffix(chunked(good1), "\r\n")+"X-Forwarded-User: root\r\nAuthorization: Bearer x\r\n\r\n"),
		framed("Transfer-Encoding: chunked\r\n", strings.Repeat("1\r\n \r\n", 500)+chunked(good1)),
		// Targets, methods, versions.
		strings.Replace(framed(length(good1), good1), "POST /mcp", "POST http://other.example.com/mcp", 1),
		strings.Replace(framed(length(good1), good1), "POST /mcp", "POST http://notes.example.com/secret", 1),
		strings.Replace(framed(length(good1), good1), "POST /mcp", "POST http://x@notes.example.com/mcp", 1),
		strings.Replace(framed(length(good1), good1), "POST /mcp HTTP/1.1", "POST /mcp HTTP/1.1 HTTP/1.1", 1),
		strings.Replace(framed(length(good1), good1), "/mcp ", "/mcp%20HTTP/1.1%0d%0aX-Forwarded-User:%20root%0d%0a ", 1),
		strings.Replace(framed(length(good1), good1), "/mcp ", "/mcp/..%2f..%2fsecret ", 1), strings.Replace(framed(length(good1), good1), "/mcp ", "//mcp ", 1),
		strings.Replace(framed(length(good1), good1), "/mcp ", "/mcp\\..\\secret ", 1), strings.Replace(framed(length(good1), good1), "/mcp ", "mcp ", 1), strings.Replace(framed(length(good1), good1), "/mcp ", "/mcp#x ", 1),
		"CONNECT notes.example.com:443 HTTP/1.1\r\nHost: notes.example.com\r\nAuthorization: Bearer TOKEN\r\n\r\n" + hidden1,
		strings.Replace(framed("", ""), "POST", "TRACE", 1), "OPTIONS * HTTP/1.1\r\nHost: notes.example.com\r\nAuthorization: Bearer TOKEN\r\n\r\n",
		strings.Replace(framed(length(good1), good1), "POST", "P\x00ST", 1), strings.Replace(framed(length(good1), good1), "POST", "post", 1),
		strings.Replace(framed(length(good1), good1), "HTTP/1.1", "HTTP/1.0", 1), strings.Replace(framed(length(good1), good1), "HTTP/1.1", "HTTP/2.0", 1), "GET /mcp\r\n" + hidden1,
		strings.Replace(framed("Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n", both), "HTTP/1.1", "HTTP/1.0", 1),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden1,
		// Upgrades, hops, hosts, lines.
		framed("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"+length(good1), good1), framed("Connection: Upgrade\r\nUpgrade: websocket\r\n"+length(good1), good1+hidden1),
		framed("Connection: X-Admitted, X-Forwarded-User, Authorization, Content-Length\r\n"+length(good1), good1), framed("X-Admitted: x\r\nX_Admitted: y\r\n"+length(good1), good1),
		framed("Host: other.example.com\r\n"+length(good1), good1), framed("X-Forwarded-Host: other.example.com\r\nX-Forwarded-User: root\r\n"+length(good1), good1),
		framed("Expect: 100-continue\r\n"+length(good1), good1), framed("Expect: x\r\n"+length(good1), good1), framed("Content-Encoding: gzip\r\n"+length(good1), good1),
		framed("Authorization: Bearer TOKEN\r\n"+length(good1), good1), framed("X: "+strings.Repeat("x", 70<<10)+"\r\n", ""), framed(strings.Repeat("X: y\r\n", 3000), ""),
		framed("X: a\rX-Forwarded-User: root\r\n"+length(good1), good1), framed("X\x00: y\r\n"+length(good1), good1), framed(": y\r\n"+length(good1), good1), framed("X: \xff\x7f\r\n"+length(good1), good1),
		strings.ReplaceAll(framed(length(good1), good1), "\r\n", "\n"), "\r\n\r\n" + framed(length(good1), good1), framed(length(good1), good1[:20]), "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "",
	}
	return seeds
}

// FuzzDoorHTTP1: whatever bytes come in, the MCP server sees nothing but what
// the gateway has read, judged and marked; nobody else gets the wrong answer;
// nothing panics or hangs.
func FuzzDoorHTTP1(f *testing.F) {
	d := newDoor(f)
	for _, s := range smuggled() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 200<<10 {
			return
		}
		d.pour(t, bytes.ReplaceAll(text, []byte("TOKEN"), []byte(d.token)), false)
		d.settle(t)
	})
}

// TestDoorHTTP1LetsGoodRequestsThrough: a door that is shut proves nothing.
func TestDoorHTTP1LetsGoodRequestsThrough(t *testing.T) {
	d := newDoor(t)
	for name, text := range map[string]string{
		"with a length": framed(length(good1), good1), "in chunks": framed("Transfer-Encoding: chunked\r\n", chunked(good1)),
		"with a trailer": framed("Transfer-Encoding: chunked\r\nTrailer: X-Forwarded-User\r\n", strings.TrimSuffix(chunked(good1), "\r\n")+"X-Forwarded-User: root\r\n\r\n"),
	} {
		before := d.passed.Load()
		text = strings.Replace(text, "Host:", "Connection: close\r\nHost:", 1)
		answer := d.pour(t, []byte(strings.ReplaceAll(text, "TOKEN", d.token)), true)
		if d.passed.Load() != before+1 || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 OK\r\n")) {
			t.Errorf("%s: %s", name, answer)
		}
	}
	d.settle(t)
}
