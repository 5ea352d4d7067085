//go:build e2e

package e2e

import (
	"net"
	"path/filepath"
	"testing"
)

// TestConformanceAuthorization runs the official suite against the issuer, over
// TLS. It has no browser: it prints the authorization URL and waits, and the
// visitor goes there.
func TestConformanceAuthorization(t *testing.T) {
	w := newWorld(t)
	v := w.ada(t)
	_, at, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	redirect := "http://127.0.0.1:" + at + "/callback"
	id := register(t, v.client, w.notes, "conformance", redirect)
	cmd := nodeCommand(t, filepath.Join("node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js"),
		"authorization", "--url", w.notes, "--client-id", id, "--resource", w.notes+"/mcp", "-p", at)
	cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+w.file)
	suite := start(t, cmd)
	asked := suite.says(t, `(https://\S+/authorize\?\S+)`)[1]
	answer := v.visit(t, asked, redirect)
	res, err := v.client.Get(redirect + "?" + answer.Encode())
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if suite.wait(t); suite.err != nil {
		t.Errorf("the suite ends with %v", suite.err)
	}
	// Its exit code is 0 for warnings too, and for a scenario it left out.
	if got := suite.says(t, `(?m)^Total: (.*)$`)[1]; got != "3 passed, 0 failed" {
		t.Errorf("the suite counts %s, want 3 passed, 0 failed", got)
	}
}
