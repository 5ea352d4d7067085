package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/tls"

	"golang.org/x/sync/errgroup"
)

// The limits of a connection. There is none for writing, and none for reading a
// body: streams last as long as they last.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10

	pingAfter   = time.Minute
	pingTimeout = 15 * time.Second

	// formTimeout is for the bodies of what we answer ourselves; those of calls
	// are the MCP server's.
	formTimeout = 30 * time.Second
)

// listener is a port and what answers there.
type listener struct {
	net.Listener
	server *http.Server
	tls    bool
}

// Run serves until ctx ends, and then stops within the grace period: requests
// that only listen are ended at once, calls are given half of it.
func (g *Gateway) Run(ctx context.Context) error {
	source, err := g.certificates(ctx)
	if err != nil {
		return err
	}
	if source != nil {
		g.metrics.gauge("certificate_expiry_timestamp_seconds", "When the certificate of a host ends.", []string{"host"}, certificateExpiry(source.Status))
		g.certified = source.Status
	}
	calls, endCalls := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endCalls(nil)
	open, err := g.listen(calls, source)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	background, _ := errgroup.WithContext(ctx)
	g.work(ctx, background, fail)
	if source != nil {
		background.Go(func() error {
			source.Watch(ctx)
			return nil
		})
	}
	background.Go(func() error {
		looks := time.NewTicker(restLook)
		defer looks.Stop()
		keepHeapFloor(ctx, g.config.Server.HeapFloor, looks.C)
		return nil
	})
	background.Go(func() error {
		g.prepare(ctx, g.site.Load().providers)
		return nil
	})
	for _, l := range open {
		background.Go(func() error {
			if err := l.serve(); !errors.Is(err, http.ErrServerClosed) {
				fail(fmt.Errorf("serve %s: %w", l.Addr(), err))
			}
			return nil
		})
		g.log.InfoContext(ctx, "listening", "address", l.Addr().String(), "tls", l.tls)
	}
	background.Go(func() error {
		g.keepAlive(ctx, open)
		return nil
	})
	if g.o.Listening != nil {
		g.o.Listening()
	}
	g.notifyReady(ctx)
	<-ctx.Done()
	g.stop(open, endCalls)
	if err := background.Wait(); err != nil {
		return err
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// work runs what goes on beside requests.
func (g *Gateway) work(ctx context.Context, group *errgroup.Group, fail context.CancelCauseFunc) {
	admin := g.openAdminSocket(ctx) // before anybody is told that we are ready
	for name, run := range map[string]func(context.Context) error{
		"signing keys": g.ring.Run,
		"revocations":  g.grants.Run,
		"admin socket": func(ctx context.Context) error { return g.serveAdminSocket(ctx, admin) },
		"upstreams":    g.probe,
		"audit log":    g.signAudit,
		"attempts":     g.attempts.run,
	} {
		group.Go(func() error {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				fail(fmt.Errorf("%s: %w", name, err))
			}
			return nil
		})
	}
}

// prepare asks every identity provider about itself, so that the first sign-in
// need not wait. One that does not answer is asked again at the next sign-in.
func (g *Gateway) prepare(ctx context.Context, providers []*idp.Provider) {
	var group errgroup.Group
	for _, p := range providers {
		group.Go(func() error {
			if err := p.Prepare(ctx); err != nil && ctx.Err() == nil {
				g.log.WarnContext(ctx, "an identity provider cannot be reached; it is asked again at the next sign-in", "provider", p.ID, "cause", err)
			}
			return nil
		})
	}
	_ = group.Wait() // every error is in the log
}

// certificates is where TLS gets its certificates; nil without TLS.
func (g *Gateway) certificates(ctx context.Context) (tls.Source, error) {
	c := g.config
	g.hosts = tls.NewHosts(g.hostNames()...)
	cache := certCache{g.store}
	switch c.TLS.Mode {
	case "acme":
		return tls.NewACME(tls.ACME{
			Hosts: g.hosts, Cache: cache, Email: c.TLS.ACME.Email, DirectoryURL: c.TLS.ACME.DirectoryURL, AcceptTOS: c.TLS.ACME.AcceptTOS,
			EABKeyID: c.TLS.ACME.EABKeyID, EABMACKey: c.TLS.ACME.EABMACKey, CAFile: c.TLS.ACME.CAFile,
			Log: g.log, Now: g.now, OnFailure: g.metrics.certificateFailed,
		})
	case "files":
		f, err := tls.NewFiles(c.TLS.Files, tls.FilesOptions{Hosts: g.hosts, Log: g.log, Now: g.now})
		if err != nil {
			return nil, err
		}
		g.files = f
		return f, nil
	case "selfsigned":
		s, err := tls.NewSelfSigned(ctx, cache, g.hosts, tls.SelfSignedOptions{Now: g.now})
		if err != nil {
			return nil, err
		}
		g.ca = s
		return s, nil
	}
	return nil, nil
}

func (g *Gateway) hostNames() []string {
	s := g.site.Load()
	var names []string
	for _, r := range s.table.Routes() {
		names = append(names, r.Host)
	}
	if s.callback != "" {
		names = append(names, s.callback)
	}
	return names
}

// listen opens every port, or none. Ports that were opened before us are used as
// they are.
func (g *Gateway) listen(calls context.Context, source tls.Source) (open []listener, err error) {
	given := handedOver(g.o.Listeners)
	defer func() {
		if err != nil {
			for _, l := range open {
				_ = l.Close()
			}
			given.close()
			open = nil
		}
	}()
	var config net.ListenConfig
	add := func(key, addr string, h http.Handler, src tls.Source) {
		if err != nil || addr == "" {
			return
		}
		ports := given.take(addr)
		if len(ports) == 0 {
			var l net.Listener
			if l, err = config.Listen(calls, "tcp", addr); err != nil {
				err = fmt.Errorf("%s: %w", key, err)
				return
			}
			ports = append(ports, l)
		}
		for _, l := range ports {
			s := g.server(calls, h)
			if src != nil {
				s.TLSConfig = src.Config()
			}
			open = append(open, listener{l, s, src != nil})
		}
	}
	c := g.config.Server
	add("server.addr", c.Addr, g, source)
	add("server.adminAddr", c.AdminAddr, g.admin(), nil)
	if source != nil && c.HTTPAddr != "" { // else nobody could see the answer to a challenge
		add("server.httpAddr", c.HTTPAddr, source.HTTPHandler(tls.Redirect(g.hosts)), nil)
	}
	return open, errors.Join(err, given.unused())
}

func (g *Gateway) server(base context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return base },
		// Handshakes that strangers break off are no news.
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
		// Streams last, but only while somebody is at the other end, and takes
		// what is sent.
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: pingAfter},
	}
}

func (l listener) serve() error {
	if l.tls {
		return l.server.ServeTLS(l.Listener, "", "")
	}
	return l.server.Serve(l.Listener)
}

// stop ends everything that is served. Shutdown alone would wait for streams
// forever.
func (g *Gateway) stop(open []listener, endCalls context.CancelCauseFunc) {
	grace := g.config.Server.ShutdownGrace
	g.log.Info("stopping", "grace", grace.String())
	g.notifyStopping(context.Background(), grace)
	g.streams.close()
	half := time.AfterFunc(grace/2, func() { endCalls(errStopping) })
	defer half.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var group errgroup.Group
	for _, l := range open {
		group.Go(func() error {
			if err := l.server.Shutdown(ctx); err != nil {
				return l.server.Close()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		g.log.Warn("not everything stopped by itself", "cause", err)
	}
}
