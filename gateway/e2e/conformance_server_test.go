//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestConformanceThroughTheGatewayEqualsWithoutIt runs the official suite twice
// against each server, directly and through the gateway over TLS with a token,
// and compares check by check. The counts are those of the reference server.
func TestConformanceThroughTheGatewayEqualsWithoutIt(t *testing.T) {
	stateful := startReference(t, "-stateless=false")
	stateless := startReference(t)
	addr := freeAddr(t)
	a := newAuthority(t)
	// The suite checks the guard against DNS rebinding on loopback names only.
	old, modern := "localhost:"+port(t, addr), "127.0.0.1:"+port(t, addr)
	cert, key := a.issue(t, "localhost", "127.0.0.1")
	serve(t, addr, settings{
		"tls": settings{"mode": "files", "files": settings{"cert": cert, "key": key}},
		"provider": settings{"name": "oidc", "issuerURL": startProvider(t, "https://"+old+"/callback", "https://"+modern+"/callback"),
			"clientID": "gateway", "clientSecret": clientSecret, "allowedEmailDomains": []string{`example\.com`}},
		"proxy": settings{
			// What the suite takes for a good Origin, whatever the scheme of the URL.
			"allowedOrigins": []string{"http://" + old, "http://" + modern},
			"hosts":          []settings{{"host": old, "endpoint": stateful}, {"host": modern, "endpoint": stateless}},
		},
	})
	for revision, tc := range map[string]struct{ direct, host, total string }{
		"2025-11-25": {stateful, old, "82 passed, 0 failed"},
		"2026-07-28": {stateless, modern, "165 passed, 30 failed"}, // of an extension that the server lacks
	} {
		t.Run(revision, func(t *testing.T) {
			v := &visitor{client: a.client(t), types: map[string]string{"login": "ada", "password": "any will do"}}
			origin := "https://" + tc.host
			want := conformance(t, revision, strings.Replace(tc.direct, "127.0.0.1", "localhost", 1))
			got := conformance(t, revision, origin+"/mcp", "NODE_EXTRA_CA_CERTS="+a.file,
				"MCP_BEARER="+v.signIn(t, origin).Access, "MCP_BEARER_URL_PREFIX="+origin)
			if want.total != tc.total || got.total != tc.total {
				t.Errorf("%s directly, %s through the gateway, want %s", want.total, got.total, tc.total)
			}
			t.Logf("%d checks, %s", len(got.checks), got.total)
			if d := missing(want.checks, got.checks); len(d) > 0 {
				t.Errorf("only without the gateway:\n%s", strings.Join(d, "\n"))
			}
			if d := missing(got.checks, want.checks); len(d) > 0 {
				t.Errorf("only through the gateway:\n%s", strings.Join(d, "\n"))
			}
			if rebinding := "dns-rebinding-protection"; !slices.ContainsFunc(got.checks, func(c string) bool {
				return strings.HasPrefix(c, rebinding) && strings.HasSuffix(c, " SUCCESS")
			}) {
				t.Errorf("X2: %s did not run", rebinding)
			}
		})
	}
}

// A verdict is what the suite found: a line for each check, and its last words.
type verdict struct {
	checks []string
	total  string
}

var afterScenario = regexp.MustCompile(`-\d{4}-\d\d-\d\dT.*$`)

// conformance runs the suite's scenarios of a revision against an MCP server.
func conformance(t *testing.T, revision, url string, env ...string) verdict {
	t.Helper()
	preload, err := filepath.Abs(filepath.Join("conformance", "inject-auth.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	results := t.TempDir()
	cmd := nodeCommand(t, filepath.Join("node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js"),
		"server", "--url", url, "--requirements", revision, "-o", results)
	cmd.Env = append(cmd.Env, env...)
	cmd.Env = append(cmd.Env, "NODE_OPTIONS=--import "+preload)
	suite := start(t, cmd)
	suite.wait(t)
	v := verdict{total: suite.says(t, `(?m)^Total: (\d+ passed, \d+ failed)`)[1]}
	files, err := filepath.Glob(filepath.Join(results, "*", "checks.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the suite left no checks: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var checks []struct{ ID, Status string }
		if err := json.Unmarshal(text, &checks); err != nil {
			t.Fatal(err)
		}
		scenario := afterScenario.ReplaceAllString(strings.TrimPrefix(filepath.Base(filepath.Dir(file)), "server-"), "")
		for _, c := range checks {
			v.checks = append(v.checks, fmt.Sprintf("%s %s %s", scenario, c.ID, c.Status))
		}
	}
	slices.Sort(v.checks)
	return v
}

// missing are the lines of a that b has not as often.
func missing(a, b []string) []string {
	left := slices.Clone(b)
	var out []string
	for _, line := range a {
		if i := slices.Index(left, line); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		out = append(out, line)
	}
	return out
}

// startReference starts the Go SDK's server, which speaks every revision, and
// returns its endpoint.
func startReference(t *testing.T, flags ...string) string {
	t.Helper()
	addr := freeAddr(t)
	start(t, exec.Command(must(t, referenceServer), append([]string{"-http", addr}, flags...)...)).accepts(t, addr)
	return "http://" + addr + "/mcp"
}
