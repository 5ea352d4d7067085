// load is the load generator of the gateway benchmarks. It speaks raw
// HTTP/1.1 and HTTP/2 over TCP or TLS on fixed connections, so that it costs
// as little CPU as possible on a machine it shares with the proxy under test.
//
//	-mode closed     closed loop, -c connections (x -m streams each for h2), for -d
//	-mode open       open loop at -rate requests/s over -c connections; latencies are
//	                 taken from the intended send time (no coordinated omission)
//	-mode handshake  closed loop, a new connection per request (-resume: session tickets)
//	-mode once       each token of -tokens in one request, over -c connections
//	-mode download   -n downloads of -path, prints bytes/s
//	-mode sse        -n concurrent GET streams (h2: -m per connection), then -d of steady state;
//	                 prints one JSON line when all are open and one at the end
//	-mode leave      leaves -n silent GET streams one after the other; latencies are from then
//	                 until the -origin has lost each
//
// The last line of output is a JSON object.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var (
	mode    = flag.String("mode", "closed", "closed|open|once|handshake|download|sse|leave")
	proto   = flag.String("proto", "h1", "h1|h2")
	useTLS  = flag.Bool("tls", true, "use TLS (certificate is not verified)")
	addr    = flag.String("addr", "", "ip:port to connect to")
	host    = flag.String("host", "mcp.bench.test", "Host / :authority / SNI")
	path    = flag.String("path", "/mcp", "request path")
	token   = flag.String("token", "", "bearer token")
	session = flag.String("session", "2f1c7b1e-7a2c-4d0e-9d8a-1f6f0c9b5a11", "Mcp-Session-Id")
	tokFile = flag.String("tokenfile", "", "file holding the bearer token")
	tokens  = flag.String("tokens", "", "file holding a bearer token a line (once)")
	origin  = flag.String("origin", "", "ip:port of the origin (leave)")
	reset   = flag.Bool("reset", false, "leave a stream by RST_STREAM, -m per connection, not by closing its connection (leave, h2)")
	nConns  = flag.Int("c", 16, "connections")
	nStr    = flag.Int("m", 1, "concurrent streams per connection (h2)")
	dur     = flag.Duration("d", 3*time.Second, "duration")
	warm    = flag.Duration("warm", 300*time.Millisecond, "warm-up, not counted (closed, open, once)")
	rate    = flag.Float64("rate", 1000, "requests/s (open)")
	num     = flag.Int("n", 1, "streams (sse, leave) or downloads (download)")
	resume  = flag.Bool("resume", false, "resume TLS sessions (handshake)")
	curve   = flag.String("curve", "x25519", "x25519|mlkem|default key exchange offered")
	openRt  = flag.Int("openrate", 1000, "stream opens/s (sse)")
	method  = flag.String("method", "", "GET or POST; default by mode")
	minBody = flag.Int("minbody", 800, "smallest body that counts as success")
	wantSt  = flag.Int("status", 200, "expected status")
	accept  = flag.String("accept", "application/json, text/event-stream", "Accept header")
	marks   = flag.Bool("marks", false, "print START and END lines around the counted part and wait for a line on stdin before each")
)

const postBody = `{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"name":"search","arguments":{"query":"weather in lisbon tomorrow","limit":10,"locale":"en"},"_meta":{"progressToken":"tok"}}}`

func tlsConfig(sessions tls.ClientSessionCache) *tls.Config {
	c := &tls.Config{ServerName: *host, InsecureSkipVerify: true, ClientSessionCache: sessions}
	switch *curve {
	case "x25519":
		c.CurvePreferences = []tls.CurveID{tls.X25519}
	case "mlkem":
		c.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.X25519}
	}
	if *proto == "h2" {
		c.NextProtos = []string{"h2"}
	} else {
		c.NextProtos = []string{"http/1.1"}
	}
	return c
}

var baseTLS *tls.Config

func dial(tc *tls.Config) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", *addr)
	if err != nil {
		return nil, err
	}
	if !*useTLS {
		return c, nil
	}
	t := tls.Client(c, tc)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	if *proto == "h2" && t.ConnectionState().NegotiatedProtocol != "h2" {
		t.Close()
		return nil, fmt.Errorf("server did not negotiate h2")
	}
	return t, nil
}

// client is one connection that carries one request at a time.
type client interface {
	roundTrip(token string) error // "": that of -token
	Close() error
}

func newClient(tc *tls.Config) (client, error) {
	c, err := dial(tc)
	if err != nil {
		return nil, err
	}
	if *proto == "h2" {
		return newH2(c)
	}
	return newH1(c), nil
}

type result struct {
	Mode     string             `json:"mode"`
	Proto    string             `json:"proto"`
	Requests int64              `json:"requests"`
	Errors   int64              `json:"errors"`
	FirstErr string             `json:"first_error,omitempty"`
	Seconds  float64            `json:"seconds"`
	RPS      float64            `json:"rps"`
	Lat      map[string]float64 `json:"latency_us,omitempty"`
	Extra    map[string]float64 `json:"extra,omitempty"`
}

func pct(v []int64) map[string]float64 {
	if len(v) == 0 {
		return nil
	}
	sort.Slice(v, func(i, j int) bool { return v[i] < v[j] })
	q := func(p float64) float64 {
		i := int(p * float64(len(v)))
		if i >= len(v) {
			i = len(v) - 1
		}
		return float64(v[i]/100) / 10
	}
	return map[string]float64{"p50": q(.5), "p90": q(.9), "p99": q(.99), "p999": q(.999), "max": q(1)}
}

var (
	errCount atomic.Int64
	errOnce  sync.Once
	firstErr string
)

func fail(err error) {
	errCount.Add(1)
	errOnce.Do(func() { firstErr = err.Error() })
}

func emit(v any) {
	b, _ := json.Marshal(v)
	os.Stdout.Write(append(b, '\n'))
}

// mark lets the runner read /proc counters exactly around the counted part.
func mark(s string) {
	if !*marks {
		return
	}
	fmt.Println(s)
	var b [1]byte
	os.Stdin.Read(b[:])
}

func main() {
	flag.Parse()
	if *tokFile != "" {
		b, err := os.ReadFile(*tokFile)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		*token = string(b)
	}
	if *method == "" {
		*method = "POST"
		if *mode == "sse" || *mode == "leave" || *mode == "download" {
			*method = "GET"
		}
	}
	prepare()
	baseTLS = tlsConfig(nil)
	var r result
	switch *mode {
	case "closed":
		r = closed()
	case "open":
		r = open()
	case "once":
		r = once()
	case "handshake":
		r = handshake()
	case "download":
		r = download()
	case "sse":
		r = sse()
	case "leave":
		r = leave()
	default:
		fmt.Fprintln(os.Stderr, "unknown mode")
		os.Exit(2)
	}
	r.Mode, r.Proto = *mode, *proto
	r.Errors, r.FirstErr = errCount.Load(), firstErr
	emit(r)
}

func connectAll(n int) []client {
	cs := make([]client, n)
	var wg sync.WaitGroup
	sem := make(chan struct{}, 32)
	for i := range cs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			sem <- struct{}{}
			defer func() { <-sem }()
			c, err := newClient(baseTLS)
			if err != nil {
				fail(err)
				return
			}
			cs[i] = c
		}()
	}
	wg.Wait()
	return cs
}

// step does one request on *c, reconnecting when the connection has gone.
func step(c *client, token string) bool {
	if *c == nil {
		n, err := newClient(baseTLS)
		if err != nil {
			fail(err)
			time.Sleep(5 * time.Millisecond)
			return false
		}
		*c = n
	}
	if err := (*c).roundTrip(token); err != nil {
		if err == errClosed { // polite close after a complete response
			(*c).Close()
			*c = nil
			return true
		}
		fail(err)
		(*c).Close()
		*c = nil
		return false
	}
	return true
}

func closed() result {
	cs := connectAll(*nConns)
	lats := make([][]int64, len(cs))
	var phase atomic.Int32 // 0 warm, 1 counted, 2 stop
	var wg sync.WaitGroup
	for i := range cs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := cs[i]
			buf := make([]int64, 0, 1<<16)
			if h, ok := c.(*h2conn); ok && *nStr > 1 {
				h.pump(*nStr, &phase, &buf)
			} else {
				for {
					p := phase.Load()
					if p == 2 {
						break
					}
					t := time.Now()
					if step(&c, "") && p == 1 {
						buf = append(buf, int64(time.Since(t)))
					}
				}
			}
			if c != nil {
				c.Close()
			}
			lats[i] = buf
		}()
	}
	time.Sleep(*warm)
	errCount.Store(0)
	mark("START")
	phase.Store(1)
	t0 := time.Now()
	time.Sleep(*dur)
	phase.Store(2)
	el := time.Since(t0).Seconds()
	mark("END")
	wg.Wait()
	return collect(lats, el)
}

func collect(lats [][]int64, el float64) result {
	var all []int64
	for _, l := range lats {
		all = append(all, l...)
	}
	return result{Requests: int64(len(all)), Seconds: el, RPS: float64(len(all)) / el, Lat: pct(all)}
}

func open() result {
	cs := connectAll(*nConns)
	type job struct {
		due   time.Time
		count bool
	}
	jobs := make(chan job, 1<<16)
	lats := make([][]int64, len(cs))
	var wg sync.WaitGroup
	for i := range cs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := cs[i]
			buf := make([]int64, 0, 1<<14)
			for j := range jobs {
				if step(&c, "") && j.count {
					buf = append(buf, int64(time.Since(j.due)))
				}
			}
			if c != nil {
				c.Close()
			}
			lats[i] = buf
		}()
	}
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	gap := time.Duration(float64(time.Second) / *rate)
	run := func(d time.Duration, count bool) (late []int64) {
		start := time.Now()
		for k := 0; ; k++ {
			due := start.Add(time.Duration(k) * gap)
			if due.Sub(start) >= d {
				return
			}
			if w := time.Until(due); w > 0 {
				ts := syscall.NsecToTimespec(int64(w))
				syscall.Nanosleep(&ts, nil)
			}
			late = append(late, int64(time.Since(due)))
			jobs <- job{due, count}
		}
	}
	run(*warm, false)
	errCount.Store(0)
	mark("START")
	t0 := time.Now()
	late := run(*dur, true)
	el := time.Since(t0).Seconds()
	mark("END")
	runtime.UnlockOSThread()
	close(jobs)
	wg.Wait()
	r := collect(lats, el)
	p := pct(late)
	r.Extra = map[string]float64{"pacer_late_p50_us": p["p50"], "pacer_late_p99_us": p["p99"]}
	return r
}

func handshake() result {
	lats := make([][]int64, *nConns)
	var phase atomic.Int32
	var resumed atomic.Int64
	var wg sync.WaitGroup
	for i := range lats {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var cache tls.ClientSessionCache
			if *resume {
				cache = tls.NewLRUClientSessionCache(4)
			}
			tc := tlsConfig(cache)
			for {
				p := phase.Load()
				if p == 2 {
					return
				}
				t := time.Now()
				c, err := newClient(tc)
				if err != nil {
					fail(err)
					time.Sleep(time.Millisecond)
					continue
				}
				err = c.roundTrip("")
				if err != nil && err != errClosed {
					fail(err)
				} else if p == 1 {
					lats[i] = append(lats[i], int64(time.Since(t)))
					if didResume(c) {
						resumed.Add(1)
					}
				}
				c.Close()
			}
		}()
	}
	time.Sleep(*warm)
	errCount.Store(0)
	mark("START")
	phase.Store(1)
	t0 := time.Now()
	time.Sleep(*dur)
	phase.Store(2)
	el := time.Since(t0).Seconds()
	mark("END")
	wg.Wait()
	r := collect(lats, el)
	r.Extra = map[string]float64{"resumed": float64(resumed.Load())}
	return r
}

func didResume(c client) bool {
	var nc net.Conn
	switch v := c.(type) {
	case *h1conn:
		nc = v.c
	case *h2conn:
		nc = v.c
	}
	t, ok := nc.(*tls.Conn)
	return ok && t.ConnectionState().DidResume
}

func download() result {
	c, err := newClient(baseTLS)
	if err != nil {
		fail(err)
		return result{}
	}
	defer c.Close()
	*minBody = 1 << 20
	mark("START")
	t0 := time.Now()
	var n, ok int64
	for i := 0; i < *num; i++ {
		if err := c.roundTrip(""); err != nil && err != errClosed {
			fail(err)
			break
		}
		ok++
		switch v := c.(type) {
		case *h1conn:
			n += v.lastBody
		case *h2conn:
			n += v.lastBody
		}
	}
	el := time.Since(t0).Seconds()
	mark("END")
	return result{Requests: ok, Seconds: el, RPS: float64(ok) / el,
		Extra: map[string]float64{"bytes": float64(n), "mb_per_s": float64(n) / 1e6 / el}}
}
