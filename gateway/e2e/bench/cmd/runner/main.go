// runner measures gateways side by side: it starts an origin and every
// contender, then runs each test on each contender in turn, round after round
// (A B C A B C ...), and reports medians with their range and the ratio to a
// reference contender.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"
)

const host = "mcp.bench.test"

type env struct {
	dir, tools    string
	slash         string // at the end of a contender's name of itself
	upHTTP, upTLS string
	pin, logs     bool
	idpCert       tls.Certificate
	keys          keys
	idp           *fakeIDP
}

func (e *env) tool(n string) string { return filepath.Join(e.tools, n) }

type test struct {
	name string
	args []string
	h2   bool
	sse  int
}

type sample map[string]float64

type results struct {
	order []string
	tests []string
	data  map[string]map[string][]sample // test -> contender -> rounds
	info  map[string]sample
}

func (r *results) add(t, c string, s sample) {
	if r.data[t] == nil {
		r.data[t] = map[string][]sample{}
		r.tests = append(r.tests, t)
	}
	r.data[t][c] = append(r.data[t][c], s)
}

func main() {
	rounds := flag.Int("rounds", 3, "rounds")
	d := flag.Duration("d", 3*time.Second, "length of one closed- or open-loop measurement")
	rate := flag.Float64("rate", 1000, "open-loop rate, requests/s")
	which := flag.String("contenders", "^[^t]", "regular expression on contender names")
	tests := flag.String("tests", "h1c1,h1c16,h1c64,h2c1,h2c16,h2c4x16,open-h1,open-h2,dl-h1,dl-h2,hs-full,hs-resume", "tests")
	sseN := flag.Int("sse", 0, "concurrent SSE streams (0: skip)")
	sseH1 := flag.Bool("sse-h1", true, "SSE over HTTP/1.1")
	sseH2 := flag.Bool("sse-h2", true, "SSE over HTTP/2")
	sseRate := flag.Int("sse-rate", 500, "stream opens per second")
	sseRounds := flag.Int("sse-rounds", 1, "rounds of the SSE test")
	sseD := flag.Duration("sse-d", 6*time.Second, "steady state of the SSE test")
	first := flag.Int("first", 6000, "requests of a first- test, each with a token that was never sent before")
	ref := flag.String("ref", "go-bare", "reference contender")
	out := flag.String("out", "", "write raw results (JSON) here")
	tools := flag.String("tools", "bin", "folder holding upstream, load and goref")
	pin := flag.Bool("pin", false, "pin contenders to CPU 0 and load+origin to CPU 1")
	logs := flag.Bool("logs", false, "keep contenders' output in the work folder")
	flag.Parse()

	e := &env{pin: *pin, logs: *logs, tools: must(filepath.Abs(*tools))}
	e.dir = must(os.MkdirTemp("", "gwbench"))
	if !*logs {
		defer os.RemoveAll(e.dir)
	}
	e.makeKeys()
	e.upHTTP, e.upTLS = port(), port()
	e.idp = must(startIDP(e))
	up := must(e.spawn("upstream", nil, e.tool("upstream"), "-http", e.upHTTP, "-https", e.upTLS, "-cert", e.path("cert.pem"), "-key", e.path("key.pem")))
	defer up.stop()
	time.Sleep(200 * time.Millisecond)

	re := regexp.MustCompile(*which)
	res := &results{data: map[string]map[string][]sample{}, info: map[string]sample{}}
	var sel []contender
	for _, c := range contenders() {
		if re.MatchString(c.name) {
			sel = append(sel, c)
		}
	}
	run := map[string]*inst{}
	stopAll := func() {
		for _, i := range run {
			i.stop()
		}
	}
	defer stopAll()

	// Start-up and idle memory: three starts each, alone, so that no other
	// instance of the same binary shares its pages.
	var ok []contender
	for _, c := range sel {
		var info sample
		var ms []float64
		var err error
		for range 3 {
			var i *inst
			if i, info, err = e.launch(c); err != nil {
				break
			}
			i.stop()
			ms = append(ms, info["startup_ms"])
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%-20s skipped: %v\n", c.name, err)
			continue
		}
		sort.Float64s(ms)
		info["startup_ms"] = ms[1]
		res.info[c.name] = info
		res.order = append(res.order, c.name)
		ok = append(ok, c)
		fmt.Fprintf(os.Stderr, "%-20s up in %.0f ms, idle %.1f MB\n", c.name, info["startup_ms"], info["idle_mb"])
	}
	if *tests != "" {
		for _, c := range ok {
			i, _, err := e.launch(c)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", c.name, err)
				return
			}
			run[c.name] = i
		}
	}

	ds := d.String()
	all := map[string]test{
		"h1c1":      {"h1c1", []string{"-mode", "closed", "-c", "1", "-d", ds}, false, 0},
		"h1c16":     {"h1c16", []string{"-mode", "closed", "-c", "16", "-d", ds}, false, 0},
		"h1c64":     {"h1c64", []string{"-mode", "closed", "-c", "64", "-d", ds}, false, 0},
		"h2c1":      {"h2c1", []string{"-mode", "closed", "-proto", "h2", "-c", "1", "-d", ds}, true, 0},
		"h2c16":     {"h2c16", []string{"-mode", "closed", "-proto", "h2", "-c", "16", "-d", ds}, true, 0},
		"h2c4x16":   {"h2c4x16", []string{"-mode", "closed", "-proto", "h2", "-c", "4", "-m", "16", "-d", ds}, true, 0},
		"open-h1":   {"open-h1", []string{"-mode", "open", "-c", "32", "-rate", fmt.Sprint(*rate), "-d", ds}, false, 0},
		"open-h2":   {"open-h2", []string{"-mode", "open", "-proto", "h2", "-c", "32", "-rate", fmt.Sprint(*rate), "-d", ds}, true, 0},
		"dl-h1":     {"dl-h1", []string{"-mode", "download", "-path", "/mcp/large?mb=100", "-n", "4"}, false, 0},
		"dl-h2":     {"dl-h2", []string{"-mode", "download", "-proto", "h2", "-path", "/mcp/large?mb=100", "-n", "4"}, true, 0},
		"hs-full":   {"hs-full", []string{"-mode", "handshake", "-c", "8", "-d", ds}, false, 0},
		"hs-resume": {"hs-resume", []string{"-mode", "handshake", "-c", "8", "-resume", "-d", ds}, false, 0},
		"bad-h1c16": {"bad-h1c16", []string{"-mode", "closed", "-c", "16", "-status", "401", "-minbody", "0", "-d", ds}, false, 0},
		"hs-mlkem":  {"hs-mlkem", []string{"-mode", "handshake", "-c", "8", "-curve", "mlkem", "-d", ds}, false, 0},

		"first-h1c16": {"first-h1c16", []string{"-mode", "once", "-c", "16"}, false, 0},
		"first-h2c16": {"first-h2c16", []string{"-mode", "once", "-proto", "h2", "-c", "16"}, true, 0},
	}
	if *tests != "" {
		for r := 0; r < *rounds; r++ {
			for _, tn := range strings.Split(*tests, ",") {
				t, found := all[tn]
				if !found {
					fmt.Fprintln(os.Stderr, "unknown test", tn)
					return
				}
				for _, c := range ok {
					i := run[c.name]
					if t.h2 && !i.h2 || !i.tls && strings.HasPrefix(tn, "hs-") {
						continue
					}
					args := t.args
					if strings.HasPrefix(tn, "bad-") { // a good token but for the end of its signature: nothing else gives it away
						if i.noAuth {
							continue
						}
						args = append([]string{"-token", i.token[:len(i.token)-8] + "AAAAAAAA"}, args...)
					}
					if strings.HasPrefix(tn, "first-") {
						if i.fresh == nil {
							continue
						}
						file, err := e.freshTokens(i, *first)
						if err != nil {
							fmt.Fprintf(os.Stderr, "%s %s: %v\n", tn, c.name, err)
							continue
						}
						args = append([]string{"-tokens", file}, args...)
					}
					s, err := e.load(i, args)
					if err != nil {
						fmt.Fprintf(os.Stderr, "%s %s: %v\n", tn, c.name, err)
						continue
					}
					res.add(tn, c.name, s)
					fmt.Fprintf(os.Stderr, "r%d %-10s %-20s rps %8.0f p50 %8.0f p99 %8.0f cpu/10k %6.3f foreign %.2f err %.0f\n", r, tn, c.name, s["rps"], s["p50"], s["p99"], s["cpu10k"], s["foreign"], s["errors"])
				}
			}
		}
		for _, c := range ok {
			if p := run[c.name].pids(); len(p) > 0 {
				res.info[c.name]["after_mb"] = memKB(p) / 1024
			}
		}
	}
	stopAll()
	run = map[string]*inst{}

	if *sseN > 0 {
		for r := 0; r < *sseRounds; r++ {
			for _, proto := range []string{"h1", "h2"} {
				if proto == "h1" && !*sseH1 || proto == "h2" && !*sseH2 {
					continue
				}
				for _, c := range ok {
					s, err := e.sseTest(c, proto, *sseN, *sseRate, *sseD)
					if err != nil {
						fmt.Fprintf(os.Stderr, "sse %s %s: %v\n", proto, c.name, err)
						continue
					}
					if s == nil {
						continue
					}
					res.add(fmt.Sprintf("sse%d-%s", *sseN, proto), c.name, s)
					fmt.Fprintf(os.Stderr, "sse %s %-20s opened %.0f in %.1fs, %.1f KB/stream, first p50 %.0f p99 %.0f us, delay p50 %.0f p99 %.0f us, cpu/10k ev %.3f, left after 1s %.0f, err %.0f\n", proto, c.name,
						s["opened"], s["open_seconds"], s["kb_per_stream"], s["first_event_p50_us"], s["first_event_p99_us"], s["p50"], s["p99"], s["cpu10k"], s["left_1s"], s["errors"])
				}
			}
		}
	}
	report(os.Stdout, res, *ref)
	if *out != "" {
		b, _ := json.MarshalIndent(map[string]any{"info": res.info, "order": res.order, "data": res.data}, "", " ")
		os.WriteFile(*out, b, 0o644)
	}
}

// quiet lies between the last request and the reading of idle memory.
const quiet = 5 * time.Second

// launch starts a contender, waits for the first answer (200, or 401 where a
// token is needed) and gets a token. Start-up counts from the start of its first
// process: what is prepared before, such as the hash of a password, is no part.
func (e *env) launch(c contender) (*inst, sample, error) {
	t0 := time.Now()
	i, err := c.start(e)
	if err != nil {
		return nil, nil, err
	}
	info := sample{}
	want := 401
	if i.noAuth {
		want = 200
	}
	var last string
	for {
		st, _, err := probe(i, "")
		if st == want {
			break
		}
		last = fmt.Sprint(st, " ", err)
		if time.Since(t0) > 15*time.Second {
			i.stop()
			return nil, nil, fmt.Errorf("no %d within 15 s, last: %s", want, last)
		}
		time.Sleep(time.Millisecond)
	}
	info["startup_ms"] = float64(time.Since(i.born(t0)).Microseconds()) / 1000
	if i.login != nil {
		if i.token, err = i.login(); err != nil {
			i.stop()
			return nil, nil, fmt.Errorf("login: %w", err)
		}
	}
	st, session, err := probe(i, i.token)
	if st != 200 {
		i.stop()
		return nil, nil, fmt.Errorf("with token: %d %v", st, err)
	}
	i.session = session // a gateway may bind it to the caller
	if !i.noAuth {
		bad := i.token[:len(i.token)-8] + "AAAAAAAA"
		if st, _, _ := probe(i, bad); st != 401 {
			i.stop()
			return nil, nil, fmt.Errorf("bad token accepted: %d", st)
		}
	}
	time.Sleep(quiet)
	info["idle_mb"] = memKB(i.pids()) / 1024
	for _, b := range i.bins {
		if p, err := filepath.EvalSymlinks(b); err == nil {
			if fi, err := os.Stat(p); err == nil {
				info["bin_mb"] += float64(fi.Size()) / (1 << 20)
			}
		}
	}
	return i, info, nil
}

func probe(i *inst, token string) (status int, session string, err error) {
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: host}}
	hc := &http.Client{Transport: tr, Timeout: 3 * time.Second}
	u := "http://"
	if i.tls {
		u = "https://"
	}
	req, _ := http.NewRequest("POST", u+i.addr+"/mcp", bytes.NewReader([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`)))
	req.Host = host
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := hc.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header.Get("Mcp-Session-Id"), nil
}

// freshTokens writes tokens for one run to a file. When it returns, nothing is
// signed any more, and what a contender does after signing is over.
func (e *env) freshTokens(i *inst, n int) (string, error) {
	tokens, err := i.fresh(n)
	if err != nil {
		return "", err
	}
	time.Sleep(time.Second)
	return e.file("tokens", strings.Join(tokens, "\n")), nil
}

// load runs the load generator and reads the contender's CPU time exactly
// around the counted part.
func (e *env) load(i *inst, args []string, at ...func(string)) (sample, error) {
	argv := append([]string{e.tool("load"), "-marks", "-addr", i.addr, "-tls=" + fmt.Sprint(i.tls), "-token", i.token, "-session", i.session}, args...)
	if e.pin {
		argv = append([]string{"taskset", "-c", "1"}, argv...)
	}
	c := exec.Command(argv[0], argv[1:]...)
	in, _ := c.StdinPipe()
	outp, _ := c.StdoutPipe()
	var errb bytes.Buffer
	c.Stderr = &errb
	if err := c.Start(); err != nil {
		return nil, err
	}
	kill := time.AfterFunc(150*time.Second, func() { c.Process.Kill() })
	defer kill.Stop()
	pids := i.pids()
	var cpu0, cpu1, nice0, nice1, steal0, steal1 float64
	sc := bufio.NewScanner(outp)
	var lastLine []byte
	for sc.Scan() {
		switch string(sc.Bytes()) {
		case "START":
			for _, f := range at {
				f("START")
			}
			nice0, steal0 = machine()
			cpu0 = cpuSeconds(pids)
			io.WriteString(in, "\n")
		case "END":
			cpu1 = cpuSeconds(pids)
			nice1, steal1 = machine()
			for _, f := range at {
				f("END")
			}
			io.WriteString(in, "\n")
		default:
			lastLine = append(lastLine[:0], sc.Bytes()...)
		}
	}
	if err := c.Wait(); err != nil {
		return nil, fmt.Errorf("%v %.300s", err, errb.String())
	}
	var r struct {
		Requests, Errors, Seconds, RPS float64
		Lat                            map[string]float64 `json:"latency_us"`
		Extra                          map[string]float64
		FirstError                     string `json:"first_error"`
	}
	if err := json.Unmarshal(lastLine, &r); err != nil {
		return nil, err
	}
	if r.Requests == 0 {
		return nil, fmt.Errorf("no request succeeded: %s", r.FirstError)
	}
	if r.Errors > 0 {
		fmt.Fprintf(os.Stderr, "  %g errors, first: %s\n", r.Errors, r.FirstError)
	}
	s := sample{"rps": r.RPS, "errors": r.Errors, "requests": r.Requests}
	for k, v := range r.Lat {
		s[k] = v
	}
	for k, v := range r.Extra {
		s[k] = v
	}
	s["foreign"] = (nice1 - nice0 + steal1 - steal0) / r.Seconds
	if len(pids) > 0 {
		s["cpu"] = cpu1 - cpu0
		s["cpu10k"] = (cpu1 - cpu0) / r.Requests * 1e4
		if b := r.Extra["bytes"]; b > 0 {
			s["cpu_per_gb"] = (cpu1 - cpu0) / b * 1e9
		}
		s["cores"] = (cpu1 - cpu0) / r.Seconds
	}
	return s, nil
}

func (e *env) sseTest(c contender, proto string, n, rate int, d time.Duration) (sample, error) {
	i, _, err := e.launch(c)
	if err != nil {
		return nil, err
	}
	defer i.stop()
	if proto == "h2" && !i.h2 {
		return nil, nil
	}
	// A few requests first, so that lazily built state is not billed to the streams.
	if _, err := e.load(i, []string{"-mode", "closed", "-c", "4", "-d", "300ms", "-proto", proto}); err != nil {
		return nil, err
	}
	time.Sleep(200 * time.Millisecond)
	before := memKB(i.pids())
	base := e.stats()["streams"]
	var atEnd float64
	args := []string{"-mode", "sse", "-proto", proto, "-n", fmt.Sprint(n), "-m", "50", "-openrate", fmt.Sprint(rate), "-path", "/mcp?first=0s&interval=2s", "-d", d.String()}
	s, err := e.load(i, args, func(m string) {
		if m == "END" {
			atEnd = memKB(i.pids())
		}
	})
	if err != nil {
		return nil, err
	}
	s["cpu10k"] = s["cpu"] / s["events"] * 1e4
	s["mem_before_mb"], s["mem_open_mb"] = before/1024, atEnd/1024
	s["kb_per_stream"] = (atEnd - before) / s["opened"]
	if len(i.procs) == 0 {
		delete(s, "kb_per_stream")
	}
	time.Sleep(time.Second)
	s["left_1s"] = e.stats()["streams"] - base
	for _, way := range []string{"close", "reset"} {
		if way == "reset" && proto == "h1" {
			continue
		}
		l, err := e.load(i, []string{"-mode", "leave", "-proto", proto, "-reset=" + fmt.Sprint(way == "reset"), "-n", "100", "-m", "50", "-origin", e.upHTTP, "-path", "/mcp?first=0s&interval=1h"})
		if err != nil {
			fmt.Fprintf(os.Stderr, "sse %s %s: %v\n", proto, c.name, err)
			continue
		}
		s[way+"_p50_ms"], s[way+"_max_ms"] = l["p50"]/1000, l["max"]/1000
		fmt.Fprintf(os.Stderr, "sse %s %-20s freed after %s p50 %.2f max %.2f ms, never %.0f\n", proto, c.name, way, s[way+"_p50_ms"], s[way+"_max_ms"], l["errors"])
	}
	return s, nil
}

func (e *env) stats() map[string]float64 {
	m := map[string]float64{}
	c, err := net.Dial("tcp", e.upHTTP)
	if err != nil {
		return m
	}
	defer c.Close()
	io.WriteString(c, "GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
		json.NewDecoder(res.Body).Decode(&m)
	}
	return m
}

func med(ss []sample, k string) (m, lo, hi float64, ok bool) {
	var v []float64
	for _, s := range ss {
		if x, has := s[k]; has {
			v = append(v, x)
		}
	}
	if len(v) == 0 {
		return
	}
	sort.Float64s(v)
	n := len(v)
	m = v[n/2]
	if n%2 == 0 {
		m = (v[n/2-1] + v[n/2]) / 2
	}
	return m, v[0], v[n-1], true
}

func report(w io.Writer, r *results, ref string) {
	fmt.Fprintf(w, "\n## process\n\n| contender | startup ms | idle MB | after MB | binaries MB |\n|---|---|---|---|---|\n")
	for _, c := range r.order {
		i := r.info[c]
		fmt.Fprintf(w, "| %s | %.0f | %.1f | %.1f | %.1f |\n", c, i["startup_ms"], i["idle_mb"], i["after_mb"], i["bin_mb"])
	}
	for _, t := range r.tests {
		cols := []string{"rps", "p50", "p99", "p999", "cpu10k"}
		switch {
		case strings.HasPrefix(t, "dl"):
			cols = []string{"mb_per_s", "cpu_per_gb"}
		case strings.HasPrefix(t, "sse"):
			cols = []string{"kb_per_stream", "first_event_p50_us", "first_event_p99_us", "p50", "p99", "cpu10k", "opened", "open_seconds", "left_1s", "close_p50_ms", "close_max_ms", "reset_p50_ms", "reset_max_ms", "errors"}
		case strings.HasPrefix(t, "open"):
			cols = []string{"p50", "p90", "p99", "p999", "cpu10k", "errors"}
		}
		fmt.Fprintf(w, "\n## %s (median [min-max] xratio to %s; latency in us)\n\n| contender |", t, ref)
		for _, k := range cols {
			fmt.Fprintf(w, " %s |", k)
		}
		fmt.Fprint(w, "\n|---|"+strings.Repeat("---|", len(cols))+"\n")
		for _, c := range r.order {
			ss := r.data[t][c]
			if ss == nil {
				continue
			}
			fmt.Fprintf(w, "| %s |", c)
			for _, k := range cols {
				m, lo, hi, ok := med(ss, k)
				if !ok {
					fmt.Fprint(w, " - |")
					continue
				}
				f := "%.0f"
				if hi < 100 {
					f = "%.2f"
				}
				s := fmt.Sprintf(f+" ["+f+"-"+f+"]", m, lo, hi)
				if rm, _, _, ok := med(r.data[t][ref], k); ok && rm > 0 {
					s += fmt.Sprintf(" x%.2f", m/rm)
				}
				fmt.Fprintf(w, " %s |", s)
			}
			fmt.Fprintln(w)
		}
	}
}
