package gateway

import (
	"context"
	"time"

	"mcp-oauth2-proxy/routing"

	"github.com/prometheus/client_golang/prometheus"
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

// upstreamUp shows the health of MCP servers as a metric. It is read when it is
// asked for, because a reload changes which hosts there are.
type upstreamUp struct {
	g    *Gateway
	desc *prometheus.Desc
}

func newUpstreamUp(g *Gateway) upstreamUp {
	return upstreamUp{g, prometheus.NewDesc("mcp_upstream_up", "1 if the MCP server answered when last heard of, 0 if not.", []string{"host"}, nil)}
}

// Describe implements prometheus.Collector.
func (u upstreamUp) Describe(ch chan<- *prometheus.Desc) { ch <- u.desc }

// Collect implements prometheus.Collector. Of whom nothing is known, nothing is
// said.
func (u upstreamUp) Collect(ch chan<- prometheus.Metric) {
	for _, route := range u.g.site.Load().table.Routes() {
		h := route.Health()
		if !h.Known {
			continue
		}
		value := 0.0
		if h.Up {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(u.desc, prometheus.GaugeValue, value, route.Host)
	}
}
