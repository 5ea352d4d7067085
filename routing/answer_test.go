package routing_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
)

func TestWhatAnAnswerMayNotSay(t *testing.T) {
	sent := map[string]string{
		"Www-Authenticate": `Bearer resource_metadata="https://evil.example"`, "Access-Control-Allow-Origin": "*",
		"Access-Control-Allow-Credentials": "true", "Strict-Transport-Security": "max-age=1; includeSubDomains", "Server": "x/1",
		"Alt-Svc": `h3=":443"`, "Clear-Site-Data": `"cookies"`, "Service-Worker-Allowed": "/", "X-Content-Type-Options": "maybe",
	}
	for name, tc := range map[string]struct {
		public bool
		passes []string
	}{
		"X6 on a protected host": {false, nil},
		"X6 on a public host, which has its own authorization": {true, []string{
			"Www-Authenticate", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Clear-Site-Data", "Service-Worker-Allowed"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, v := range sent {
					w.Header().Set(name, v)
				}
			})
			c.Public = tc.public
			res := newFront(t, c).raw(t, "GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
			for name := range sent {
				want := ""
				for _, p := range tc.passes {
					if p == name {
						want = sent[name]
					}
				}
				if name == "X-Content-Type-Options" {
					want = "nosniff"
				}
				if got := strings.Join(res.Header[name], "|"); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestPagesOfAServerAreInASandbox(t *testing.T) {
	for name, tc := range map[string]struct {
		kind, theirs, body string
		public             bool
		want               string
	}{
		"S14 HTML":                                 {kind: "text/html", body: "<p>", want: "sandbox"},
		"S14 HTML with a policy keeps both":        {kind: "text/html", theirs: "img-src 'self'", body: "<p>", want: "img-src 'self'|sandbox"},
		"S14 SVG":                                  {kind: "image/svg+xml", body: "<svg/>", want: "sandbox"},
		"S14 what does not say what it is":         {kind: "-", body: "?", want: "sandbox"},
		"S14 a type that does not parse":           {kind: "text/html;;=", body: "?", want: "sandbox"},
		"S14 JSON is no page":                      {kind: "application/json; charset=utf-8", body: "{}"},
		"S14 JSON of a kind is no page":            {kind: "application/problem+json", body: "{}"},
		"S14 an event stream is no page":           {kind: "text/event-stream", body: ":\n\n"},
		"S14 no body is no page":                   {kind: "-"},
		"S14 a public host has no pages of ours":   {kind: "text/html", body: "<p>", public: true},
		"S14 JSON that is XHTML is a page after a": {kind: "text/x+json", body: "<p>", want: "sandbox"},
	} {
		t.Run(name, func(t *testing.T) {
			c := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{tc.kind}
				if tc.kind == "-" {
					w.Header()["Content-Type"] = nil
				}
				if tc.theirs != "" {
					w.Header().Set("Content-Security-Policy", tc.theirs)
				}
				fmt.Fprint(w, tc.body)
			})
			c.Public = tc.public
			res := newFront(t, c).raw(t, "GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
			if got := strings.Join(res.Header["Content-Security-Policy"], "|"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if buffering := res.Header.Get("X-Accel-Buffering"); (buffering == "no") != (tc.kind == "text/event-stream") {
				t.Errorf("X7 X-Accel-Buffering %q", buffering)
			}
		})
	}
}

func TestA401OfTheServerIsNotOurs(t *testing.T) {
	refusing := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
	}
	t.Run("X6 it is a 502 whose cause is named", func(t *testing.T) {
		f := newFront(t, upstreamOf(t, refusing))
		status, body := f.post(t, "{}")
		if status != http.StatusBadGateway || !strings.Contains(body, `"error":502`) {
			t.Errorf("%d %s", status, body)
		}
		if cause := <-f.causes; !strings.Contains(cause.Error(), "401") || !strings.Contains(cause.Error(), "credential") {
			t.Errorf("cause: %v", cause)
		}
	})
	t.Run("X6 there is a log line where nobody else writes one", func(t *testing.T) {
		f := newFront(t, upstreamOf(t, refusing), func(o *routing.Options) { o.OnError = nil })
		if status, body := f.post(t, "{}"); status != http.StatusBadGateway || !json.Valid([]byte(body)) {
			t.Errorf("%d %s", status, body)
		}
		if !strings.Contains(f.log.String(), "refuses the credential") {
			t.Errorf("log: %s", f.log)
		}
	})
	t.Run("X14 a public host's 401 is its own", func(t *testing.T) {
		c := upstreamOf(t, refusing)
		c.Public = true
		if status, _ := newFront(t, c).post(t, "{}"); status != http.StatusUnauthorized {
			t.Errorf("%d", status)
		}
	})
}

func TestTroubleWithTheServer(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = nil
	defer untrusted.Close()
	resets := listen(t, func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) })
	garbles := listen(t, func(conn net.Conn) { fmt.Fprint(conn, "220 mail.example.com ESMTP\r\n") })
	endless := listen(t, func(conn net.Conn) {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n")
		for n := 0; ; n++ {
			if _, err := fmt.Fprintf(conn, "X-%d: %s\r\n", n, strings.Repeat("a", 4000)); err != nil {
				return
			}
		}
	})
	switches := listen(t, func(conn net.Conn) {
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
	})
	for name, url := range map[string]string{
		"X15 refused":                        dead.URL,
		"X15 a certificate nobody vouches":   untrusted.URL,
		"X15 reset":                          resets,
		"X15 not HTTP":                       garbles,
		"X15 headers without end":            endless,
		"X15 another protocol, unasked":      switches,
		"X15 a name that does not exist":     "http://mcp.invalid",
		"X15 TLS to a server that has none":  strings.Replace(garbles, "http:", "https:", 1),
		"X15 http to a server that wants it": strings.Replace(resets, "http:", "https:", 1),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, routing.Config{Endpoint: parse(t, url+"/mcp")})
			status, body := f.post(t, `{"jsonrpc":"2.0"}`)
			if status != http.StatusBadGateway || !strings.Contains(body, `{"error":502,"path":"/mcp"}`) {
				t.Errorf("%d %s", status, body)
			}
			if cause := <-f.causes; !strings.Contains(cause.Error(), "pass on to ") {
				t.Errorf("cause: %v", cause)
			}
		})
	}
}

// A status of one or two digits is one that net/http cannot write.
func TestAStatusThatIsNone(t *testing.T) {
	url := listen(t, func(conn net.Conn) {
		fmt.Fprint(conn, "HTTP/1.1 007 Bond\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	})
	f := newFront(t, routing.Config{Endpoint: parse(t, url+"/mcp")})
	for _, body := range []string{"{}", `"` + strings.Repeat("x", 100<<10) + `"`} {
		if status, answer := f.post(t, body); status != http.StatusBadGateway || !strings.Contains(answer, `{"error":502,"path":"/mcp"}`) {
			t.Errorf("%d bytes: %d %s", len(body), status, answer)
		}
	}
}

// listen runs what some server does with each connection, after the request.
func listen(t *testing.T, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = conn.Read(make([]byte, 4096))
				serve(conn)
				_ = conn.Close()
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestABodyTheClientBreaksOffIsNotTheServersFault(t *testing.T) {
	rec, c := recording(t)
	f := newFront(t, c)
	for name, body := range map[string]string{
		"chunks that are none":          "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"chunks that are none, at last": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if res := f.raw(t, "POST /mcp HTTP/1.1\r\nHost: a\r\n"+body); res.StatusCode != http.StatusBadRequest {
				t.Errorf("%d", res.StatusCode)
			}
			for len(rec.seen) > 0 {
				<-rec.seen
			}
		})
	}
}

func TestAServerThatBreaksOffBreaksOffTheClient(t *testing.T) {
	f := newFront(t, upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	res, err := http.DefaultClient.Do(get(t, f.URL+"/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil || string(body) != "data: 1\n\n" {
		t.Errorf("X13 %q, %v", body, err)
	}
	if log := f.log.String(); strings.Contains(log, `"WARN"`) || strings.Contains(log, `"ERROR"`) {
		t.Errorf("X13 loud: %s", log)
	}
}

func TestTrailersComeBack(t *testing.T) {
	f := newFront(t, upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "{}")
		w.Header().Set("X-Sum", "42")
	}))
	res, err := http.DefaultClient.Do(get(t, f.URL+"/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil || res.Trailer.Get("X-Sum") != "42" {
		t.Errorf("%v %v", res.Trailer, err)
	}
}

// committing is a writer that, like Echo's, takes the first status for the
// last.
type committing struct {
	http.ResponseWriter
	done bool
}

func (c *committing) WriteHeader(status int) {
	if !c.done {
		c.done = true
		c.ResponseWriter.WriteHeader(status)
	}
}

func (c *committing) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func TestInformationalAnswersPassAndTakeNothingAway(t *testing.T) {
	c := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>; rel=preload")
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
	})
	f := newFront(t, c)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "https://ours.example")
		f.route.Forward(&committing{ResponseWriter: w}, r, ada)
	}))
	defer s.Close()
	early := http.Header{}
	req := get(t, s.URL+"/mcp")
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			early = http.Header(h)
			return nil
		},
	}))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if early.Get("Link") == "" || early.Get("Www-Authenticate") != "" {
		t.Errorf("early: %v", early)
	}
	if res.StatusCode != http.StatusTeapot || res.Header.Get("Access-Control-Allow-Origin") != "https://ours.example" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

func TestExpectContinue(t *testing.T) {
	rec, c := recording(t)
	f := newFront(t, c)
	body := bytes.Repeat([]byte("x"), 100_000)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, f.URL+"/mcp", bytes.NewReader(body))
	req.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("X20 %v %v", res, err)
	}
	res.Body.Close()
	if got, _ := io.ReadAll((<-rec.seen).Body); !bytes.Equal(got, body) {
		t.Errorf("X20 %d bytes of %d", len(got), len(body))
	}
}

func TestLargeBodiesAreNotGathered(t *testing.T) {
	got := make(chan string)
	f := newFront(t, upstreamOf(t, func(_ http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, b)
		got <- string(b)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	pr, pw := io.Pipe()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL+"/mcp", pr)
	done := make(chan error, 1)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
		}
		done <- err
	}()
	fmt.Fprint(pw, "first")
	if s := <-got; s != "first" { // it arrives while the rest is not even written
		t.Errorf("X20 %q", s)
	}
	pw.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestForwardWhereThereIsNoServer(t *testing.T) {
	f := newFront(t, routing.Config{Host: "signin.example.com"})
	if status, _ := f.post(t, "{}"); status != http.StatusNotFound {
		t.Errorf("%d", status)
	}
	if err := <-f.causes; err == nil || errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
