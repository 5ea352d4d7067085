//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
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
			arguments, err := json.Marshal(c.arguments)
			if err != nil {
				t.Fatal(err)
			}
			cmd := nodeCommand(t, "client.mjs", w.origin(host)+"/mcp", c.tool, string(arguments))
			cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+w.file)
			client := start(t, cmd)
			var asked struct{ Authorize string }
			parse(t, client.says(t, `(?m)^\{"authorize".*\}$`)[0], &asked)
			browse(t, w.authority).consents(t, asked.Authorize, "TypeScript SDK", names[host])
			var got struct {
				Tools  []string
				Result struct {
					Content []struct{ Text string }
				}
			}
			parse(t, client.says(t, `(?m)^\{"tools".*\}$`)[0], &got)
			if !slices.Contains(got.Tools, c.tool) {
				t.Errorf("tools are %v, without %s", got.Tools, c.tool)
			}
			if len(got.Result.Content) != 1 || got.Result.Content[0].Text != c.answer {
				t.Errorf("%s answers %+v, want %q", c.tool, got.Result, c.answer)
			}
			if client.wait(t); client.err != nil {
				t.Errorf("the client ends with %v", client.err)
			}
		})
	}
}

func parse(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
