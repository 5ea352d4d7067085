package routing_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
)

// authorityOf is a file with the certificate of a test's server.
func authorityOf(t testing.TB, s *httptest.Server) string {
	t.Helper()
	return writePEM(t, "CERTIFICATE", s.Certificate().Raw)
}

func writePEM(t testing.TB, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// clientCert is a certificate that signs itself, and its key.
func clientCert(t testing.TB, name string) (certFile, keyFile string, cert *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", der), writePEM(t, "PRIVATE KEY", pkcs8), cert
}

// secured is a TLS server that says which protocol and which client it sees.
// Without HTTP/2, each request has a connection of its own.
func secured(t testing.TB, clients *x509.CertPool, http2 bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if certs := r.TLS.PeerCertificates; len(certs) > 0 {
			name = certs[0].Subject.CommonName
		}
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.TLS.ServerName, name)
	}))
	s.EnableHTTP2 = http2
	s.Config.SetKeepAlivesEnabled(http2)
	if clients != nil {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestHTTPSEndpoints(t *testing.T) {
	cert, key, parsed := clientCert(t, "gateway")
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	open, closed := secured(t, nil, true), secured(t, pool, true)
	port := open.URL[strings.LastIndex(open.URL, ":"):]
	otherCA, _, _ := clientCert(t, "other")
	for name, tc := range map[string]struct {
		url  string
		tls  routing.TLS
		want string // empty: 502
	}{
		"an authority of its own, over HTTP/2":          {open.URL, routing.TLS{CAFile: authorityOf(t, open)}, "HTTP/2.0  nobody"},
		"a name that is not the endpoint's":             {open.URL, routing.TLS{CAFile: authorityOf(t, open), ServerName: "example.com"}, "HTTP/2.0 example.com nobody"},
		"a name that the certificate does not have":     {open.URL, routing.TLS{CAFile: authorityOf(t, open), ServerName: "evil.invalid"}, ""},
		"a host that the certificate does not have":     {"https://localhost" + port, routing.TLS{CAFile: authorityOf(t, open)}, ""},
		"the system's authorities do not know it":       {open.URL, routing.TLS{}, ""},
		"another authority does not either":             {open.URL, routing.TLS{CAFile: otherCA}, ""},
		"a certificate of ours, where one is asked for": {closed.URL, routing.TLS{CAFile: authorityOf(t, closed), ClientCert: cert, ClientKey: key}, "HTTP/2.0  gateway"},
		"none, where one is asked for":                  {closed.URL, routing.TLS{CAFile: authorityOf(t, closed)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, routing.Config{Endpoint: parse(t, tc.url+"/mcp"), TLS: tc.tls})
			status, body := f.post(t, "{}")
			if tc.want == "" && status != http.StatusBadGateway || tc.want != "" && body != tc.want {
				t.Errorf("%d %q, want %q", status, body, tc.want)
			}
		})
	}
}

func TestAClientCertificateIsReadAgain(t *testing.T) {
	oldCert, oldKey, old := clientCert(t, "old")
	newCert, newKey, renewed := clientCert(t, "new")
	pool := x509.NewCertPool()
	pool.AddCert(old)
	pool.AddCert(renewed)
	s := secured(t, pool, false)
	f := newFront(t, routing.Config{Endpoint: parse(t, s.URL+"/mcp"), TLS: routing.TLS{CAFile: authorityOf(t, s), ClientCert: oldCert, ClientKey: oldKey}})
	shown := func(want string) {
		t.Helper()
		if _, body := f.post(t, "{}"); !strings.HasSuffix(body, want) {
			t.Errorf("%q, want %s", body, want)
		}
	}
	shown("old")
	move := func(from, to string) {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	move(newCert, oldCert) // the key does not fit yet
	shown("old")
	move(newKey, oldKey)
	shown("new")
}

func TestTLSThatCannotWork(t *testing.T) {
	cert, key, _ := clientCert(t, "a")
	_, otherKey, _ := clientCert(t, "b")
	for name, tc := range map[string]struct {
		tls  routing.TLS
		want string
	}{
		"no file":              {routing.TLS{CAFile: "/nowhere.pem"}, "caFile: "},
		"no certificate in it": {routing.TLS{CAFile: key}, "caFile: "},
		"no key":               {routing.TLS{ClientCert: cert}, "clientKey: "},
		"no certificate":       {routing.TLS{ClientKey: key}, "clientCert: "},
		"another's key":        {routing.TLS{ClientCert: cert, ClientKey: otherKey}, "clientCert: "},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.tls.Check(); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("%v, want %s…", err, tc.want)
			}
			_, err := routing.NewTable([]routing.Config{{Host: "a.example", TLS: tc.tls}}, routing.Options{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s…", err, tc.want)
			}
		})
	}
}

func TestUnixSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "s") //nolint:usetesting // the path of t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "mcp.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.RequestURI) }), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	endpoint := "unix://" + path + "|/mcp"
	u, socket, err := routing.ParseEndpoint(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	f := newFront(t, routing.Config{Endpoint: u, Socket: socket})
	if _, body := f.post(t, "{}"); body != "localhost/mcp" {
		t.Errorf("%q", body)
	}
	if f.route.Resource() != "https://notes.example.com/mcp" || f.route.Endpoint() != endpoint {
		t.Errorf("%s leads to %s", f.route.Resource(), f.route.Endpoint())
	}
	_ = s.Close()
	if status, _ := f.post(t, "{}"); status != http.StatusBadGateway {
		t.Errorf("X15 nobody listens: %d", status)
	}
}

func TestParseEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://a:1/mcp": "http://a:1/mcp ", "https://a": "https://a ", "unix:///run/a b.sock|/m?": "http://localhost/m? /run/a b.sock",
		"unix:///a|/": "http://localhost/ /a",
		"":            "", "a:1": "", "ftp://a/": "", "http:///mcp": "", "http:a": "", "unix:///a": "", "unix:///a|": "", "unix://a|/mcp": "", "unix:///a|mcp": "", "http://a:x/": "",
	} {
		u, socket, err := routing.ParseEndpoint(endpoint)
		if (err != nil) != (want == "") || err == nil && u.String()+" "+socket != want {
			t.Errorf("%q: %v %q %v, want %q", endpoint, u, socket, err, want)
		}
	}
	if _, _, err := routing.ParseEndpoint("htp://user:secret@a"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

// TestServersThatDoNotConnect waits for the real limits, of five seconds.
func TestServersThatDoNotConnect(t *testing.T) {
	silent := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	for name, url := range map[string]string{
		"X15 nobody accepts the connection": "http://" + full(t),
		"X15 TLS that is never answered":    strings.Replace(silent, "http:", "https:", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, routing.Config{Endpoint: parse(t, url+"/mcp")})
			if status, body := f.post(t, "{}"); status != http.StatusGatewayTimeout {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

func TestABodyShorterThanPromisedIsNotComplete(t *testing.T) {
	for name, head := range map[string]string{
		"X13 with a length": "Content-Length: 20\r\n\r\n",
		"X13 in chunks":     "Transfer-Encoding: chunked\r\n\r\n14\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, routing.Config{Endpoint: parse(t, listen(t, func(conn net.Conn) {
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"+head+`{"jsonrpc`)
			})+"/mcp")})
			res, err := http.DefaultClient.Do(get(t, f.URL+"/mcp"))
			if err != nil {
				return // it was broken off before any of it was sent on
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("%q looks complete", body)
			}
		})
	}
}

func TestACallThatMayHaveArrivedIsNotSentAgain(t *testing.T) {
	got := make(chan struct{}, 10)
	url := listen(t, func(net.Conn) { got <- struct{}{} }) // reads it, and hangs up
	f := newFront(t, routing.Config{Endpoint: parse(t, url+"/mcp")})
	for _, headers := range [][]string{nil, {"Idempotency-Key", "1"}, {"X-Idempotency-Key", "1"}} {
		if status, _ := f.post(t, `{"jsonrpc":"2.0"}`, headers...); status != http.StatusBadGateway {
			t.Errorf("X10 %d", status)
		}
		<-got
		if len(got) != 0 {
			t.Errorf("X10 sent again, with %q", headers)
		}
	}
}

func TestHealth(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError) // but it is there
	}))
	addr := s.Listener.Addr().String()
	f := newFront(t, routing.Config{Endpoint: parse(t, "http://"+addr+"/mcp")})
	if h := f.route.Health(); h.Known {
		t.Errorf("%+v before anything is known", h)
	}
	s.Start()
	f.post(t, "{}")
	if h := f.route.Health(); !h.Known || !h.Up || h.Since.IsZero() {
		t.Errorf("%+v after an answer", h)
	}
	s.Close()
	f.route.Probe(t.Context()) // it was just heard of
	if h := f.route.Health(); !h.Up {
		t.Errorf("%+v although nobody looked", h)
	}
	f.route.Probe(t.Context())
	if h := f.route.Health(); h.Up || !strings.Contains(h.Cause, "refused") {
		t.Errorf("%+v although nobody listens", h)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f.route.Probe(t.Context())
	if h := f.route.Health(); !h.Up || h.Cause != "" {
		t.Errorf("%+v although somebody listens again", h)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_ = l.Close()
	f.route.Probe(gone)
	if h := f.route.Health(); !h.Up {
		t.Errorf("%+v because the gateway stops", h)
	}
}

func TestHealthOfTLS(t *testing.T) {
	s := secured(t, nil, true)
	for name, tc := range map[string]struct {
		tls routing.TLS
		up  bool
	}{
		"trusted": {routing.TLS{CAFile: authorityOf(t, s)}, true}, "untrusted": {routing.TLS{}, false},
	} {
		f := newFront(t, routing.Config{Endpoint: parse(t, s.URL+"/mcp"), TLS: tc.tls})
		f.route.Probe(t.Context())
		if h := f.route.Health(); !h.Known || h.Up != tc.up {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func TestAClientThatLeavesSaysNothingAboutTheServer(t *testing.T) {
	arrived, returned := make(chan struct{}), make(chan struct{})
	f := newFront(t, upstreamOf(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(returned)
		f.route.Forward(w, r, ada)
	}))
	defer s.Close()
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-arrived
		leave()
	}()
	if res, err := http.DefaultClient.Do(get(t, s.URL+"/mcp").WithContext(ctx)); err == nil {
		res.Body.Close()
	}
	<-returned
	if h := f.route.Health(); h.Known {
		t.Errorf("%+v", h)
	}
}

func TestWhatListens(t *testing.T) {
	_, c := recording(t)
	f := newFront(t, c)
	for name, tc := range map[string]struct {
		method, header, body string
		want                 bool
	}{
		"X19 a GET":                          {"GET", "", "", true},
		"X19 a subscription by its header":   {"POST", "subscriptions/listen", "", true},
		"X19 a subscription by its body":     {"POST", "", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}`, true},
		"X19 whatever its header says":       {"POST", "tools/call", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}`, true},
		"X19 however it is written":          {"POST", "", `{"jsonrpc":"2.0","id":1,"method":"subscriptions\/\u006cisten"}`, true},
		"X19 a call":                         {"POST", "tools/call", call("get"), false},
		"X19 a call that speaks of one":      {"POST", "", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"subscriptions/listen","arguments":{}}}`, false},
		"X19 what is no message":             {"POST", "", `"subscriptions/listen`, false},
		"X19 the end of a session":           {"DELETE", "", "", false},
		"X19 a body that is too long to see": {"POST", "", strings.Repeat(" ", 20_000) + "{}", false},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest(tc.method, "/mcp", strings.NewReader(tc.body))
			if tc.header != "" {
				req.Header.Set("Mcp-Method", tc.header)
			}
			if got := f.route.Listens(req); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
			if rest, err := io.ReadAll(req.Body); err != nil || string(rest) != tc.body {
				t.Errorf("the body is %q now, %v", rest, err)
			}
		})
	}
}

func TestAConnectionServesOneHostAlone(t *testing.T) {
	var mu sync.Mutex
	by := map[string]map[string]bool{} // connection → credentials that came over it
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if by[r.RemoteAddr] == nil {
			by[r.RemoteAddr] = map[string]bool{}
		}
		by[r.RemoteAddr][r.Header.Get("Authorization")] = true
	}))
	defer s.Close()
	var fronts []*front
	for _, host := range []string{"a.example", "b.example"} {
		fronts = append(fronts, newFront(t, routing.Config{Host: host, Endpoint: parse(t, s.URL+"/mcp"), Authorization: "Bearer of-" + host}))
	}
	for range 3 {
		for _, f := range fronts {
			f.post(t, "{}")
		}
	}
	if len(by) != 2 {
		t.Errorf("%d connections, want one for each host, used again", len(by))
	}
	for conn, credentials := range by {
		if len(credentials) != 1 {
			t.Errorf("%s carried %v", conn, credentials)
		}
	}
}
