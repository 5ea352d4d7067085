//go:build e2e

package e2e

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// A world is the gateway with two hosts over TLS, each in front of an MCP server
// of its own, and an OpenID provider that signs people in.
type world struct {
	*gateway
	*authority
	notes, tasks string // the origins
	issuer       string // of the OpenID provider
}

func newWorld(t *testing.T) *world {
	t.Helper()
	addr := freeAddr(t)
	w := &world{authority: newAuthority(t)}
	notes, tasks := "notes.example.test:"+port(t, addr), "tasks.example.test:"+port(t, addr)
	w.notes, w.tasks = "https://"+notes, "https://"+tasks
	w.issuer = startProvider(t, w.notes+"/callback", w.tasks+"/callback")
	cert, key := w.issue(t, "notes.example.test", "tasks.example.test")
	w.gateway = serve(t, addr, settings{
		"server": settings{"shutdownGrace": "6s"},
		"tls":    settings{"mode": "files", "files": settings{"cert": cert, "key": key}},
		"provider": settings{"name": "oidc", "displayName": "Example", "issuerURL": w.issuer,
			"clientID": "gateway", "clientSecret": clientSecret, "allowedEmailDomains": []string{`example\.com`}},
		"proxy": settings{"hosts": []settings{
			{"host": notes, "name": names["notes"], "endpoint": startEverything(t)},
			{"host": tasks, "name": names["tasks"], "endpoint": startReference(t)},
		}},
	})
	return w
}

const clientSecret = "a-secret-between-gateway-and-provider"

// startProvider starts the OpenID provider and returns its issuer.
func startProvider(t *testing.T, redirects ...string) string {
	t.Helper()
	uris, err := json.Marshal(redirects)
	if err != nil {
		t.Fatal(err)
	}
	cmd := nodeCommand(t, "idp.mjs")
	cmd.Env = append(cmd.Env, "CLIENT_ID=gateway", "CLIENT_SECRET="+clientSecret, "REDIRECT_URIS="+string(uris))
	return start(t, cmd).says(t, `(?m)^issuer (\S+)$`)[1]
}

// startEverything starts npm's server-everything, which speaks the revision of
// 2025-11-25, and returns its endpoint.
func startEverything(t *testing.T) string {
	t.Helper()
	addr := freeAddr(t)
	cmd := nodeCommand(t, filepath.Join("node_modules", "@modelcontextprotocol", "server-everything", "dist", "index.js"), "streamableHttp")
	cmd.Env = append(cmd.Env, "PORT="+port(t, addr))
	start(t, cmd).accepts(t, addr)
	return "http://" + addr + "/mcp"
}
