//go:build e2e

package e2e

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// TestLegacyTransport: HTTP+SSE of 2024-11-05, with a real server of it and the
// official client. Whoever learns the address of another's session cannot post
// to it (X21, X17).
func TestLegacyTransport(t *testing.T) {
	addr := freeAddr(t)
	a := newAuthority(t)
	host := "notes.example.test:" + port(t, addr)
	origin := "https://" + host
	cert, key := a.issue(t, "notes.example.test")
	serve(t, addr, settings{
		"tls": settings{"mode": "files", "files": settings{"cert": cert, "key": key}},
		"provider": settings{"name": "oidc", "issuerURL": startProvider(t, origin+"/callback"),
			"clientID": "gateway", "clientSecret": clientSecret, "allowedEmailDomains": []string{`example\.com`}},
		"proxy": settings{"hosts": []settings{{"host": host, "endpoint": startLegacy(t), "sseKeepAlive": "1s"}}},
	})
	token := func(login string) (*http.Client, string) {
		v := &visitor{client: a.client(t), types: map[string]string{"login": login, "password": "any will do"}}
		return v.client, v.signIn(t, origin).Access
	}
	hc, ada := token("ada")
	cmd := nodeCommand(t, "legacy.mjs", origin+"/sse", "trigger-long-running-operation", `{"duration":2,"steps":4}`)
	cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+a.file, "TOKEN="+ada)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	client := start(t, cmd)
	var got struct {
		Tools    []string
		Progress int
		Endpoint string
	}
	parse(t, client.says(t, `(?m)^\{"tools".*\}$`)[0], &got)
	if len(got.Tools) == 0 || got.Progress < 3 { // the SDK forgets the last, if the result comes with it
		t.Errorf("%d tools, %d notes of progress, want some and 3 or 4", len(got.Tools), got.Progress)
	}
	if !strings.HasPrefix(got.Endpoint, origin+"/message?sessionId=") {
		t.Errorf("X21: messages go to %s", got.Endpoint)
	}
	_, bob := token("bob")
	for name, tc := range map[string]struct {
		token, to string
		status    int
	}{
		"the client's own session":             {ada, got.Endpoint, http.StatusAccepted},
		"another user's":                       {bob, got.Endpoint, http.StatusNotFound},
		"an id as the MCP server knows it":     {ada, untagged(t, got.Endpoint), http.StatusNotFound},
		"the same, hidden in another spelling": {ada, strings.Replace(untagged(t, got.Endpoint), "sessionId", "session%49d", 1), http.StatusNotFound},
	} {
		t.Run("X21 "+name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tc.to, strings.NewReader(`{"jsonrpc":"2.0","id":"p","method":"ping"}`))
			if err != nil {
				t.Fatal(err)
			}
			if res := do(t, hc, req, tc.token, ""); res.StatusCode != tc.status {
				t.Errorf("%s, want %d", res.Status, tc.status)
			}
		})
	}
	_ = stdin.Close()
	if client.wait(t); client.err != nil {
		t.Errorf("the client ends with %v", client.err)
	}
}

// untagged is the address without what the gateway has added.
func untagged(t *testing.T, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	id, _, found := strings.Cut(u.Query().Get("sessionId"), ".")
	if !found {
		t.Errorf("X17: %s is bound to nobody", endpoint)
	}
	u.RawQuery = "sessionId=" + id
	return u.String()
}

// startLegacy starts npm's server-everything with the transport of 2024-11-05,
// and returns where its streams begin.
func startLegacy(t *testing.T) string {
	t.Helper()
	addr := freeAddr(t)
	cmd := nodeCommand(t, filepath.Join("node_modules", "@modelcontextprotocol", "server-everything", "dist", "index.js"), "sse")
	cmd.Env = append(cmd.Env, "PORT="+port(t, addr))
	start(t, cmd).accepts(t, addr)
	return "http://" + addr + "/sse"
}
