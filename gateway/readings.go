package gateway

import (
	"strconv"
)

// watch shows what other parts of the program keep.
func (g *Gateway) watch() {
	g.metrics.gauge("mcp_upstream_up", "1 if the MCP server answered when last heard of, 0 if not.", []string{"host"}, g.upstreamUp)
	g.metrics.gauge("store_behind_seconds", "For how long changes by other replicas may not have been heard of.", nil, func(is func(float64, ...string)) {
		is(g.store.Behind().Seconds())
	})
	g.metrics.gauge("signing_key_age_seconds", "For how long the key has been signing that signs access tokens now.", nil, func(is func(float64, ...string)) {
		if since, ok := g.ring.SigningSince(); ok {
			is(g.now().Sub(since).Seconds())
		}
	})
	g.metrics.gauge("audit_queue_length", "Events that wait to be written to the audit log.", nil, func(is func(float64, ...string)) {
		is(float64(g.audit.Waiting()))
	})
	g.metrics.counter("audit_wait_seconds_total", "For how long requests have waited for a place in the queue of the audit log.", func(is func(float64, ...string)) {
		is(g.audit.Waited().Seconds())
	})
	g.metrics.counter("log_lines_dropped_total", "Lines of the log that were not written, because what it goes to takes none.", func(is func(float64, ...string)) {
		if g.logged != nil {
			is(float64(g.logged.Dropped()))
		}
	})
	g.metrics.gauge("build_info", "1; the labels say what is running.", []string{"version", "revision", "go_version", "fips"}, func(is func(float64, ...string)) {
		b := g.o.Build
		is(1, b.Version, b.Revision, b.Go, strconv.FormatBool(b.FIPSOn))
	})
}
