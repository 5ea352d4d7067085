// upstream is a fast fake MCP server (Streamable HTTP) used as the origin in
// the gateway benchmarks. It speaks plain HTTP/1.1 on -http and, optionally,
// HTTP/1.1 over TLS on -https. It is written on raw sockets so that its own
// cost per request stays small next to that of the proxies under test.
//
//	POST /mcp   tools/call            -> ~1 KB JSON result
//	POST /mcp   initialize, tools/list -> tools and the scope that covers them, so that a gateway with a policy has one to hold calls to
//	POST /mcp   tools/call "stream"   -> SSE, N events at an interval (if Accept allows)
//	GET  /mcp                         -> SSE stream, open until the client leaves
//	GET  .../large?mb=100             -> mb MiB with Content-Length
//	GET  /stats                       -> {"conns":..,"streams":..,"cancelled":..}
//	GET  /left                        -> {"id":ns,..}: which streams were taken from it since the last
//	                                     such question, and when (Unix time); the id is their Last-Event-ID
//
// Query parameters n, interval (Go duration) and first (delay before the first
// event) override the SSE defaults.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	conns, streams, cancelled, requests atomic.Int64
	jsonResp                            []byte
	defInterval                         = flag.Duration("interval", 2*time.Second, "default SSE interval")

	leftMu sync.Mutex
	left   = map[string]int64{}
)

func main() {
	httpAddr := flag.String("http", "127.0.0.1:9001", "plain HTTP address")
	httpsAddr := flag.String("https", "", "TLS address (optional)")
	cert := flag.String("cert", "", "certificate PEM")
	key := flag.String("key", "", "key PEM")
	flag.Parse()

	pad := strings.Repeat("All work and no play makes for a dull tool result. ", 17)
	body := `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` + pad + `"}],"isError":false}}`
	jsonResp = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: 2f1c7b1e-7a2c-4d0e-9d8a-1f6f0c9b5a11\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n" + body)

	if *httpsAddr != "" {
		c, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		l, err := tls.Listen("tcp", *httpsAddr, &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: []string{"http/1.1"}})
		if err != nil {
			log.Fatal(err)
		}
		go serve(l)
	}
	l, err := net.Listen("tcp", *httpAddr)
	if err != nil {
		log.Fatal(err)
	}
	serve(l)
}

func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go handle(c)
	}
}

var idRe = regexp.MustCompile(`"id":\s*([0-9]+|"[^"]*")`)

// about answers what a gateway asks before it lets calls through.
func about(body []byte) []byte {
	id := []byte("null")
	if m := idRe.FindSubmatch(body); m != nil {
		id = m[1]
	}
	var says string
	switch {
	case bytes.Contains(body, []byte(`"notifications/`)):
		return []byte("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
	case bytes.Contains(body, []byte(`"initialize"`)):
		says = `"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}`
	case bytes.Contains(body, []byte(`"tools/list"`)):
		tool := `{"name":"%s","description":"A tool of the benchmark","inputSchema":{"type":"object"}}`
		says = `"result":{"tools":[` + fmt.Sprintf(tool, "search") + "," + fmt.Sprintf(tool, "x") + "," + fmt.Sprintf(tool, "stream") +
			`],"_meta":{"scopes":[{"name":"bench:read","description":"Search","tools":["search","x","stream"]}]}}`
	default:
		says = `"error":{"code":-32601,"message":"Method not found"}`
	}
	answer := `{"jsonrpc":"2.0","id":` + string(id) + `,` + says + `}`
	return []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(answer)) + "\r\n\r\n" + answer)
}

var rdPool = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4096) }}

func handle(c net.Conn) {
	conns.Add(1)
	defer conns.Add(-1)
	defer c.Close()
	br := rdPool.Get().(*bufio.Reader)
	br.Reset(c)
	defer func() { br.Reset(nil); rdPool.Put(br) }()
	var bodyBuf []byte
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return
		}
		sp1 := bytes.IndexByte(line, ' ')
		sp2 := bytes.LastIndexByte(line, ' ')
		if sp1 < 0 || sp2 <= sp1 {
			return
		}
		method := string(line[:sp1])
		path := string(line[sp1+1 : sp2])
		http10 := bytes.HasPrefix(line[sp2+1:], []byte("HTTP/1.0"))
		clen, chunked, sse, closeConn := int64(0), false, false, http10
		var id string
		for {
			h, err := br.ReadSlice('\n')
			if err != nil {
				return
			}
			h = bytes.TrimRight(h, "\r\n")
			if len(h) == 0 {
				break
			}
			k, v, _ := bytes.Cut(h, []byte(":"))
			switch len(k) {
			case 14:
				if bytes.EqualFold(k, []byte("content-length")) {
					clen, _ = strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
				}
			case 13:
				if bytes.EqualFold(k, []byte("last-event-id")) {
					id = string(bytes.TrimSpace(v))
				}
			case 17:
				if bytes.EqualFold(k, []byte("transfer-encoding")) {
					chunked = bytes.Contains(v, []byte("chunked"))
				}
			case 6:
				if bytes.EqualFold(k, []byte("accept")) {
					sse = bytes.Contains(v, []byte("text/event-stream"))
				}
			case 10:
				if bytes.EqualFold(k, []byte("connection")) && bytes.Contains(bytes.ToLower(v), []byte("close")) {
					closeConn = true
				}
			}
		}
		bodyBuf = bodyBuf[:0]
		if chunked {
			for {
				h, err := br.ReadSlice('\n')
				if err != nil {
					return
				}
				n, err := strconv.ParseInt(string(bytes.TrimRight(h, "\r\n")), 16, 64)
				if err != nil {
					return
				}
				if n > 0 {
					off := len(bodyBuf)
					bodyBuf = append(bodyBuf, make([]byte, n)...)
					if _, err := io.ReadFull(br, bodyBuf[off:]); err != nil {
						return
					}
				}
				if _, err := br.Discard(2); err != nil {
					return
				}
				if n == 0 {
					break
				}
			}
		} else if clen > 0 {
			if int64(cap(bodyBuf)) < clen {
				bodyBuf = make([]byte, clen)
			}
			bodyBuf = bodyBuf[:clen]
			if _, err := io.ReadFull(br, bodyBuf); err != nil {
				return
			}
		}
		requests.Add(1)
		p, q, _ := strings.Cut(path, "?")
		switch {
		case p == "/mcp" && method == "POST":
			if sse && bytes.Contains(bodyBuf, []byte(`"name":"stream"`)) {
				if !streamSSE(c, q, id, 10, 100*time.Millisecond, false) {
					return
				}
				break
			}
			answer := jsonResp
			if !bytes.Contains(bodyBuf, []byte(`"tools/call"`)) {
				answer = about(bodyBuf)
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		case p == "/mcp" && method == "GET":
			streamSSE(c, q, id, 1<<30, *defInterval, true)
			return
		case strings.HasSuffix(p, "/large"):
			mb := 100
			if vs, err := url.ParseQuery(q); err == nil && vs.Get("mb") != "" {
				mb, _ = strconv.Atoi(vs.Get("mb"))
			}
			if !large(c, mb) {
				return
			}
		case p == "/stats":
			b := fmt.Sprintf(`{"conns":%d,"streams":%d,"cancelled":%d,"requests":%d}`, conns.Load(), streams.Load(), cancelled.Load(), requests.Load())
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
		case p == "/left":
			b := takeLeft()
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
		default:
			io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		}
		if closeConn {
			return
		}
	}
}

var largeBuf = bytes.Repeat([]byte("0123456789abcdef"), 16384) // 256 KiB

func large(c net.Conn, mb int) bool {
	if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", int64(mb)<<20); err != nil {
		return false
	}
	for i := 0; i < mb*4; i++ {
		if _, err := c.Write(largeBuf); err != nil {
			return false
		}
	}
	return true
}

func noteLeft(id string) {
	at := time.Now().UnixNano()
	leftMu.Lock()
	defer leftMu.Unlock()
	left[id] = at
}

func takeLeft() []byte {
	leftMu.Lock()
	defer leftMu.Unlock()
	b, _ := json.Marshal(left)
	clear(left)
	return b
}

func streamSSE(c net.Conn, q, id string, n int, interval time.Duration, watch bool) bool {
	first := interval
	vs, _ := url.ParseQuery(q)
	if s := vs.Get("n"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	if s := vs.Get("interval"); s != "" {
		interval, _ = time.ParseDuration(s)
		first = interval
	}
	if s := vs.Get("first"); s != "" {
		first, _ = time.ParseDuration(s)
	}
	streams.Add(1)
	defer streams.Add(-1)
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		return false
	}
	done := make(chan struct{})
	if watch {
		go func() { // notices the client leaving between events
			var b [1]byte
			c.Read(b[:])
			if id != "" {
				noteLeft(id)
			}
			cancelled.Add(1)
			close(done)
		}()
	}
	t := time.NewTimer(first)
	defer t.Stop()
	var buf, ev []byte
	for i := 0; i < n; i++ {
		select {
		case <-t.C:
		case <-done:
			return false
		}
		t.Reset(interval)
		ev = append(ev[:0], "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"tok\",\"progress\":"...)
		ev = strconv.AppendInt(ev, int64(i), 10)
		ev = append(ev, ",\"t\":"...)
		ev = strconv.AppendInt(ev, time.Now().UnixNano(), 10)
		ev = append(ev, ",\"message\":\"working on it, please hold the line\"}}\n\n"...)
		buf = strconv.AppendInt(buf[:0], int64(len(ev)), 16)
		buf = append(buf, "\r\n"...)
		buf = append(buf, ev...)
		buf = append(buf, "\r\n"...)
		if _, err := c.Write(buf); err != nil {
			return false
		}
	}
	_, err := io.WriteString(c, "0\r\n\r\n")
	return err == nil
}
