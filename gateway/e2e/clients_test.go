//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
)

// A call is one tool to call at one of the world's hosts, and a piece of what
// only that host's own MCP server answers.
type call struct {
	tool      string
	arguments map[string]any
	answer    string
}

// errands are what each client does at each host. That the answers differ shows
// that each host reaches its own MCP server.
var errands = map[string]call{
	"notes": {"echo", map[string]any{"message": "good morning"}, "Echo: good morning"},
	"tasks": {"test_simple_text", map[string]any{}, "This is a simple text response for testing."},
}

// names are what the hosts are called on the consent page.
var names = map[string]string{"notes": "Notes", "tasks": "Tasks"}

func (w *world) origin(host string) string {
	return map[string]string{"notes": w.notes, "tasks": w.tasks}[host]
}

// TestTypeScriptSDKClient: the official client, unmodified, from the first 401
// to the answer of a tool, with a person at a browser in between.
func TestTypeScriptSDKClient(t *testing.T) {
	w := newWorld(t)
	for host, c := range errands {
		t.Run(host, func(t *testing.T) {
			client := startTypeScript(t, w.authority, w.origin(host), c, "authorization_code", "refresh_token")
			browse(t, w.authority).consents(t, client.asks(t, 1), "TypeScript SDK", names[host])
			if got := client.ends(t); !slices.Contains(got.Tools, c.tool) || got.text() != c.answer {
				t.Errorf("%s of %v answers %+v, want %q", c.tool, got.Tools, got.Result, c.answer)
			}
		})
	}
}

// typescript is the official TypeScript SDK's client, on one errand.
type typescript struct{ *process }

func startTypeScript(t *testing.T, a *authority, origin string, c call, grantTypes ...string) typescript {
	t.Helper()
	arguments, err := json.Marshal(c.arguments)
	if err != nil {
		t.Fatal(err)
	}
	grants, err := json.Marshal(grantTypes)
	if err != nil {
		t.Fatal(err)
	}
	cmd := nodeCommand(t, "client.mjs", origin+"/mcp", c.tool, string(arguments))
	cmd.Env = append(cmd.Env, "GRANT_TYPES="+string(grants))
	if a != nil {
		cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+a.file)
	}
	return typescript{start(t, cmd)}
}

// asks is the address for which the client wants a browser, the nth time.
func (c typescript) asks(t *testing.T, nth int) string {
	t.Helper()
	var asked struct{ Authorize string }
	parse(t, c.says(t, `(?m)(?:^(\{"authorize".*\})\n[^{]*){`+strconv.Itoa(nth)+`}`)[1], &asked)
	return asked.Authorize
}

// result is what the client has to show in the end.
type result struct {
	Tools  []string
	Result struct {
		Content []struct{ Text string }
	}
	Token string
}

func (r result) text() string {
	if len(r.Result.Content) != 1 {
		return ""
	}
	return r.Result.Content[0].Text
}

func (c typescript) ends(t *testing.T) (r result) {
	t.Helper()
	parse(t, c.says(t, `(?m)^\{"tools".*\}$`)[0], &r)
	if c.wait(t); c.err != nil {
		t.Errorf("the client ends with %v", c.err)
	}
	return r
}

func parse(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
