//go:build e2e

package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/oauth2"
)

// startDemo starts the try-out and returns its origin.
func startDemo(t *testing.T) string {
	t.Helper()
	return startDemoAt(t, freeAddr(t))
}

func startDemoAt(t *testing.T, addr string) string {
	t.Helper()
	p := start(t, exec.Command(must(t, product), "demo", "--addr", addr))
	p.says(t, `http://(127\.0\.0\.1|localhost):`+port(t, addr)+`/mcp`)
	p.accepts(t, addr)
	return "http://" + addr
}

func TestDemo(t *testing.T) {
	origin := startDemo(t)
	t.Run("whoever ticks everything may call everything", func(t *testing.T) {
		v := demoVisitor(t, nil)
		got := v.signIn(t, origin)
		if scopes := slices.Sorted(slices.Values(v.saw["scope"])); len(scopes) != 7 {
			t.Errorf("the consent page offers %v, want seven", scopes)
		}
		session := toolbox(t, origin, got.Access)
		scopes, tools := advertised(t, session)
		if !slices.Equal(scopes, slices.Sorted(slices.Values(v.saw["scope"]))) {
			t.Errorf("advertised are %v, offered %v", scopes, v.saw["scope"])
		}
		if len(tools) != 5 {
			t.Errorf("the tools are %v, want five", tools)
		}
		callTool(t, session, "list_resources", map[string]any{})
	})
	t.Run("whoever ticks reading may not delete", func(t *testing.T) {
		v := demoVisitor(t, func(scope string) bool { return strings.HasSuffix(scope, ":read_only") })
		got := v.signIn(t, origin)
		if got.Scope != "toolbox:read_only" {
			t.Errorf("the token's scope is %q", got.Scope)
		}
		session := toolbox(t, origin, got.Access)
		callTool(t, session, "list_resources", map[string]any{})
		_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "delete_resource", Arguments: map[string]any{"id": "1"}})
		if err == nil || !strings.Contains(err.Error(), "Forbidden") {
			t.Errorf("delete_resource answers %v, want 403", err)
		}
	})
}

// demoVisitor leaves the sign-in form as it is filled in.
func demoVisitor(t *testing.T, ticks func(string) bool) *visitor {
	t.Helper()
	return &visitor{client: (*authority)(nil).client(t), types: map[string]string{"username": "demo", "password": "demo"}, ticks: ticks}
}

// toolbox is a session of the Go SDK's client that has a token already.
func toolbox(t *testing.T, origin, token string) *mcp.ClientSession {
	t.Helper()
	hc := oauth2.NewClient(t.Context(), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}))
	return connect(t, &mcp.StreamableClientTransport{Endpoint: origin + "/mcp", HTTPClient: hc})
}

// advertised are the scopes and tools that tools/list names.
func advertised(t *testing.T, session *mcp.ClientSession) (scopes, tools []string) {
	t.Helper()
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		tools = append(tools, tool.Name)
	}
	all, _ := list.Meta["scopes"].([]any)
	for _, one := range all {
		scope, _ := one.(map[string]any)
		name, _ := scope["name"].(string)
		scopes = append(scopes, name)
	}
	slices.Sort(scopes)
	return scopes, tools
}
