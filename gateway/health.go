package gateway

import (
	"context"
	"time"

	"mcp-oauth2-proxy/routing"

	"golang.org/x/sync/errgroup"
)

// probeEvery is how often a silent MCP server is looked after.
const probeEvery = 30 * time.Second

// probe looks after the MCP servers that nobody calls, until ctx ends.
func (g *Gateway) probe(ctx context.Context) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		var group errgroup.Group
		for _, route := range g.site.Load().table.Routes() {
			group.Go(func() error {
				route.Probe(ctx)
				return nil
			})
		}
		_ = group.Wait() // none fails: what they find is health
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// upstream is one MCP server as /readyz shows it.
type upstream struct {
	Status string     `json:"status"` // up, down or unknown
	Since  *time.Time `json:"since,omitempty"`
	Cause  string     `json:"cause,omitempty"`
}

// upstreams is how the MCP servers are, by host. It is information: the gateway
// is ready whatever they do.
func (g *Gateway) upstreams() map[string]upstream {
	all := map[string]upstream{}
	for _, route := range g.site.Load().table.Routes() {
		if !route.Proxied {
			continue
		}
		h := route.Health()
		u := upstream{Status: "unknown", Cause: h.Cause}
		if h.Known {
			u.Status, u.Since = status(h), &h.Since
		}
		all[route.Host] = u
	}
	return all
}

func status(h routing.Health) string {
	if h.Up {
		return "up"
	}
	return "down"
}

// upstreamUp is the health of MCP servers as a metric. Of whom nothing is known,
// nothing is said.
func (g *Gateway) upstreamUp(is func(value float64, labels ...string)) {
	for _, route := range g.site.Load().table.Routes() {
		switch h := route.Health(); {
		case !h.Known:
		case h.Up:
			is(1, route.Host)
		default:
			is(0, route.Host)
		}
	}
}
