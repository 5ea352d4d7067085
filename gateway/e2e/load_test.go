//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// loadFor is how long the load goes on: LOAD=30m says it.
func loadFor(t *testing.T) time.Duration {
	t.Helper()
	switch text := os.Getenv("LOAD"); {
	case text != "":
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	case long():
		return 30 * time.Minute
	}
	return 40 * time.Second
}

// A load is people who use one gateway at once while the networks to its MCP
// server, its identity provider and its store fall ill.
type load struct {
	*cluster
	*replica
	audit    string
	networks []*toxic
	arrived  sync.Map // subject → *atomic.Int64: calls that the MCP server has seen
	answered sync.Map // subject → *atomic.Int64: calls that a client saw answered

	calls, refreshes, sessions, streams, revoked, failed atomic.Int64
}

func count(m *sync.Map, key string) *atomic.Int64 {
	n, _ := m.LoadOrStore(key, new(atomic.Int64))
	return n.(*atomic.Int64)
}

func newLoad(t *testing.T) *load {
	t.Helper()
	d := startPostgres(t)
	l := &load{}
	behind, err := url.Parse(strings.TrimSuffix(startClusterUpstream(t).url, "/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	counted := serveHTTP(t, l.counting(behind))
	toUpstream := newToxic(t, strings.TrimPrefix(counted, "http://"))
	provider := idptest.New(t)
	toProvider := newToxic(t, strings.TrimPrefix(provider.Issuer, "http://"))
	provider.Issuer = "http://" + toProvider.addr
	toStore := newToxic(t, d.addr)
	l.networks = []*toxic{toUpstream, toProvider, toStore}
	l.cluster = &cluster{host: freeAddr(t), upstream: &upstream{url: "http://" + toUpstream.addr + "/mcp"}, provider: provider}
	l.replica = l.newReplica(t, 0, strings.Replace(d.url(d.schema(t)), d.addr, toStore.addr, 1), []func(settings){func(s settings) {
		l.audit = s["audit"].(settings)["path"].(string)
		s["logging"] = settings{"level": "error"}
	}})
	l.pins = []string{l.addr}
	l.up(t)
	return l
}

// counting notes whose calls arrive.
func (l *load) counting(behind *url.URL) http.Handler {
	forward := httputil.NewSingleHostReverseProxy(behind)
	forward.ErrorLog = log.New(io.Discard, "", 0) // it is the network's turn to fail
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user := r.Header.Get("X-Forwarded-User"); user != "" && r.Method == http.MethodPost {
			count(&l.arrived, user).Add(1)
		}
		forward.ServeHTTP(w, r)
	})
}

// live is one person's use of the gateway: everything, in any order, until ctx
// ends. Only what must never happen is an error.
func (l *load) live(ctx context.Context, p *person) error {
	var got tokens
	for ctx.Err() == nil {
		if err := l.act(ctx, p, &got); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func (l *load) act(ctx context.Context, p *person, got *tokens) error {
	bounded, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var err error
	switch n := rand.IntN(20); {
	case got.Access == "" || n == 0:
		*got = tokens{}
		if err = l.session(bounded, p, got); err == nil {
			l.sessions.Add(1)
		}
	case n == 1:
		err = l.renew(bounded, p, got)
	case n == 2:
		if err = p.revoke(bounded, got.Refresh); err == nil {
			l.revoked.Add(1)
		}
		*got = tokens{} // whether it was done is not known where nobody answers
	case n == 3:
		l.listen(bounded, p, got.Access)
	default:
		return l.calling(bounded, p, got)
	}
	if err != nil {
		l.failed.Add(1)
		if !errors.Is(err, errRestart) && bounded.Err() == nil {
			// What the networks did; a client begins again.
			*got = tokens{}
		}
	}
	return nil
}

// session is a person's without the call at its end.
func (l *load) session(ctx context.Context, p *person, got *tokens) error {
	if p.clientID == "" {
		if err := p.register(ctx); err != nil {
			return err
		}
	}
	c, _, err := p.authorize(ctx)
	if err != nil {
		return err
	}
	next, a, err := p.redeem(ctx, c)
	if err == nil && a.status == http.StatusOK {
		*got = next
	}
	return err
}

func (l *load) renew(ctx context.Context, p *person, got *tokens) error {
	next, a, err := p.refresh(ctx, got.Refresh)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		*got = tokens{}
		return fmt.Errorf("refresh: %d", a.status)
	}
	l.refreshes.Add(1)
	*got = next
	return nil
}

// calling calls once, whatever comes of it, so that the count is exact. A good
// token is never called a bad one, and we never fail by ourselves.
func (l *load) calling(ctx context.Context, p *person, got *tokens) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.origin()+"/mcp", strings.NewReader(readNote))
	if err != nil {
		return err
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + got.Access}}
	a, err := p.once(ctx, req)
	if err != nil { // the connection broke off with the MCP server's
		a = &answer{status: http.StatusBadGateway}
	}
	switch a.status {
	case http.StatusOK:
		l.calls.Add(1)
		count(&l.answered, "oidc:"+p.name).Add(1)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		l.failed.Add(1)
	default:
		return fmt.Errorf("a call with a good token is answered %d %s", a.status, a.body)
	}
	return nil
}

// listen opens a stream and leaves it.
func (l *load) listen(ctx context.Context, p *person, access string) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(50+rand.IntN(400))*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.origin()+"/mcp", nil)
	if err != nil {
		return
	}
	req.Header = http.Header{"Accept": {"text/event-stream"}, "Authorization": {"Bearer " + access}}
	if _, err := p.once(ctx, req); err != nil {
		l.streams.Add(1) // it ends because the person leaves
	}
}

// gauges are what a process has in use.
type gauges struct{ goroutines, files, heap float64 }

var gauge = regexp.MustCompile(`(?m)^(go_goroutines|process_open_fds|go_memstats_heap_alloc_bytes) (\S+)$`)

func (l *load) gauges(t *testing.T) gauges {
	t.Helper()
	var g gauges
	for _, m := range gauge.FindAllStringSubmatch(body(t, "http://"+l.admin+"/metrics"), -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		switch m[1] {
		case "go_goroutines":
			g.goroutines = v
		case "process_open_fds":
			g.files = v
		default:
			g.heap = v
		}
	}
	if g.goroutines == 0 || g.files == 0 || g.heap == 0 {
		t.Fatal("/metrics does not say what is in use")
	}
	return g
}

// rest ends what only idles, and waits until no more is in use than allowed.
func (l *load) rest(t *testing.T, most gauges) gauges {
	t.Helper()
	for _, x := range l.networks {
		x.fall(reset)
		x.fall(healthy)
	}
	var g gauges
	l.until(t, func() error {
		g = l.gauges(t)
		if g.goroutines > most.goroutines || g.files > most.files || g.heap > most.heap {
			return fmt.Errorf("in use are %+v, allowed %+v", g, most)
		}
		return nil
	})
	return g
}

// TestLoadWithFaultsLeavesNothingBehind: after people did everything at once
// while every network was ill, memory, goroutines and files are what they were,
// everybody can go on, and the audit log tells of every call.
func TestLoadWithFaultsLeavesNothingBehind(t *testing.T) {
	l := newLoad(t)
	var tr trouble
	people := make([]*person, 12)
	for i := range people {
		people[i] = l.person(t, fmt.Sprint("person", i), &tr)
	}
	l.everybody(t, people, 5*time.Second) // pools and caches fill
	unlimited := gauges{1e9, 1e9, 1e12}
	before := l.rest(t, unlimited)
	ctx, heal := context.WithTimeout(t.Context(), loadFor(t))
	defer heal()
	var ill sync.WaitGroup
	ill.Go(func() { suffer(ctx, l.networks...) })
	began := time.Now()
	l.everybody(t, people, loadFor(t))
	ill.Wait()
	t.Logf("%v: %d calls, %d refreshes, %d sessions, %d streams, %d revocations; %d attempts failed", time.Since(began).Round(time.Second),
		l.calls.Load(), l.refreshes.Load(), l.sessions.Load(), l.streams.Load(), l.revoked.Load(), l.failed.Load())
	l.answers(t, "http://"+l.admin+"/readyz")
	for _, p := range people {
		if _, err := p.session(t.Context()); err != nil {
			t.Errorf("%s cannot go on: %v", p.name, err)
		}
	}
	after := l.rest(t, gauges{before.goroutines + 12, before.files + 8, 2*before.heap + 32<<20})
	t.Logf("in use before: %+v, after: %+v", before, after)
	for _, x := range l.networks {
		sum := int64(0)
		for ill := range x.fell {
			sum += x.fell[ill].Load()
		}
		if t.Logf("%d faults on the way to %s", sum, x.server); sum == 0 {
			t.Errorf("the network to %s was always healthy: it proves nothing", x.server)
		}
	}
	l.accountsForCalls(t)
}

func (l *load) everybody(t *testing.T, people []*person, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	var all sync.WaitGroup
	for _, p := range people {
		all.Go(func() {
			if err := l.live(ctx, p); err != nil {
				t.Error(err)
				stop()
			}
		})
	}
	all.Wait()
}

// accountsForCalls: whatever reached the MCP server, and whatever a client saw
// answered, has its line.
func (l *load) accountsForCalls(t *testing.T) {
	t.Helper()
	allowed, good := map[string]int64{}, map[string]int64{}
	file, err := os.Open(l.audit)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Audit, Sub, Tool string
			Status           int
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		if event.Audit == "call_allowed" && event.Tool == "read" {
			allowed[event.Sub]++
			if event.Status == http.StatusOK {
				good[event.Sub]++
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	l.arrived.Range(func(sub, n any) bool {
		arrived, told := n.(*atomic.Int64).Load(), allowed[sub.(string)]
		total += told
		if arrived > told {
			t.Errorf("%d calls of %s arrived, and the audit log tells of %d", arrived, sub, told)
		}
		return true
	})
	l.answered.Range(func(sub, n any) bool {
		if answered, told := n.(*atomic.Int64).Load(), good[sub.(string)]; answered > told {
			t.Errorf("%d calls of %s were answered, and the audit log tells of %d", answered, sub, told)
		}
		return true
	})
	if total == 0 {
		t.Error("the audit log tells of no call")
	}
	t.Logf("%d calls in the audit log", total)
}
