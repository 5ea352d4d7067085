// Package gateway is the program: it reads the configuration, wires every
// other package together, and serves.
//
// It promises that nothing listens before everything that can be known to be
// wrong was reported, that one fault is answered in the shape its reader
// understands, and that it stops within the grace period with streams open. It
// knows all the others; nobody but main knows it.
package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"mcp-oauth2-proxy/auth"
	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/auth/keys"
	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/tls"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// Options are what a Gateway is given besides its configuration.
type Options struct {
	Log  *slog.Logger     // default: as configured, to standard output
	Now  func() time.Time // default: time.Now
	Demo *DemoSignin      // fills in the sign-in form

	Build     Build     // which metrics and traces name
	Audit     io.Writer // default: as configured
	Listening func()    // told when every port is open

	Listeners  []net.Listener // opened already, as by HandedOver; used where they fit an address
	Supervisor *Supervisor    // told how the process fares; nil if nobody wants to know
	providers  *http.Client   // leads tests to identity providers of their own
}

// DemoSignin fills in the local sign-in form. It is for a demonstration on
// loopback.
type DemoSignin struct{ Username, Password string }

// Gateway is the program, ready to serve.
type Gateway struct {
	config    *Config
	o         Options
	log       *slog.Logger
	now       func() time.Time
	echo      *echo.Echo  // makes contexts for answers outside of a handler
	engine    store.Store // as it lies on the medium
	store     store.Store // the same, unsealed
	secret    []byte
	ring      *keys.Ring
	attempts  *attempts
	archive   *keys.Archive // signs the audit log
	signing   chan struct{} // a key has begun to
	grants    *grants.Grants
	audit     *audit.Log
	limits    *limits
	requests  *limits // of users
	streams   *streams
	pages     *web.Pages
	metrics   *metrics
	tracing   *tracing // nil: off
	site      atomic.Pointer[site]
	hosts     *tls.Hosts // whose certificates we show
	files     *tls.Files // nil unless tls.mode is files
	ca        *tls.SelfSigned
	certified func() []tls.Status // nil without TLS
	verifier  *access.Verifier[*bearer]
	logged    *logBuffer // nil: whoever gave the log writes it
	closers   []io.Closer
}

// New opens the store and wires the program. It opens no port.
func New(ctx context.Context, c *Config, o Options) (*Gateway, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	var logged *logBuffer
	if o.Log == nil {
		logged = newLogBuffer(os.Stdout)
		o.Log = NewLog(logged, c.Logging)
	}
	g := &Gateway{logged: logged, config: c, o: o, log: o.Log, now: o.Now, echo: echo.New(), metrics: newMetrics(), signing: make(chan struct{}, 1)}
	if err := g.open(ctx); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// NewLog returns the logger that a configuration asks for.
func NewLog(w io.Writer, c LoggingConfig) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.slogLevel()}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

func (g *Gateway) open(ctx context.Context) error {
	c := g.config
	var err error
	if g.pages, err = c.Web.pages(); err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	g.attempts = newAttempts(g.now, g.log)
	if err := g.openAudit(); err != nil {
		return err
	}
	if g.engine, g.store, err = openStore(ctx, c.Store, g.log, g.metrics.store); err != nil {
		return err
	}
	g.closers = append(g.closers, g.engine)
	g.attempts.open(g.store)
	if g.secret, err = store.Secret(ctx, g.store); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if g.tracing, err = openTracing(ctx, c.Tracing, g.o.Build.Version, g.secret, g.log); err != nil {
		return err
	}
	if g.tracing != nil {
		g.closers = append(g.closers, g.tracing)
	}
	g.limits = newLimits(map[auth.Limit]int{
		auth.Registrations:  c.Server.Limits.RegistrationsPerMinute,
		auth.Authorizations: c.Server.Limits.AuthorizationsPerMinute,
		auth.Approvals:      c.Server.Limits.AuthorizationsPerMinute,
		auth.FailedSignins:  c.Server.Limits.FailedSigninsPerMinute,
		auth.FailedClients:  c.Server.Limits.FailedSigninsPerMinute,

		// Of all addresses together: guessing from many is slow, and the user comes
		// in all the same from a browser that is known.
		auth.FailedSigninsOfUser: 10 * c.Server.Limits.FailedSigninsPerMinute,
	}, g.now)
	g.requests = newLimits(map[auth.Limit]int{limitRequests: c.Server.Limits.RequestsPerMinute}, g.now)
	g.streams = newStreams(c.Server.Limits.StreamsPerUser)
	if g.ring, err = keys.Open(ctx, g.store, keys.Options{
		Algorithm: c.Token.Algorithm, Rotation: c.Token.KeyRotation, TokenLife: c.Token.AccessTTL + 2*access.Leeway,
		Now: g.now, Log: g.log,
		OnMade:    func(kid string) { g.audit.Record(context.Background(), audit.KeyMade, audit.Text("kid", kid)) },
		OnSigning: g.keySigns,
	}); err != nil {
		return err
	}
	g.archive = keys.NewArchive(g.ring, c.Audit.KeyTTL)
	g.grants = grants.New(g.store, grants.Options{
		AccessTTL: c.Token.AccessTTL, RefreshIdle: c.Token.RefreshIdleTTL, RefreshTTL: c.Token.RefreshTTL, SessionTTL: c.Session.TTL,
		StaleAfter: c.Store.StaleAfter, Now: g.now, Log: g.log, OnEnded: g.streams.revoke,
	})
	g.verifier = access.NewVerifier(g.ring, g.grants.Revoked, g.now, newBearer) // one for all configurations: what it remembers holds for each
	if err := g.grants.Start(ctx); err != nil {
		return fmt.Errorf("read revocations: %w", err)
	}
	s, err := g.newSite(c)
	if err != nil {
		return err
	}
	g.site.Store(s)
	g.metrics.show(s.series)
	g.watch()
	return nil
}

// newHosts makes the authorization and resource server of every host.
func (g *Gateway) newHosts(c *Config, s *site, registry *clients.Registry) ([]*host, error) {
	var trusted []*idp.TrustedIssuer
	for _, t := range c.TrustedIssuers {
		trusted = append(trusted, idp.NewTrustedIssuer(t.IssuerURL, t.Provider, idp.Options{Now: g.now, Log: g.log, Client: g.tracing.client(g.o.providers)}))
	}
	minter := access.NewMinter(g.ring, c.Token.AccessTTL, g.now)
	var hosts []*host
	for i, route := range s.table.Routes() {
		h := &host{g: g, route: route, verifier: g.verifier, metrics: s.series.hosts[route.Host]}
		hosts = append(hosts, h)
		if route.Public {
			continue
		}
		browser, err := auth.NewBrowser(route.Origin, g.secret)
		if err != nil {
			return nil, err
		}
		h.auth = &auth.Server{
			Route: route, Grants: g.grants, Clients: registry, Providers: s.providers, Minter: minter, KeySet: g.ring.Set,
			Browser: browser, Pages: g.pages, Audit: g.audit, Attempts: g.attempts, Meter: meter{h.metrics, s.series.providers}, Limits: g.limits, Log: g.log, Now: g.now,
			Verify: func(ctx context.Context, raw string) (*access.Token, error) {
				b, err := g.verifier.Verify(ctx, raw, route.Origin, route.Origin)
				if err != nil {
					return nil, err
				}
				return b.Token, nil
			},
			RefreshTTL: c.Token.RefreshTTL, AccessTTL: c.Token.AccessTTL, SessionTTL: c.Session.TTL,
			Registration: c.Proxy.Registration.Dynamic, Documents: c.Proxy.Registration.MetadataDocuments,
			Confidential: c.confidential(), Admit: admit(c.Proxy.Hosts[i].Allow), Trusted: trusted,
			CallbackOrigin: c.callbackOrigin(),
		}
		if slices.ContainsFunc(s.providers, func(p *idp.Provider) bool { return p.Local != nil }) {
			if h.auth.Passkeys, err = idp.NewPasskeys(route.Origin, route.Name, g.secret); err != nil {
				return nil, err
			}
		}
		if route.Origin == c.callbackOrigin() {
			h.auth.Handoff = g.newHandoff(c, s.table)
		}
		if d := g.o.Demo; d != nil {
			h.auth.Demo = &web.Signin{Username: d.Username, Password: d.Password}
		}
		if c.Proxy.DisableConsentScreen {
			h.auth.Consentless = c.redirectURLs
		}
	}
	return hosts, nil
}

// newHandoff is what happens at the host where all identity providers send
// browsers back to.
func (g *Gateway) newHandoff(c *Config, table *routing.Table) *auth.Handoff {
	h := &auth.Handoff{Origin: c.callbackOrigin(), Grants: g.grants, Limits: g.limits, Audit: g.audit, Hosts: map[string]string{}}
	for _, route := range table.Routes() {
		if !route.Public {
			h.Hosts[auth.Mark(route.Origin)] = route.Origin
		}
	}
	return h
}

func (g *Gateway) newProviders(c *Config) ([]*idp.Provider, error) {
	var out []*idp.Provider
	for _, pc := range c.Providers {
		p, err := idp.New(pc, idp.Options{Now: g.now, Log: g.log, Client: g.tracing.client(g.o.providers)})
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", pc.Name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

func (g *Gateway) newRegistry(c *Config) (*clients.Registry, error) {
	return clients.New(clients.Options{
		Secret: g.secret, Store: g.store, Configured: c.configuredClients(),
		Dynamic: c.Proxy.Registration.Dynamic, Documents: c.Proxy.Registration.MetadataDocuments,
		AllowedRedirectURLs: c.redirectURLs, Now: g.now, Log: g.log,
	})
}

// ServeHTTP answers at every public host.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.observe(w, r)
}

// Close closes what New opened.
func (g *Gateway) Close() {
	if g.audit != nil { // first: its end is signed, and remembered in the store
		if err := g.audit.Close(); err != nil {
			g.log.Error("close", "cause", err)
		}
	}
	for _, c := range g.closers {
		if err := c.Close(); err != nil {
			g.log.Error("close", "cause", err)
		}
	}
	if g.logged != nil { // last, for all of that may have something to say
		if err := g.logged.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "gateway:", err)
		}
	}
}

// Log is where the gateway logs.
func (g *Gateway) Log() *slog.Logger { return g.log }
