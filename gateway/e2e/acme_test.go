//go:build e2e

package e2e

import (
	"bufio"
	"context"
	stdtls "crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// month is a life of certificates that no test outlives.
const month = 30 * 24 * time.Hour

// A site is the gateway in front of an upstream that needs no authorization, so
// that only TLS stands between a client and its answer.
type site struct {
	*gateway
	*publicCA
	origin, host string
	http         string // the address of port 80
}

// siteOptions are what is special about a site.
type siteOptions struct {
	ca       caOptions
	http01   bool // proofs go to port 80 only
	closed   bool // proofs go to where nobody listens
	eabKeyID string
	weather  weather // at start
}

func newSite(t *testing.T, o siteOptions) *site {
	t.Helper()
	addr, plain := freeAddr(t), freeAddr(t)
	if o.ca.life == 0 {
		o.ca.life = month
	}
	if o.http01 {
		o.ca.httpPort = port(t, plain)
	} else if !o.closed {
		o.ca.tlsPort = port(t, addr)
	}
	s := &site{publicCA: newPublicCA(t, o.ca), host: "mcp.example.test", http: plain}
	s.origin = "https://" + s.host + ":" + port(t, addr)
	s.front.set(o.weather)
	tls := s.settings()
	if o.eabKeyID != "" {
		tls["acme"].(settings)["eabKeyID"], tls["acme"].(settings)["eabMACKey"] = o.eabKeyID, o.ca.macKey
	}
	s.gateway = serve(t, addr, settings{
		"server": settings{"httpAddr": plain},
		"tls":    tls,
		"proxy":  settings{"hosts": []settings{{"host": s.host + ":" + port(t, addr), "endpoint": startUpstream(t) + "/mcp", "public": true}}},
	})
	return s
}

// startUpstream serves greetings.
func startUpstream(t *testing.T) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	greet(t, server)
	return server.URL
}

// greet starts a server that answers "hello", and at /stream says so five times a
// second.
func greet(t *testing.T, server *httptest.Server) {
	t.Helper()
	ended := make(chan struct{})
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/stream" {
			_, _ = io.WriteString(w, "hello")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			if _, err := io.WriteString(w, "data: hello\n\n"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-tick.C:
			case <-ended:
				return
			case <-r.Context().Done():
				return
			}
		}
	})
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(ended) })
}

// say makes a request and returns the certificate it was answered under.
func say(ctx context.Context, c *http.Client, url string) (serial string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || string(body) != "hello" {
		return "", fmt.Errorf("%s: %q %w", res.Status, body, err)
	}
	return res.TLS.PeerCertificates[0].SerialNumber.String(), nil
}

// certified waits until the host has a certificate, and returns its serial
// number: another one than was.
func (s *site) certified(t *testing.T, was string) string {
	t.Helper()
	var serial string
	s.until(t, func() (err error) {
		// Without keep-alives, each request is a handshake.
		fresh := s.client(t)
		fresh.Transport.(*http.Transport).DisableKeepAlives = true
		if serial, err = say(t.Context(), fresh, s.origin); err == nil && serial == was {
			err = fmt.Errorf("the certificate is still %s", serial)
		}
		return err
	})
	return serial
}

func (s *site) client(t *testing.T) *http.Client {
	t.Helper()
	return clientThatTrusts(t, s.roots)
}

// orders are how often the CA was asked for the host.
func (s *site) orders() int {
	orders, _ := s.front.counted()
	return orders[s.host]
}

// metric returns the lines of /metrics that begin so.
func (s *site) metric(t *testing.T, name string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(fetch(t, "http://"+s.admin+"/metrics")) {
		if strings.HasPrefix(line, name) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// ready is what /readyz says.
func (s *site) ready(t *testing.T) string { return fetch(t, "http://"+s.admin+"/readyz") }

func fetch(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, res.Status, err)
	}
	return string(body)
}

func TestACMEObtainsACertificate(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]siteOptions{
		"by TLS-ALPN-01": {},
		"by HTTP-01":     {http01: true},
		"with an account that the CA has to know": {ca: caOptions{macKey: "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}, eabKeyID: "known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, o)
			serial := s.certified(t, "")
			want := 1
			if o.http01 {
				want = 2 // autocert tries TLS-ALPN-01 first, by an order of its own
			}
			if n := s.orders(); n != want {
				t.Errorf("%d orders", n)
			}
			if m := s.metric(t, "certificate_expiry_timestamp_seconds"); !strings.Contains(m, `host="`+s.host+`"`) {
				t.Errorf("metrics: %q", m)
			}
			if got := s.ready(t); strings.Contains(got, "hosts_without_certificate") {
				t.Errorf("readyz: %s", got)
			}
			t.Run("X26 and asks for no stranger", func(t *testing.T) {
				for _, name := range []string{"stranger.example.test", "x." + s.host, ""} {
					_, err := (&stdtls.Dialer{Config: &stdtls.Config{ServerName: name, InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", s.addr)
					if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
						t.Errorf("%q: %v", name, err)
					}
				}
				if orders, _ := s.front.counted(); len(orders) != 1 {
					t.Errorf("orders: %v", orders)
				}
			})
			t.Run("X22 and redirects from port 80", func(t *testing.T) {
				req, _ := http.NewRequest(http.MethodGet, "http://"+s.http+"/mcp?x=1", nil)
				req.Host = s.host
				res, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusPermanentRedirect || res.Header.Get("Location") != s.origin+"/mcp?x=1" {
					t.Errorf("%s to %s", res.Status, res.Header.Get("Location"))
				}
			})
			if again := s.certified(t, ""); again != serial || s.orders() != want {
				t.Errorf("another certificate, %d orders", s.orders())
			}
		})
	}
}

// short is a life of certificates that ends within a test: they are renewed
// after two thirds of it.
const short = 21 * time.Second

func TestACMERenewsWithoutADroppedConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{ca: caOptions{life: short}})
	first := s.certified(t, "")
	stream := s.listen(t)
	kept := s.client(t)
	ctx, stop := context.WithCancel(t.Context())
	var asked int
	var failed error
	done := make(chan struct{})
	go func() { // on one connection, all the time
		defer close(done)
		for ctx.Err() == nil {
			serial, err := say(t.Context(), kept, s.origin)
			if err != nil || serial != first {
				failed = fmt.Errorf("request %d: certificate %s, %w", asked+1, serial, err)
				return
			}
			asked++
		}
	}()
	second := s.certified(t, first)
	stop()
	<-done
	if failed != nil {
		t.Error(failed)
	}
	third := s.certified(t, second)
	for range 3 {
		stream()
	}
	t.Logf("%d requests on a connection that was older than the certificate; serials %s, %s, %s", asked, first, second, third)
	if n := s.orders(); n != 3 {
		t.Errorf("%d orders for three certificates", n)
	}
}

// listen opens a stream; what it returns waits for its next event.
func (s *site) listen(t *testing.T) func() {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.origin+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	return func() {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data:") {
				return
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
	}
}

// A CA that fails: the process stays up, says why, serves what it has, and
// recovers by itself.
func TestACMESurvivesABadCA(t *testing.T) {
	t.Parallel()
	for w := down; w < weathers; w++ {
		t.Run("that "+w.String()+" at start", func(t *testing.T) {
			t.Parallel()
			s := newSite(t, siteOptions{weather: w})
			if w != slow {
				s.hears(t, w)
				s.reports(t, w)
			}
			s.front.set(calmer(w))
			s.certified(t, "")
			if got := s.ready(t); strings.Contains(got, "hosts_without_certificate") {
				t.Errorf("readyz afterwards: %s", got)
			}
		})
		t.Run("that "+w.String()+" at renewal", func(t *testing.T) {
			t.Parallel()
			s := newSite(t, siteOptions{ca: caOptions{life: short}})
			first := s.certified(t, "")
			s.front.set(w)
			if w != slow {
				s.hears(t, w)
				if serial, err := stale(t, s); err != nil || serial != first {
					t.Errorf("meanwhile: certificate %s, %v", serial, err)
				}
			}
			s.front.set(calmer(w))
			s.certified(t, first)
		})
	}
}

func TestACMESaysWhatIsWrongWithAHost(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{closed: true})
	s.says(t, `no certificate obtained.*DNS has no address for mcp\.example\.test: make an A or AAAA record that points to this machine \(the CA could not verify the name: `)
	if m := s.metric(t, "certificate_failures_total"); !strings.Contains(m, `reason="dns"`) {
		t.Errorf("metrics: %q", m)
	}
}

// calmer is what a CA is like afterwards: one that is slow stays so.
func calmer(w weather) weather {
	if w == slow {
		return slow
	}
	return fine
}

// reasons are what metrics call the weather.
func (w weather) reason() string {
	return map[weather]string{down: "ca_unavailable", refusing: "refused", limiting: "rate_limited"}[w]
}

// hears waits until the failure is counted.
func (s *site) hears(t *testing.T, w weather) {
	t.Helper()
	want := fmt.Sprintf(`certificate_failures_total{host="%s",reason="%s"}`, s.host, w.reason())
	s.until(t, func() error {
		if m := s.metric(t, "certificate_failures_total"); !strings.Contains(m, want) {
			return fmt.Errorf("metrics: %q, not %s", m, want)
		}
		return nil
	})
}

// reports holds that people are told what is wrong.
func (s *site) reports(t *testing.T, w weather) {
	t.Helper()
	want := map[weather]string{down: "the CA cannot be reached", refusing: "this name is not wanted today", limiting: "too many new orders recently"}[w]
	var answer struct {
		Status string
		Hosts  []struct{ Host, Problem, Next_attempt string } `json:"hosts_without_certificate"` //nolint:revive // as the JSON is spelt
	}
	if err := json.Unmarshal([]byte(s.ready(t)), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != "ready" || len(answer.Hosts) != 1 || answer.Hosts[0].Host != s.host || !strings.Contains(answer.Hosts[0].Problem, want) {
		t.Errorf("readyz: %+v, want %q", answer, want)
	}
	s.says(t, `no certificate obtained.*`+want)
	if _, err := stale(t, s); err == nil {
		t.Error("a certificate came from nowhere")
	}
}

// stale shakes hands once, and takes a certificate that has just expired too.
func stale(t *testing.T, s *site) (serial string, err error) {
	t.Helper()
	d := &stdtls.Dialer{Config: &stdtls.Config{ServerName: s.host, InsecureSkipVerify: true}}
	conn, err := d.DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.(*stdtls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

func TestACMEIsNotAskedAgainByRestarts(t *testing.T) {
	t.Parallel()
	addr, dir := freeAddr(t), t.TempDir()
	c := newPublicCA(t, caOptions{tlsPort: port(t, addr), life: month})
	c.front.set(limiting)
	run := func() *gateway {
		return serve(t, addr, settings{
			"tls":   c.settings(),
			"store": settings{"url": "bolt://" + filepath.Join(dir, "state.db")}, "server": settings{"adminSocket": filepath.Join(os.TempDir(), "gw-"+port(t, addr)+".sock")},
			"proxy": settings{"hosts": []settings{{"host": "mcp.example.test:" + port(t, addr), "endpoint": startUpstream(t) + "/mcp", "public": true}}},
		})
	}
	g := run()
	g.says(t, "no certificate obtained")
	c.front.set(refusing)
	// When the limit is over two refusals follow; the next is half an hour away.
	g.says(t, `(?s)(not wanted today.*){4}`) // each as the reason and as the cause
	for range 3 {
		g.stop(t, os.Kill)
		g = run()
	}
	if _, n := c.front.counted(); n != 3 {
		t.Errorf("restarts asked the CA: turned down %d times", n)
	}
}

// Two processes share a database, and with it the certificates, the account and
// what answers challenges.
func TestACMEIsAskedByOneReplica(t *testing.T) {
	t.Parallel()
	addrs := []string{freeAddr(t), freeAddr(t)}
	// The CA looks for proofs at the first replica only, whoever asked.
	c := newPublicCA(t, caOptions{tlsPort: port(t, addrs[0]), life: 30 * time.Second})
	d := startPostgres(t)
	database, upstream := d.url(d.schema(t)), startUpstream(t)+"/mcp"
	hosts := []string{"a.example.test", "b.example.test", "c.example.test"}
	var list []settings
	for _, host := range hosts {
		list = append(list, settings{"host": host, "endpoint": upstream, "public": true})
	}
	for _, addr := range addrs {
		socket := filepath.Join(os.TempDir(), "gw-"+port(t, addr)+".sock")
		serve(t, addr, settings{
			"server": settings{"adminSocket": socket}, "store": settings{"url": database},
			"tls": c.settings(), "proxy": settings{"hosts": list},
		})
	}
	first := c.serials(t, addrs, hosts, nil)
	orders, _ := c.front.counted()
	c.serials(t, addrs, hosts, first)
	later, _ := c.front.counted()
	for _, host := range hosts {
		if orders[host] != 1 || later[host] != 2 {
			t.Errorf("%s: %d orders at first, %d with the renewal", host, orders[host], later[host])
		}
	}
}

// serials waits until every replica shows the same certificate of each host,
// and another one than it was.
func (c *publicCA) serials(t *testing.T, addrs, hosts []string, was map[string]string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, host := range hosts {
		(&process{done: make(chan struct{})}).until(t, func() error {
			var shown []string
			for _, addr := range addrs {
				d := &stdtls.Dialer{Config: &stdtls.Config{ServerName: host, RootCAs: c.roots}}
				conn, err := d.DialContext(t.Context(), "tcp", addr)
				if err != nil {
					return err
				}
				shown = append(shown, conn.(*stdtls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String())
				_ = conn.Close()
			}
			if shown[0] != shown[1] || shown[0] == was[host] {
				return fmt.Errorf("%s: certificates %v, was %q", host, shown, was[host])
			}
			all[host] = shown[0]
			return nil
		})
	}
	return all
}
