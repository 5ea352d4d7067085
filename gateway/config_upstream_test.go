package gateway

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
)

// hostWith is a configuration of one host with more keys.
func hostWith(keys string) string {
	return `
provider: {name: google, clientID: id, clientSecret: secret, allowedUsers: [ada@example.com]}
proxy: {hosts: [{host: notes.example.com, ` + keys + `}]}
tls: {mode: "off"}
`
}

func TestUpstreamKeys(t *testing.T) {
	for keys, want := range map[string]HostConfig{
		"endpoint: unix:///run/notes.sock|/mcp":                 {Endpoint: "unix:///run/notes.sock|/mcp", SSEKeepAlive: 25 * time.Second},
		"endpoint: https://10.0.0.1/mcp, serverName: n.example": {Endpoint: "https://10.0.0.1/mcp", ServerName: "n.example", SSEKeepAlive: 25 * time.Second},
		"endpoint: http://a/mcp, sseKeepAlive: 0":               {Endpoint: "http://a/mcp"},
		"endpoint: http://a/mcp, sseKeepAlive: 0s":              {Endpoint: "http://a/mcp"},
		"endpoint: http://a/mcp, sseKeepAlive: 1m":              {Endpoint: "http://a/mcp", SSEKeepAlive: time.Minute},
	} {
		c := loads(t, hostWith(keys))
		h := c.Proxy.Hosts[0]
		if h.Endpoint != want.Endpoint || h.SSEKeepAlive != want.SSEKeepAlive || h.trust() != want.trust() {
			t.Errorf("%s: %+v", keys, h)
		}
		table, err := routing.NewTable(c.routes(), routing.Options{})
		if err != nil || table.Routes()[0].Endpoint() != want.Endpoint {
			t.Errorf("%s: %v", keys, err)
		}
	}
	if w := loads(t, hostWith("endpoint: unix:///run/notes.sock|/mcp")).Warnings(); strings.Contains(strings.Join(w, "\n"), "in clear") {
		t.Errorf("a socket of this machine: %q", w)
	}
}

func TestUpstreamKeysThatCannotWork(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "none.pem")
	at := "proxy.hosts[0]."
	for keys, want := range map[string]string{
		"endpoint: unix://run/notes.sock|/mcp":                             at + "endpoint: ",
		"endpoint: unix:///run/notes.sock":                                 at + "endpoint: ",
		fmt.Sprintf("endpoint: unix:///%s|/mcp", strings.Repeat("x", 200)): at + "endpoint: ",
		"endpoint: http://a/mcp, serverName: a":                            at + "endpoint: ",
		"endpoint: unix:///run/notes.sock|/mcp, serverName: a":             at + "endpoint: ",
		"endpoint: https://a/mcp, caFile: " + empty:                        at + "caFile: ",
		"endpoint: https://a/mcp, caFile: /etc/hostname":                   at + "caFile: ",
		"endpoint: https://a/mcp, clientCert: " + empty:                    at + "clientKey: ",
		"endpoint: https://a/mcp, clientKey: " + empty:                     at + "clientCert: ",
		"endpoint: http://a/mcp, sseKeepAlive: 10ms":                       at + "sseKeepAlive: 10ms is not between",
		"endpoint: http://a/mcp, sseKeepAlive: 2h":                         at + "sseKeepAlive: 2h0m0s is not between",
		"endpoint: http://a/mcp, sseKeepAlive: 25":                         at + "sseKeepAlive: is a number",
	} {
		wantFaults(t, faultsOf(t, hostWith(keys)), want)
	}
	wantFaults(t, faultsOf(t, sound+"server: {limits: {requestsPerMinute: -1}}\n"), "server.limits.requestsPerMinute: -1 is less than 0")
}
