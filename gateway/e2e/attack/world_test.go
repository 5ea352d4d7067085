//go:build e2e

package attack

import (
	"context"
	stdtls "crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A world is one gateway and everybody around it. Steps happen one after the
// other; what the servers behind the gateway see in between is under mu.
type world struct {
	tb  testing.TB
	rng *rand.Rand
	*gateway
	port      string
	transport *http.Transport

	sites            []*site // notes, tasks, rogue
	notes, rogueSite *site
	callback         string // the host to which providers send everybody back; empty: each to its own
	honest, rogue    *provider
	victim, attacker *browser
	clients          []*client
	web, desk        *client // honest, of people
	portal           *client // honest, configured by the operator, with a secret
	keyed            *client // honest, with a key, known by its document
	evil             *client
	mine             *client // the attacker's, known by a document that changes
	guest            string  // the id of a client that only the rogue host knows
	bait             *bait
	press, rogues    *publisher // of documents
	issuer           *issuer    // of assertions
	listed           []string   // where the document of mine lets answers go
	relics           []relic    // of an earlier life

	requests ledger[*request]       // by the id in r
	states   ledger[*attempt]       // by the state that the gateway gave to a provider
	handed   map[string]url.Values  // what a provider answered, by the code that hands it over
	ticked   map[string][]string    // account, client and host → every scope that was ticked
	tokens   map[string]*tokenState // access tokens, as received
	families []*family
	codes    ledger[*codeState]
	proofs   ledger[*proof]  // assertions of the client with a key
	editions map[string]int  // account, client and host → of the tools that were last on the page
	limits   map[string]bool // account, client and host → a tool was held to an argument
	sessions map[string]bool
	seen     []string // the URLs of the victim's own flows, for who is on the way
	secrets  []string // what must be in no log

	mu       sync.Mutex
	breached *breach

	said  map[string]int   // what happened, for the report
	marks map[*site]string // how cookies of a host end
}

// A breach is an invariant that did not hold.
type breach struct{ invariant, what string }

// breaks notes the first breach.
func (w *world) breaks(invariant, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.breached == nil {
		w.breached = &breach{invariant, fmt.Sprintf(format, args...)}
	}
}

func (w *world) breach() *breach {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.breached
}

// A site is a host of the gateway with the MCP server behind it.
type site struct {
	name, host, origin string
	bare               bool // its MCP server gets no Authorization
	strict             bool // not everybody whom a provider lets in may enter, and no tool is open that no scope covers
	upstream           *upstream
	scopes             map[string][]string // scope → tools
}

func (s *site) scopeNames() []string {
	var names []string
	for name := range s.scopes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

const domain = "example.test"

// newWorld starts a build of the program with three MCP servers, two identity
// providers and passwords of its own.
func newWorld(t testing.TB, bin string, seed uint64, oneCallback bool) *world {
	t.Helper()
	addr := freeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		tb: t, rng: rand.New(rand.NewPCG(seed, 12)), port: port,
		ticked: map[string][]string{}, editions: map[string]int{}, tokens: map[string]*tokenState{}, said: map[string]int{}, marks: map[*site]string{},
		handed: map[string]url.Values{}, sessions: map[string]bool{}, limits: map[string]bool{},
	}
	cert, key, believed, pair := certificate(t, "notes."+domain, "tasks."+domain, "rogue."+domain, "callback."+domain, "localhost")
	w.transport = &http.Transport{
		TLSClientConfig: &stdtls.Config{RootCAs: believed},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
		DisableCompression: true, MaxIdleConnsPerHost: 16,
	}
	t.Cleanup(w.transport.CloseIdleConnections)
	w.notes = w.newSite(t, "notes")
	tasks := w.newSite(t, "tasks")
	tasks.bare, tasks.strict = true, true
	w.rogueSite = w.newSite(t, "rogue")
	w.honest, w.rogue = newProvider(t, w, "honest"), newProvider(t, w, "rogue")
	w.rogue.evil = true
	w.bait = newBait(t, w, pair)
	w.issuer = newIssuer(t)
	w.press, w.rogues = newPublisher(t, honestAddr, pair), newPublisher(t, rogueAddr, pair)
	var hosts []settings
	for _, s := range w.sites {
		h := settings{"host": s.host, "name": "The " + s.name, "endpoint": s.upstream.URL, "paths": []string{"/mcp"}}
		if s.bare {
			h["authorization"] = "none"
		}
		if s.strict {
			h["allow"] = settings{"users": []string{"victim@example.com", "attacker@example.com"}}
			h["unscopedTools"] = "deny"
		}
		hosts = append(hosts, h)
	}
	proxy := settings{
		"hosts": hosts,
		"clients": append(asserted(),
			settings{"clientID": "portal", "clientSecret": portalSecret, "name": "Portal", "redirectURIs": []string{"https://portal." + domain + "/cb"}},
			settings{"clientID": "robot", "clientSecret": portalSecret + "s-robot", "name": "Robot", "grants": []string{"client_credentials"}}),
	}
	if oneCallback {
		w.callback = "callback." + domain + ":" + w.port
		proxy["callbackHost"] = w.callback
	}
	w.gateway = serve(t, bin, settings{
		"server": settings{"addr": addr, "httpAddr": "", "limits": settings{"registrationsPerMinute": 0,
			"authorizationsPerMinute": 0, "failedSigninsPerMinute": 0, "streamsPerUser": 0}},
		"tls":       settings{"mode": "files", "files": settings{"cert": cert, "key": key}},
		"token":     settings{"algorithm": "ES256"},
		"logging":   settings{"level": "debug"},
		"providers": []settings{w.honest.settings(), w.rogue.settings(), house()},
		"proxy":     proxy, "trustedIssuers": []settings{{"issuerURL": w.issuer.url, "provider": w.honest.name}},
	}, cert, func(file string) { w.livesEarlier(t, file) })
	w.victim, w.attacker = newBrowser(w, "victim"), newBrowser(w, "attacker")
	w.believesEarlier(t)
	w.newClients()
	return w
}

// callbackOf is where a provider sends back to who signs in at a host.
func (w *world) callbackOf(s *site) string {
	if w.callback != "" {
		return "https://" + w.callback + "/callback"
	}
	return s.origin + "/callback"
}

func (w *world) newSite(t testing.TB, name string) *site {
	t.Helper()
	s := &site{name: name, host: name + "." + domain + ":" + w.port}
	s.origin = "https://" + s.host
	s.scopes = map[string][]string{name + ":read": {"read"}, name + ":write": {"write"}, name + ":all": {"read", "write", "wipe"}}
	s.upstream = newUpstream(t, w, s)
	w.sites = append(w.sites, s)
	return s
}

// site returns the site of a host, or nil.
func (w *world) site(host string) *site {
	i := slices.IndexFunc(w.sites, func(s *site) bool { return s.host == host })
	if i < 0 {
		return nil
	}
	return w.sites[i]
}

func (w *world) anySite() *site { return pick(w, w.sites) }

// pick takes one of several; the zero value where there is none.
func pick[T any](w *world, from []T) T {
	if len(from) == 0 {
		var none T
		return none
	}
	return from[w.rng.IntN(len(from))]
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

// some picks a part of several, in order.
func some[T any](w *world, from []T) []T {
	var out []T
	for _, one := range from {
		if w.chance(2) {
			out = append(out, one)
		}
	}
	return out
}

// An answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
	to     *url.URL // where it redirects; nil: nowhere
}

// send sends a request to the gateway. Every answer of it passes here.
func (w *world) send(r *http.Request) *answer {
	res, err := w.transport.RoundTrip(r)
	if err != nil {
		w.said["no answer"]++
		return &answer{header: http.Header{}}
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		w.said["half an answer"]++
	}
	a := &answer{status: res.StatusCode, header: res.Header, body: string(body)}
	if to := res.Header.Get("Location"); to != "" {
		a.to, _ = r.URL.Parse(to)
	}
	w.said[fmt.Sprint(a.status)]++
	w.inspect(r, a)
	return a
}

func (w *world) request(method, address string, body string, headers ...string) *http.Request {
	r, err := http.NewRequestWithContext(w.tb.Context(), method, address, strings.NewReader(body))
	if err != nil {
		r, _ = http.NewRequestWithContext(w.tb.Context(), method, w.notes.origin, nil)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// post sends a form as a program does.
func (w *world) post(address string, form url.Values, headers ...string) *answer {
	return w.send(w.request(http.MethodPost, address, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...))
}

// claims are what an access token says; nobody checks the signature here.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience []string `json:"aud"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Scopes   []string `json:"scopes"`
	Grant    string   `json:"sid"`
	ID       string   `json:"jti"`
}

func read(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		b, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(b, &c)
	}
	return c
}

// bait listens at special-use addresses. Nobody has a reason to come.
type bait struct {
	port   string
	caught atomic.Int64
}

func newBait(t testing.TB, w *world, pair stdtls.Certificate) *bait {
	t.Helper()
	l, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bait{}
	_, b.port, _ = net.SplitHostPort(l.Addr().String())
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}), TLSConfig: &stdtls.Config{Certificates: []stdtls.Certificate{pair}}, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			b.caught.Add(1)
			w.breaks("no request to a special-use address", "the gateway connects to an address that a stranger named")
		}
	}}
	go func() { _ = s.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = s.Close() })
	return b
}

// forget is what the world does between two walks: browsers begin anew, and
// what was collected goes with them.
func (w *world) forget() {
	w.victim, w.attacker = newBrowser(w, "victim"), newBrowser(w, "attacker")
	w.requests, w.states, w.codes, w.families = ledger[*request]{}, ledger[*attempt]{}, ledger[*codeState]{}, nil
	w.proofs = ledger[*proof]{}
	clear(w.handed)
	w.mu.Lock()
	clear(w.tokens)
	w.mu.Unlock()
	w.seen = nil
	for _, c := range w.clients {
		c.pending, c.held, c.began = map[string]*flow{}, nil, nil
	}
	w.honest.forget()
	w.rogue.forget()
	w.rogueSite.upstream.forget()
	w.notes.upstream.forget()
}

// A ledger finds what was noted, and keeps the order, so that a seed picks the
// same again.
type ledger[V any] struct {
	keys []string
	of   map[string]V
}

func (l *ledger[V]) put(key string, v V) {
	if l.of == nil {
		l.of = map[string]V{}
	}
	if _, known := l.of[key]; !known {
		l.keys = append(l.keys, key)
	}
	l.of[key] = v
}
