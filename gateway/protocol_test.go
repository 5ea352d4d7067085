package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/memory"
	"mcp-oauth2-proxy/routing/routingtest"

	"github.com/labstack/echo/v4"
)

// The rules of docs/protocol.md, held against a whole gateway: a real listener,
// real MCP servers behind it, a browser and OAuth clients in front. A test is
// named for the rule and for the behaviour.

const (
	notes = "https://notes.example.com"
	mail  = "https://mail.example.com"

	// The people of provider local.
	ada, bob   = "ada", "bob"
	passphrase = "engine"
)

// hashOfPassphrase is argon2id of passphrase, as weak as the configuration takes it:
// what is tested here is not the hash.
const hashOfPassphrase = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$1PcEYQ3Pn7okhOKn616Dpw"

const localProvider = `{"name":"local","users":[
	{"username":"ada","passwordHash":"` + hashOfPassphrase + `","email":"ada@example.com","groups":["analysts"]},
	{"username":"bob","passwordHash":"` + hashOfPassphrase + `","email":"bob@example.com"}]}`

// A fixture is a gateway that serves until the test ends. Its clock stands still
// until a test moves it.
type fixture struct {
	*Gateway
	setup    setup
	clock    *stoppedClock
	upstream *routingtest.Server
	listener *httptest.Server
	logged   *sharedText // everything, debug included
	audited  *sharedText
}

// setup is what a fixture is made of; options change it.
type setup struct {
	provider string
	hosts    string // JSON of proxy.hosts; %s is the URL of the MCP server
	env      []string
	upstream routingtest.Options
	document *http.Client  // fetches client metadata documents
	clock    *stoppedClock // nil: the real one
}

type option func(*setup)

// with sets a key of the configuration as the environment does:
// with("PROXY_CORS", "false").
func with(name, value string) option {
	return func(s *setup) { s.env = append(s.env, envPrefix+name+"="+value) }
}

func signInAt(json string) option         { return func(s *setup) { s.provider = json } }
func serving(json string) option          { return func(s *setup) { s.hosts = json } }
func before(o routingtest.Options) option { return func(s *setup) { s.upstream = o } }
func fetching(with *http.Client) option   { return func(s *setup) { s.document = with } }

// notesServer advertises three scopes, of which admin covers the others, and
// has one tool that no scope covers.
func notesServer() routingtest.Options {
	return routingtest.Options{
		Era: routingtest.Both,
		Scopes: []routingtest.Scope{
			{Name: "notes:read", Description: "Read notes", Tools: []string{"read_note"}},
			{Name: "notes:write", Description: "Write notes", Tools: []string{"write_note"}},
			{Name: "notes:admin", Description: "Everything", Tools: []string{"read_note", "write_note", "delete_note"}},
		},
		Tools: []routingtest.Tool{
			{Name: "read_note", ReadOnly: true}, {Name: "write_note"}, {Name: "delete_note", Destructive: true}, {Name: "ping", ReadOnly: true},
		},
	}
}

const allNotesScopes = "notes:read notes:write notes:admin"

func defaults() setup {
	return setup{
		provider: localProvider,
		hosts:    `[{"host":"notes.example.com","endpoint":"%[1]s","name":"Notes"},{"host":"mail.example.com","endpoint":"%[1]s","name":"Mail"}]`,
		env: []string{
			envPrefix + "TLS_MODE=off", envPrefix + "STORE_URL=memory:", envPrefix + "TOKEN_ALGORITHM=ES256", envPrefix + "SERVER_ADMINADDR=",
		},
		upstream: notesServer(),
		clock:    &stoppedClock{at: time.Now()},
	}
}

const noLimits = `server: {limits: {registrationsPerMinute: 0, authorizationsPerMinute: 0, failedSigninsPerMinute: 0}}`

// newFixture runs a gateway with two MCP servers, local sign-in and no limits.
func newFixture(t testing.TB, options ...option) *fixture {
	t.Helper()
	s := defaults()
	for _, o := range options {
		o(&s)
	}
	f := &fixture{setup: s, clock: s.clock, upstream: routingtest.New(t, s.upstream), logged: &sharedText{}, audited: &sharedText{}}
	c := s.config(t, f.upstream.URL)
	log := slog.New(slog.NewJSONHandler(f.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if f.Gateway, err = New(t.Context(), c, Options{Log: log, Audit: f.audited, Now: f.clock.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	f.audited.flush = f.audit.Flush
	if m, ok := f.engine.(*memory.Store); ok {
		memory.WithClock(f.clock.now)(m) // what expires, expires by the same clock
	}
	if s.document != nil {
		f.readDocumentsWith(t, s.document)
	}
	f.run(t)
	return f
}

func (s setup) config(t testing.TB, upstream string) *Config {
	t.Helper()
	text := "provider: " + s.provider + "\nproxy: {hosts: " + strings.ReplaceAll(s.hosts, "%[1]s", upstream) + "}\n" + noLimits
	c, err := Parse([]byte(text), s.env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reload puts the configuration into force that the fixture began with, as
// options change it.
func (f *fixture) reload(t testing.TB, options ...option) {
	t.Helper()
	s := f.setup
	for _, o := range options {
		o(&s)
	}
	if err := f.Reload(t.Context(), s.config(t, f.upstream.URL)); err != nil {
		t.Fatal(err)
	}
}

// run starts what Run starts, but for the listeners of a real one.
func (f *fixture) run(t testing.TB) {
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = f.ring.Run(ctx) })
	work.Go(func() { _ = f.grants.Run(ctx) })
	work.Go(func() { _ = f.signAudit(ctx) })
	work.Go(func() { _ = f.attempts.run(ctx) })
	f.listener = httptest.NewServer(f.Gateway)
	t.Cleanup(func() {
		f.streams.close()
		f.listener.CloseClientConnections()
		f.listener.Close()
		stop()
		work.Wait()
	})
}

// readDocumentsWith puts a registry in place that fetches client metadata
// documents with client: the real one reaches no address of a test.
func (f *fixture) readDocumentsWith(t testing.TB, client *http.Client) {
	t.Helper()
	old := f.site.Load()
	registry, err := clients.New(clients.Options{
		Secret: f.secret, Store: f.store, Configured: f.config.configuredClients(), Dynamic: true, Documents: true,
		Client: client, Now: f.now, Log: f.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{echo: echo.New(), series: old.series, table: old.table, providers: old.providers, scheme: old.scheme, clients: registry, origins: old.origins, trusted: old.trusted}
	s.echo.HTTPErrorHandler, s.echo.IPExtractor = f.fail, s.address
	s.enter = s.door(s.find)
	all, err := f.newHosts(f.config, s, registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range all {
		h.mount(s.echo.Host(h.route.Host))
	}
	f.site.Store(s)
}

// forward moves the clock. A signing key is good for an hour or two, and the
// work behind it waits by the real clock.
func (f *fixture) forward(t testing.TB, d time.Duration) {
	t.Helper()
	f.clock.forward(d)
	if d >= time.Hour {
		if err := f.ring.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// records counts what is stored, by kind. Keys and catalogues are not anybody's.
func (f *fixture) records(t testing.TB) map[store.Kind]int {
	t.Helper()
	n := map[store.Kind]int{}
	for _, kind := range []store.Kind{
		grants.KindApproved, grants.KindCode, grants.KindFamily, grants.KindRevoked, grants.KindConsent,
		grants.KindUser, grants.KindSession, "refused", "assertion",
	} {
		records, err := f.store.List(t.Context(), kind, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) > 0 {
			n[kind] = len(records)
		}
	}
	return n
}

// leavesNothing runs fn and wants as many records after it as before.
func (f *fixture) leavesNothing(t testing.TB, fn func()) {
	t.Helper()
	before := f.records(t)
	fn()
	if after := f.records(t); !maps.Equal(before, after) {
		t.Errorf("state is left behind: records before %v, after %v", before, after)
	}
}

// stoppedClock is a time that tests move.
type stoppedClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *stoppedClock) now() time.Time {
	if c == nil {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *stoppedClock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

type sharedText struct {
	mu  sync.Mutex
	b   bytes.Buffer
	off bool

	grown chan struct{} // closed when more is written; nil: nobody waits

	flush func(context.Context) error // of who writes here behind the back of others
}

func (l *sharedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	if l.off {
		return len(p), nil
	}
	return l.b.Write(p)
}

// await returns once the text is as it should be.
func (l *sharedText) await(t testing.TB, what string, good func(text string) bool) {
	t.Helper()
	for late := time.After(10 * time.Second); ; {
		l.mu.Lock()
		text := l.b.String()
		if l.grown == nil {
			l.grown = make(chan struct{})
		}
		grown := l.grown
		l.mu.Unlock()
		if good(text) {
			return
		}
		select {
		case <-grown:
		case <-late:
			t.Fatalf("%s is not there:\n%s", what, text)
		}
	}
}

// discard keeps nothing from now on.
func (l *sharedText) discard() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = true
}

func (l *sharedText) String() string {
	if l.flush != nil {
		_ = l.flush(context.Background()) // or it is closed, and everything is there
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func decoded(t testing.TB, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not a JSON object: %v: %s", err, text)
	}
	return v
}

func encoded(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// texts are the values of a JSON list of texts.
func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, one := range list {
		out = append(out, fmt.Sprint(one))
	}
	return out
}

type routingRequest = routingtest.Request
