package gateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"mcp-oauth2-proxy/auth/audit"
)

// ReloadFrom reads the configuration at path again and puts it into force, and
// goes on in a new audit file, if the old one was moved away. The
// log and the supervisor hear of the outcome; a bad configuration changes nothing.
func (g *Gateway) ReloadFrom(ctx context.Context, path string, environ []string) {
	g.reopenAudit(ctx)
	g.notifyReloading(ctx)
	config, err := Load(path, environ)
	if err == nil {
		err = g.Reload(ctx, config)
	}
	if err != nil {
		g.log.ErrorContext(ctx, "the configuration stays as it was", "cause", err)
	}
	g.notifyReloaded(ctx, err)
}

// Reload puts a new configuration into force without dropping a request:
// hosts, providers and policies. A bad one changes nothing.
func (g *Gateway) Reload(ctx context.Context, c *Config) error {
	if err := needsRestart(g.config, c); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	s, err := g.newSite(c)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	old := g.site.Swap(s)
	g.metrics.show(s.series)
	if g.hosts != nil {
		g.hosts.Set(g.hostNames()...)
	}
	if g.files != nil {
		if err := g.files.Reload(); err != nil {
			g.log.ErrorContext(ctx, "the certificates stay as they were", "cause", err)
		}
	}
	old.table.Close()
	go g.prepare(ctx, s.providers)
	g.audit.Record(ctx, audit.Reloaded, audit.Count("hosts", int64(len(s.table.Routes()))))
	g.log.InfoContext(ctx, "configuration reloaded", "hosts", len(s.table.Routes()))
	return nil
}

// needsRestart names what cannot change while the process runs.
func needsRestart(was, is *Config) error {
	var errs []error
	for _, part := range []struct {
		key     string
		was, is any
	}{
		{"server", was.Server, is.Server},
		{"tls.mode", was.TLS.Mode, is.TLS.Mode},
		{"tls.acme", was.TLS.ACME, is.TLS.ACME},
		{"store", was.Store, is.Store},
		{"token", was.Token, is.Token},
		{"session", was.Session, is.Session},
		{"audit", was.Audit, is.Audit},
		{"tracing", was.Tracing, is.Tracing},
		{"logging", was.Logging, is.Logging},
		{"web", was.Web, is.Web},
	} {
		if !reflect.DeepEqual(part.was, part.is) {
			errs = append(errs, fmt.Errorf("%s: a change needs a restart", part.key))
		}
	}
	return errors.Join(errs...)
}
