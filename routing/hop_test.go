package routing

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A server of raw connections: serve gets each of them, and its number.
type rawServer struct {
	net.Listener
	mu     sync.Mutex
	seen   []string // the first line of each request that was read, and its body
	served sync.WaitGroup
}

func newRawServer(t testing.TB, serve func(s *rawServer, n int, c *rawConn)) *rawServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{Listener: l}
	s.served.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.served.Go(func() {
				defer conn.Close()
				serve(s, n, &rawConn{conn.(*net.TCPConn), bufio.NewReader(conn), s})
			})
		}
	})
	t.Cleanup(func() { _ = l.Close() })
	return s
}

type rawConn struct {
	*net.TCPConn
	r *bufio.Reader
	s *rawServer
}

// next reads a request; false if there is none.
func (c *rawConn) next() (*http.Request, string, bool) {
	req, err := http.ReadRequest(c.r)
	if err != nil {
		return nil, "", false
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, "", false
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.seen = append(c.s.seen, strings.TrimSpace(req.Method+" "+req.RequestURI+" "+string(body)))
	return req, string(body), true
}

func (c *rawConn) say(s string) { _, _ = io.WriteString(c, s) }

// ok is an answer with a length.
func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func (s *rawServer) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.seen...)
}

func (s *rawServer) hop(t testing.TB) *hop {
	t.Helper()
	u := upstream{scheme: "http", host: s.Addr().String()}
	h, isHop := newForwarder(u, newTransport(u, nil)).(*hop)
	if !isHop {
		t.Skip("hops need a connection that can be asked whether it is alive; this system has none")
	}
	t.Cleanup(h.CloseIdleConnections)
	return h
}

// request is one as the reverse proxy makes it; an empty body is none.
func (h *hop) request(ctx context.Context, method, body string) *http.Request {
	req := (&http.Request{
		Method: method, URL: &url.URL{Scheme: "http", Host: h.address, Path: "/mcp"},
		Header: http.Header{"User-Agent": {""}, "Accept": {"application/json"}}, Host: "notes.example.com",
	}).WithContext(ctx)
	if body != "" {
		replay(req, []byte(body), nil)
	}
	return req
}

func (h *hop) send(t testing.TB, method, body string) (string, error) {
	t.Helper()
	res, err := h.RoundTrip(h.request(t.Context(), method, body))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", string(b)), err
}

func (h *hop) idling() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.idle)
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("never: ", what)
		}
	}
}

func TestAConnectionServesManyRequests(t *testing.T) {
	var conns atomic.Int32
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
		conns.Add(1)
		for {
			req, body, more := c.next()
			switch {
			case !more:
				return
			case req.Method == http.MethodHead:
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
			case req.Method == http.MethodDelete:
				c.say("HTTP/1.1 204 No Content\r\n\r\n")
			case req.Method == http.MethodPut:
				c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
			default:
				c.say(ok(req.Method + body))
			}
		}
	})
	h := s.hop(t)
	for _, tc := range []struct{ method, body, want string }{
		{"POST", "one", "200 POSTone"}, {"GET", "", "200 GET"}, {"HEAD", "", "200 "}, {"DELETE", "", "204 "},
		{"PUT", "x", "200 abc"}, {"POST", "", "200 POST"}, {"GET", "with a body", "200 GETwith a body"},
	} {
		if got, err := h.send(t, tc.method, tc.body); got != tc.want || err != nil {
			t.Errorf("%s %s: got %q, %v, want %q", tc.method, tc.body, got, err, tc.want)
		}
	}
	if conns.Load() != 1 {
		t.Errorf("it took %d connections", conns.Load())
	}
}

// What a server did to a connection while it was idle costs no call.
func TestAStaleConnectionIsReplaced(t *testing.T) {
	for name, spoil := range map[string]func(c *rawConn){
		"closed":           func(c *rawConn) { _ = c.Close() },
		"closed its side":  func(c *rawConn) { _ = c.CloseWrite() },
		"reset":            func(c *rawConn) { _ = c.SetLinger(0); _ = c.Close() },
		"a second answer":  func(c *rawConn) { c.say(ok("not asked for")) },
		"a single byte":    func(c *rawConn) { c.say("\n") },
		"a timeout's word": func(c *rawConn) { c.say("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			answered, spoiled, over := make(chan bool), make(chan bool), make(chan bool)
			s := newRawServer(t, func(_ *rawServer, n int, c *rawConn) {
				_, body, _ := c.next()
				c.say(ok(body))
				if n == 0 {
					<-answered
					spoil(c)
					close(spoiled)
					<-over
				}
			})
			h := s.hop(t)
			defer close(over)
			if got, err := h.send(t, "POST", "first"); got != "200 first" || err != nil {
				t.Fatal(got, err)
			}
			close(answered)
			<-spoiled
			time.Sleep(20 * time.Millisecond) // to pass through the kernel
			if got, err := h.send(t, "POST", "second"); got != "200 second" || err != nil {
				t.Error(got, err)
			}
			if got := s.received(); len(got) != 2 {
				t.Errorf("the server received %q", got)
			}
		})
	}
}

// Between looking at a connection and writing to it its server may close it.
func TestACallIsNeverMadeTwice(t *testing.T) {
	for _, tc := range []struct {
		method, body string
		times        int // the second request arrives
		ok           bool
	}{
		{"POST", "second", 1, false},
		{"DELETE", "", 1, false},
		{"GET", "body", 1, false},
		{"GET", "", 2, true},
		{"HEAD", "", 2, true},
		{"OPTIONS", "", 2, true},
	} {
		t.Run(tc.method+tc.body, func(t *testing.T) {
			s := newRawServer(t, func(_ *rawServer, n int, c *rawConn) {
				if _, _, more := c.next(); !more {
					return
				}
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				if n == 0 {
					c.next() // and close
				}
			})
			h := s.hop(t)
			if _, err := h.send(t, "POST", "first"); err != nil {
				t.Fatal(err)
			}
			_, err := h.send(t, tc.method, tc.body)
			if (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
			if got := s.received(); len(got) != 1+tc.times {
				t.Errorf("the server received %q", got)
			}
		})
	}
}

func TestAnAnswerThatBreaksOffIsNotAskedForAgain(t *testing.T) {
	for _, answer := range []string{
		"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "HTTP/1.1 103 Early Hints\r\n\r\n",
		"no HTTP at all\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
	} {
		t.Run(answer, func(t *testing.T) {
			s := newRawServer(t, func(_ *rawServer, n int, c *rawConn) {
				c.next()
				if n == 0 {
					c.say(ok(""))
					c.next()
				}
				c.say(answer)
			})
			h := s.hop(t)
			if _, err := h.send(t, "POST", "first"); err != nil {
				t.Fatal(err)
			}
			method := http.MethodGet
			if answer == "" {
				method = http.MethodPost
			}
			if got, err := h.send(t, method, ""); err == nil {
				t.Errorf("got %q", got)
			}
			if got := s.received(); len(got) != 2 {
				t.Errorf("the server received %q", got)
			}
			if h.idling() != 0 {
				t.Error("the connection is kept")
			}
		})
	}
}

// The server must find out even if it is the one that waits.
func TestAConnectionThatFailedIsClosed(t *testing.T) {
	for _, answer := range []string{
		"no HTTP at all\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
	} {
		t.Run(answer, func(t *testing.T) {
			var gone atomic.Bool
			s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
				c.next()
				c.say(answer)
				_, _ = c.r.ReadByte()
				gone.Store(true)
			})
			h := s.hop(t)
			res, err := h.RoundTrip(h.request(t.Context(), "POST", "x"))
			if err == nil {
				_, err = io.ReadAll(res.Body) // and nobody closes it
			}
			if err == nil {
				t.Error("it did not fail")
			}
			eventually(t, "the server finds out", gone.Load)
		})
	}
}

// Leftovers of one answer must never begin the next.
func TestNobodyGetsTheAnswerOfAnother(t *testing.T) {
	for name, answer := range map[string]string{
		"two in one":           ok("mine") + ok("another's"),
		"too long":             ok("mine") + "and more",
		"after chunks":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n" + ok("another's"),
		"after no content":     "HTTP/1.1 204 No Content\r\n\r\n" + ok("another's"),
		"the last, it says":    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmine",
		"HTTP/1.0":             "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nmine",
		"a body where is none": "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nwrong",
	} {
		t.Run(name, func(t *testing.T) {
			s := newRawServer(t, func(_ *rawServer, n int, c *rawConn) {
				for {
					_, body, more := c.next()
					if !more {
						return
					}
					if n == 0 {
						c.say(answer)
						continue
					}
					c.say(ok(body))
				}
			})
			h := s.hop(t)
			if got, err := h.send(t, "POST", "first"); err != nil || strings.Contains(got, "another") {
				t.Fatal(got, err)
			}
			if got, err := h.send(t, "POST", "second"); got != "200 second" || err != nil {
				t.Error(got, err)
			}
		})
	}
}

func TestAServerThatChangesTheProtocolUnasked(t *testing.T) {
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
		c.next()
		c.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + ok("x"))
	})
	if got, err := s.hop(t).send(t, "POST", "x"); !errors.Is(err, errSwitches) {
		t.Error(got, err)
	}
}

func TestInformationalAnswersAreToldOf(t *testing.T) {
	hint := "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nX-Fill: " + strings.Repeat("x", 100<<10) + "\r\n\r\n"
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
		c.next()
		c.say("HTTP/1.1 100 Continue\r\n\r\n")
		for range 20 { // together more than a head may be long
			c.say(hint)
		}
		c.say(ok("real"))
	})
	h := s.hop(t)
	var told []int
	req := h.request(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			if code == 103 && header.Get("Link") == "" {
				t.Error("a hint without its link")
			}
			told = append(told, code)
			return nil
		},
	}), "POST", "x")
	res, err := h.RoundTrip(req)
	if err != nil || res.StatusCode != 200 || len(told) != 21 || told[0] != 100 || told[20] != 103 {
		t.Fatal(res, err, told)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); string(b) != "real" || err != nil {
		t.Error(string(b), err)
	}

	// Nobody listens, so they count as one head.
	if got, err := h.send(t, "POST", "x"); err == nil {
		t.Error("2 MB of hints passed: ", got)
	}
	// Who is told may refuse.
	refuse := errors.New("enough")
	req = h.request(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error { return refuse },
	}), "POST", "x")
	if _, err := h.RoundTrip(req); !errors.Is(err, refuse) {
		t.Error(err)
	}
}

func TestAHeadHasALimit(t *testing.T) {
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
		_, body, _ := c.next()
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n")
		line := "X-Fill: " + strings.Repeat("x", 1000) + "\r\n"
		if body == "endless" {
			for {
				if _, err := io.WriteString(c, line); err != nil {
					return
				}
			}
		}
		c.say(strings.Repeat(line, 900) + "\r\n" + strings.Repeat("b", 3_000_000))
	})
	h := s.hop(t)
	if got, err := h.send(t, "POST", "x"); len(got) != 3_000_004 || err != nil {
		t.Error("a head of 0.9 MB and a body of 3 MB:", len(got), err)
	}
	if _, err := h.send(t, "POST", "endless"); !errors.Is(err, errLongHead) {
		t.Error(err)
	}
}

// A server may answer before it has read the request, and close.
func TestAnEarlyAnswerArrives(t *testing.T) {
	s := newRawServer(t, func(_ *rawServer, n int, c *rawConn) {
		if n == 0 {
			_, _ = c.r.Peek(1)
			c.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch")
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, c.r) // so that no reset overtakes the answer
			return
		}
		_, body, _ := c.next()
		c.say(ok(body))
	})
	h := s.hop(t)
	if got, err := h.send(t, "POST", strings.Repeat("x", 16<<10)); got != "413 much" || err != nil {
		t.Error(got, err)
	}
	if got, err := h.send(t, "POST", "second"); got != "200 second" || err != nil {
		t.Error(got, err)
	}
}

func TestTrailersAreThereAtTheEnd(t *testing.T) {
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
		for {
			if _, _, more := c.next(); !more {
				return
			}
			c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Checksum\r\n\r\n2\r\nhi\r\n0\r\nChecksum: 7\r\n\r\n")
		}
	})
	h := s.hop(t)
	for range 2 {
		res, err := h.RoundTrip(h.request(t.Context(), "POST", "x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, announced := res.Trailer["Checksum"]; !announced {
			t.Error("not announced")
		}
		if b, err := io.ReadAll(res.Body); string(b) != "hi" || err != nil || res.Trailer.Get("Checksum") != "7" {
			t.Error(string(b), err, res.Trailer)
		}
		res.Body.Close()
	}
}

// Each row ends a request at another moment; the server must find out.
func TestARequestEndsWithItsContext(t *testing.T) {
	why := errors.New("the grant has ended")
	type moment struct {
		answer string // what has come of it by then
		body   int    // bytes of it that are read before
	}
	for name, m := range map[string]moment{
		"before the answer":   {"", 0},
		"in the head":         {"HTTP/1.1 200 OK\r\nConte", 0},
		"before the body":     {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 0},
		"in the body":         {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 3},
		"in a chunk":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", 3},
		"in a body of unsaid": {"HTTP/1.1 200 OK\r\n\r\nabc", 3},
	} {
		t.Run(name, func(t *testing.T) {
			said, gone := make(chan bool), make(chan bool)
			s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
				c.next()
				c.say(m.answer)
				close(said)
				_, _ = c.r.ReadByte()
				close(gone)
			})
			h := s.hop(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-said
				time.Sleep(10 * time.Millisecond) // so that it is waited for
				cancel(why)
			}()
			res, err := h.RoundTrip(h.request(ctx, "POST", "x"))
			if strings.Contains(m.answer, "\r\n\r\n") {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(res.Body, make([]byte, m.body)); err != nil {
					t.Fatal(err)
				}
				_, err = res.Body.Read(make([]byte, 1))
				if !errors.Is(err, why) {
					t.Errorf("the body ends with %v", err)
				}
				res.Body.Close()
			} else if !errors.Is(err, why) {
				t.Errorf("got %v", err)
			}
			<-gone
			if h.idling() != 0 {
				t.Error("the connection is kept")
			}
		})
	}
}

func TestARequestWhoseContextHasEndedIsNotSent(t *testing.T) {
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) { c.next() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := s.hop(t)
	if _, err := h.RoundTrip(h.request(ctx, "POST", "x")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_ = s.Close()
	s.served.Wait()
	if got := s.received(); len(got) != 0 {
		t.Errorf("the server received %q", got)
	}
}

// slowDials lets a hop connect once; from then on each attempt says that it
// began and waits for what comes of it.
func slowDials(h *hop) (began chan bool, outcome chan error) {
	began, outcome = make(chan bool, 10), make(chan error)
	var dials atomic.Int32
	dial := h.DialContext
	h.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			began <- true
			if err := <-outcome; err != nil {
				return nil, err
			}
		}
		return dial(ctx, network, address)
	}
	return began, outcome
}

// A server under load is slow to take connections: a request does not insist on
// its own, and what it began to open is there for the next.
func TestARequestTakesTheConnectionThatComesFirst(t *testing.T) {
	answer := make(chan bool)
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
		for {
			_, body, more := c.next()
			if !more {
				return
			}
			if body == "slow" {
				<-answer
			}
			c.say(ok(body))
		}
	})
	h := s.hop(t)
	began, outcome := slowDials(h)
	var all sync.WaitGroup
	send := func(body string) {
		all.Go(func() {
			if got, err := h.send(t, "POST", body); got != "200 "+body || err != nil {
				t.Errorf("%s: got %q, %v", body, got, err)
			}
		})
	}
	send("slow")
	eventually(t, "the server has the first", func() bool { return len(s.received()) == 1 })
	send("second")
	<-began
	answer <- true
	all.Wait()
	if h.idling() != 1 {
		t.Error(h.idling(), " are idle")
	}
	outcome <- nil
	eventually(t, "the other is idle too", func() bool { return h.idling() == 2 })

	for range 2 {
		send("slow")
	}
	eventually(t, "both are used", func() bool { return len(s.received()) == 4 })
	refused := errors.New("refused")
	go func() {
		<-began
		outcome <- refused
	}()
	if got, err := h.send(t, "POST", "fifth"); !errors.Is(err, refused) {
		t.Errorf("got %q, %v", got, err)
	}
	close(answer)
	all.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) != 0 {
		t.Error("somebody is still waited for")
	}
}

func TestARequestEndsWhileItConnects(t *testing.T) {
	answer := make(chan bool)
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
		if _, _, more := c.next(); more {
			<-answer
			c.say(ok(""))
			c.next()
		}
	})
	h := s.hop(t)
	began, outcome := slowDials(h)
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := h.send(t, "POST", "first"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the server has the first", func() bool { return len(s.received()) == 1 })
	why := errors.New("the grant has ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-began
		cancel(why)
	}()
	if _, err := h.RoundTrip(h.request(ctx, "POST", "second")); !errors.Is(err, why) {
		t.Error(err)
	}
	close(answer)
	first.Wait()
	outcome <- nil
	eventually(t, "both connections are idle", func() bool { return h.idling() == 2 })
}

func TestARequestEndsWhileItIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u := upstream{scheme: "http", host: "localhost", socket: path}
	h, isHop := newForwarder(u, newTransport(u, nil)).(*hop)
	if !isHop {
		t.Skip("there are no hops here")
	}
	dial := h.DialContext
	h.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return conn, conn.(*net.UnixConn).SetWriteBuffer(1) // as little as it can be
	}
	why := errors.New("the grant has ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	returned, gone := make(chan bool), make(chan bool)
	go func() {
		defer close(gone)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		time.Sleep(10 * time.Millisecond) // so that it is waited for
		cancel(why)
		select {
		case <-returned:
		case <-time.After(10 * time.Second):
			t.Error("it is still written")
		}
		_, _ = io.Copy(io.Discard, conn)
	}()
	if _, err := h.RoundTrip(h.request(ctx, "POST", strings.Repeat("x", maxMessage-1000))); !errors.Is(err, why) {
		t.Error(err)
	}
	close(returned)
	<-gone
}

// One that is handed to a request that ends at that moment is not lost.
func TestAConnectionThatCameTooLateIsKept(t *testing.T) {
	h := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) { c.next() }).hop(t)
	c, err := h.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		_, place := h.take()
		h.put(c)
		got, err := h.wait(ended, place)
		if err != nil {
			got, _ = h.take()
		}
		if got != c {
			t.Fatal("it is lost")
		}
	}
}

// An answer that nobody reads on is left, by closing the connection, even while
// somebody waits for it.
func TestABodyThatIsClosedLetsGo(t *testing.T) {
	gone := make(chan bool)
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
		c.next()
		c.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
		_, _ = c.r.ReadByte()
		close(gone)
	})
	h := s.hop(t)
	res, err := h.RoundTrip(h.request(t.Context(), "GET", ""))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		res.Body.Close()
	}()
	if n, err := res.Body.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
		t.Errorf("read %d, %v", n, err)
	}
	<-gone
	if _, err := res.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Error(err)
	}
}

func TestIdleConnectionsAreLetGo(t *testing.T) {
	const many = 20
	var open atomic.Int32
	leave := make(chan bool)
	s := newRawServer(t, func(s *rawServer, n int, c *rawConn) {
		open.Add(1)
		defer open.Add(-1)
		c.next()
		for len(s.received()) < many { // all at once
			time.Sleep(time.Millisecond)
		}
		c.say(ok(""))
		if n%2 == 0 {
			<-leave
			return
		}
		c.next()
	})
	h := s.hop(t)
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			if _, err := h.send(t, "POST", "x"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if h.idling() != many {
		t.Fatal(h.idling(), " are idle")
	}
	h.sweepIdle()
	if h.idling() != many {
		t.Error("a sweep left ", h.idling())
	}
	close(leave)
	eventually(t, "what the server closed is gone", func() bool { h.sweepIdle(); return h.idling() == many/2 })
	h.mu.Lock()
	for _, c := range h.idle[:5] {
		c.since = time.Now().Add(-idleTime)
	}
	h.mu.Unlock()
	h.sweepIdle()
	if h.idling() != many/2-5 {
		t.Error("after a while there are ", h.idling())
	}
	h.CloseIdleConnections()
	eventually(t, "the server sees the others go", func() bool { return open.Load() == 0 })
}

// A stream that outlives its table leaves nothing behind.
func TestNothingIsKeptForATableThatWasReplaced(t *testing.T) {
	replaced := make(chan bool)
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
		c.next()
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla")
		<-replaced
		c.say("st")
		c.next()
	})
	h := s.hop(t)
	res, err := h.RoundTrip(h.request(t.Context(), "GET", ""))
	if err != nil {
		t.Fatal(err)
	}
	h.CloseIdleConnections()
	close(replaced)
	if b, err := io.ReadAll(res.Body); string(b) != "last" || err != nil {
		t.Error(string(b), err)
	}
	if h.idling() != 0 || h.sweep != nil {
		t.Fatal("it is kept")
	}
	_ = s.Close()
	s.served.Wait()
}

func TestWhereAnEndpointIs(t *testing.T) {
	for host, want := range map[string]string{
		"notes": "notes:80", "notes:8080": "notes:8080", "notes:": "notes:80", "my_notes:1": "my_notes:1", "127.0.0.1": "127.0.0.1:80",
		"[::1]": "[::1]:80", "[::1]:": "[::1]:80", "[::1]:81": "[::1]:81", "[fe80::1%eth0]:81": "[fe80::1%eth0]:81", "[fe80::1%eth0]": "[fe80::1%eth0]:80",
		"b\u00fccher.example": "xn--bcher-kva.example:80", "B\u00dcCHER.example:81": "xn--bcher-kva.example:81",
	} {
		if got := (&upstream{scheme: "http", host: host}).address(); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}

// What a hop is not for goes another way.
func TestWhatAHopIsNotFor(t *testing.T) {
	h := newRawServer(t, func(*rawServer, int, *rawConn) {}).hop(t)
	for name, change := range map[string]func(r *http.Request){
		"a body that is still to come": func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) },
		"one of unknown length":        func(r *http.Request) { r.ContentLength = -1 },
		"chunks":                       func(r *http.Request) { r.TransferEncoding = []string{"chunked"} },
		"trailers":                     func(r *http.Request) { r.Trailer = http.Header{"X": nil} },
		"a large one":                  func(r *http.Request) { replay(r, make([]byte, maxMessage), nil) },
		"Expect":                       func(r *http.Request) { r.Header["Expect"] = []string{"100-continue"} },
		"Upgrade":                      func(r *http.Request) { r.Header["Upgrade"] = []string{"websocket"} },
		"a method of two words":        func(r *http.Request) { r.Method = "GET /" },
		"no method":                    func(r *http.Request) { r.Method = "" },
		"a host of two lines":          func(r *http.Request) { r.Host = "a\r\nX: y" },
		"a host with a zone":           func(r *http.Request) { r.Host = "[fe80::1%25eth0]" },
		"a query of two lines":         func(r *http.Request) { r.URL.RawQuery = "a\r\nb" },
		"a query of two words":         func(r *http.Request) { r.URL.RawQuery = "a b" },
		"a name of two words":          func(r *http.Request) { r.Header["X Y"] = []string{"z"} },
		"no name":                      func(r *http.Request) { r.Header[""] = []string{"z"} },
		"a value of two lines":         func(r *http.Request) { r.Header["X"] = []string{"a", "y\nZ: z"} },
		"one that a server may split":  func(r *http.Request) { r.Header["X"] = []string{"y\rZ: z"} },
		"one that a server may cut":    func(r *http.Request) { r.Header["X"] = []string{"y\x00z"} },
	} {
		r := h.request(t.Context(), "POST", "x")
		if m := newMessage(r); m == nil {
			t.Fatal("the plain one")
		}
		change(r)
		if m := newMessage(r); m != nil {
			t.Errorf("%s: %q", name, m.Bytes())
		}
	}
	https := upstream{scheme: "https", host: "localhost"}
	if _, isHop := newForwarder(https, newTransport(https, nil)).(*hop); isHop {
		t.Error("TLS")
	}
}

func TestALargeBodyIsNotCopiedInVain(t *testing.T) {
	h := newRawServer(t, func(*rawServer, int, *rawConn) {}).hop(t)
	r := h.request(t.Context(), "POST", strings.Repeat("x", 4<<20))
	if n := testing.AllocsPerRun(10, func() { newMessage(r) }); n != 0 {
		t.Errorf("%v allocations to find that it is not for a hop", n)
	}
}

// Many at once, with contexts that end and bodies that are left at any moment,
// through a server that does to connections whatever servers do: every answer
// is that of its own request, no call is made twice, and no connection is left.
func TestNoAnswerIsEverMistaken(t *testing.T) {
	var open atomic.Int32
	s := newRawServer(t, func(_ *rawServer, n int, c *rawConn) {
		open.Add(1)
		defer open.Add(-1)
		dice := rand.New(rand.NewPCG(uint64(n), 1))
		for {
			_, body, more := c.next()
			if !more {
				return
			}
			if dice.IntN(4) == 0 {
				time.Sleep(time.Duration(dice.IntN(1000)) * time.Microsecond)
			}
			switch dice.IntN(11) {
			case 0:
				return
			case 1:
				c.say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
				return
			case 2:
				c.say(ok(body))
				return
			case 3:
				c.say(ok(body) + ok("of nobody"))
			case 4:
				c.say(ok(body)[:40])
				return
			case 5:
				c.say("HTTP/1.1 100 Continue\r\n\r\n" + ok(body))
			case 6, 7:
				c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body))
			default:
				c.say(ok(body))
			}
		}
	})
	h := s.hop(t)
	var answered, failed, mistaken atomic.Int32
	var all, sweeping sync.WaitGroup
	over := make(chan bool)
	sweeping.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
				h.sweepIdle()
			}
		}
	})
	for g := range 16 {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(g), 2))
			for i := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if dice.IntN(3) == 0 {
					time.AfterFunc(time.Duration(dice.IntN(1500))*time.Microsecond, cancel)
				}
				want := fmt.Sprintf("request %d of %d %s", i, g, strings.Repeat("x", dice.IntN(5000)))
				res, err := h.RoundTrip(h.request(ctx, "POST", want))
				if err != nil {
					failed.Add(1)
				} else {
					var b []byte
					if dice.IntN(5) > 0 {
						if b, err = io.ReadAll(res.Body); err == nil && string(b) == want {
							answered.Add(1)
						}
					}
					// Until it broke off it was ours as well.
					if !strings.HasPrefix(want, string(b)) {
						mistaken.Add(1)
						t.Errorf("%.60q got %.60q", want, b)
					}
					res.Body.Close()
				}
				cancel()
			}
		})
	}
	all.Wait()
	close(over)
	sweeping.Wait()
	h.CloseIdleConnections()
	eventually(t, "every connection is closed", func() bool { return open.Load() == 0 })
	if answered.Load() < 1000 || failed.Load() < 100 {
		t.Errorf("%d were answered, %d failed: the server is not what it should be", answered.Load(), failed.Load())
	}
	seen := map[string]bool{}
	for _, r := range s.received() {
		if seen[r] {
			t.Errorf("twice: %.60q", r)
		}
		seen[r] = true
	}
}

// FuzzAHopSaysWhatATransportSays compares, as a server reads them, a request
// written by a hop with the same one written by http.Transport.
func FuzzAHopSaysWhatATransportSays(f *testing.F) {
	f.Add("POST", "/mcp", "a=b", "notes.example.com", "X-A", "one", "body")
	f.Add("GET", "/a%2Fb", "", "[::1]:80", "User-Agent", "x", "")
	f.Add("PUT", "//x", "%zz", "", "Content-Length", "7", "")
	f.Add("DELETE", "/", "x=\u00e9", "h:1", "Transfer-Encoding", "chunked", "b")
	f.Add("POST", "/mcp", "", "h", "Accept", "a", "")
	f.Add("PATCH", "", "", "h", "Te", "trailers", "")
	f.Add("OPTIONS", "*", "", "h", "X-A", " a\tb\x01 ", "")
	s := newRawServer(f, func(_ *rawServer, _ int, c *rawConn) {
		for {
			if _, err := http.ReadRequest(c.r); err != nil {
				return
			}
		}
	})
	h := s.hop(f)
	f.Fuzz(func(t *testing.T, method, path, query, host, name, value, body string) {
		request := func() *http.Request {
			req := h.request(t.Context(), method, body)
			req.URL.Path, req.URL.RawQuery, req.Host = path, query, host
			req.Header[textproto.CanonicalMIMEHeaderKey(name)] = []string{value}
			return req
		}
		m := newMessage(request())
		if m == nil {
			t.Skip()
		}
		defer m.free()
		ours, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(m.Bytes())))
		if err != nil {
			if theirs, said := byTransport(request()); said {
				t.Fatalf("%q is no request: %v; http.Transport says %q", m.Bytes(), err, theirs.RequestURI)
			}
			return
		}
		theirs, said := byTransport(request())
		if !said {
			// It refuses characters that do no harm, which never get here.
			return
		}
		for _, r := range []*http.Request{ours, theirs} {
			r.Body = nil
		}
		for _, pair := range [][2]any{
			{ours.Method, theirs.Method}, {ours.RequestURI, theirs.RequestURI}, {ours.Host, theirs.Host}, {ours.Header, theirs.Header},
			{ours.ContentLength, theirs.ContentLength}, {ours.TransferEncoding, theirs.TransferEncoding}, {ours.Close, theirs.Close},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Errorf("%q\nhere %v\nthere %v", m.Bytes(), pair[0], pair[1])
			}
		}
	})
}

// byTransport is a request as http.Transport sends it; false if it refuses to.
func byTransport(req *http.Request) (*http.Request, bool) {
	here, there := net.Pipe()
	defer there.Close()
	t := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }, DisableCompression: true}
	defer t.CloseIdleConnections()
	got := make(chan *http.Request, 1)
	go func() {
		r, _ := http.ReadRequest(bufio.NewReader(there))
		got <- r
		_ = there.Close()
	}()
	res, err := t.RoundTrip(req)
	if err == nil {
		res.Body.Close()
	}
	_ = here.Close()
	r := <-got
	return r, r != nil
}

// FuzzAHopHearsWhatATransportHears lets both read the same bytes of a server.
func FuzzAHopHearsWhatATransportHears(f *testing.F) {
	for _, answer := range []string{
		ok("body"), "HTTP/1.1 200 OK\r\n\r\nuntil the end", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok("x"), "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 101 x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nabcde", "HTTP/1.1 100\r\n\r\n", "HTTP/1.1 304 N\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 404 \r\nconnection: Keep-Alive\r\nSet-Cookie: a=1\r\nset-cookie:b=2 \r\nContent-length:\t004\r\nX-\x80: \x80\r\n\r\nbody and more",
		"HTTP/1.1 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 1\r\n\r\nab", "HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 1\r\n\r\na",
		"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
		"HTTP/1.1 200 OK\nA: b\n\nc", "HTTP/0.0 000 \n\n0", "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n",
	} {
		f.Add([]byte(answer), false)
		f.Add([]byte(answer), true)
	}
	var mu sync.Mutex
	var now []byte
	s := newRawServer(f, func(_ *rawServer, _ int, c *rawConn) {
		c.next()
		mu.Lock()
		defer mu.Unlock()
		c.say(string(now))
	})
	h := s.hop(f)
	f.Fuzz(func(t *testing.T, answer []byte, head bool) {
		mu.Lock()
		now = answer
		mu.Unlock()
		method := http.MethodPost
		if head {
			method = http.MethodHead
		}
		ours := heard(t, h, h.request(t.Context(), method, ""))
		theirs := heard(t, h.Transport, h.request(t.Context(), method, ""))
		h.CloseIdleConnections()
		if ours != theirs {
			t.Errorf("%q\nhere  %s\nthere %s", answer, ours, theirs)
		}
	})
}

// heard is all that a caller learns of an answer.
func heard(t *testing.T, by http.RoundTripper, req *http.Request) string {
	t.Helper()
	var hints []int
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { hints = append(hints, code); return nil },
	}))
	res, err := by.RoundTrip(req)
	if err != nil {
		return "an error"
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols || res.StatusCode < 100 {
		return "an error" // to who passes it on
	}
	b, err := io.ReadAll(res.Body)
	return fmt.Sprint(hints, res.Status, res.Proto, res.Header, res.ContentLength, res.TransferEncoding, res.Close, string(b), res.Trailer, err != nil)
}

// A reset and a time out are other things than an end, to those who look into it
// and to the client, who is told when to come again.
func TestWhyAConnectionBrokeIsTold(t *testing.T) {
	s := newRawServer(t, func(_ *rawServer, _ int, c *rawConn) {
		c.next()
		_ = c.SetLinger(0)
	})
	h := s.hop(t)
	_, err := h.RoundTrip(h.request(t.Context(), "POST", "x"))
	var read *net.OpError
	if !errors.As(err, &read) || read.Op != "read" {
		t.Errorf("%v", err)
	}
}
