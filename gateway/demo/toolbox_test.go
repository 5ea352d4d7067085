package demo

import (
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// toolbox is a session with a toolbox of its own; without a version it is the
// newest that client and server have in common.
func toolbox(t *testing.T, versions ...string) *mcp.ClientSession {
	t.Helper()
	s := httptest.NewServer(Handler())
	t.Cleanup(s.Close)
	return connect(t, s.URL+path, versions...)
}

func connect(t *testing.T, url string, versions ...string) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	var o *mcp.ClientSessionOptions
	if len(versions) > 0 {
		o = &mcp.ClientSessionOptions{ProtocolVersion: versions[0]}
	}
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func call(t *testing.T, s *mcp.ClientSession, name string, args map[string]any) *mcp.CallToolResult {
	t.Helper()
	result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return result
}

// good calls a tool that has to work, and returns what it answers.
func good(t *testing.T, s *mcp.ClientSession, name string, args map[string]any) map[string]any {
	t.Helper()
	result := call(t, s, name, args)
	if result.IsError {
		t.Fatalf("%s %v: %v", name, args, result.Content[0].(*mcp.TextContent).Text)
	}
	return result.StructuredContent.(map[string]any)
}

func ids(t *testing.T, s *mcp.ClientSession) []string {
	t.Helper()
	var out []string
	for _, r := range good(t, s, "list_resources", map[string]any{})["resources"].([]any) {
		out = append(out, r.(map[string]any)["id"].(string))
	}
	return out
}

func TestToolsKeepResources(t *testing.T) {
	for name, versions := range map[string][]string{
		"in the revisions with sessions": {"2025-06-18"},
		"in the one before the last":     {"2025-11-25"},
		"in the last one":                {"2026-07-28"},
		"as the client likes":            nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := toolbox(t, versions...)
			before := ids(t, s)
			made := good(t, s, "create_resource", map[string]any{"name": "level", "text": "60 cm"})
			id := made["id"].(string)
			if got := good(t, s, "get_resource", map[string]any{"id": id}); got["text"] != "60 cm" {
				t.Errorf("what was made reads %v", got)
			}
			good(t, s, "update_resource", map[string]any{"id": id, "text": "120 cm"})
			if got := good(t, s, "get_resource", map[string]any{"id": id}); got["text"] != "120 cm" || got["name"] != "level" {
				t.Errorf("what was changed reads %v", got)
			}
			if after := ids(t, s); !slices.Equal(after, append(slices.Clone(before), id)) {
				t.Errorf("there were %v, and now %v", before, after)
			}
			good(t, s, "delete_resource", map[string]any{"id": id})
			if after := ids(t, s); !slices.Equal(after, before) {
				t.Errorf("after deleting there are %v, want %v", after, before)
			}
		})
	}
}

func TestRefusalsAreToldToTheModel(t *testing.T) {
	s := toolbox(t)
	long := strings.Repeat("x", maxText+1)
	for name, tc := range map[string]struct {
		tool string
		args map[string]any
		want string
	}{
		"to get what is not there":      {"get_resource", map[string]any{"id": "99"}, "no resource"},
		"to change what is not there":   {"update_resource", map[string]any{"id": "99", "name": "x"}, "no resource"},
		"to delete what is not there":   {"delete_resource", map[string]any{"id": "99"}, "no resource"},
		"to change nothing":             {"update_resource", map[string]any{"id": "1"}, "say what to change"},
		"to keep a text that is long":   {"create_resource", map[string]any{"name": "x", "text": long}, "at most"},
		"to grow a text beyond that":    {"update_resource", map[string]any{"id": "1", "text": long}, "at most"},
		"to keep a name that is long":   {"create_resource", map[string]any{"name": long[:maxName+1], "text": ""}, "a name has"},
		"to keep what has no name":      {"create_resource", map[string]any{"name": "", "text": "x"}, "a name has"},
		"to take what is not asked for": {"get_resource", map[string]any{"id": "1", "force": true}, "force"},
	} {
		t.Run(name, func(t *testing.T) {
			result := call(t, s, tc.tool, tc.args)
			if text := result.Content[0].(*mcp.TextContent).Text; !result.IsError || !strings.Contains(text, tc.want) {
				t.Errorf("it answers %q, want a refusal with %q", text, tc.want)
			}
		})
	}
}

func TestToolboxIsBounded(t *testing.T) {
	s := newShelf()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range maxResources {
				_, _ = s.add(resource{Name: "x"})
			}
		})
	}
	wg.Wait()
	if _, err := s.add(resource{Name: "x"}); err == nil || len(s.all) != maxResources {
		t.Errorf("it holds %d resources and answers %v", len(s.all), err)
	}
}

func TestScopesAreAdvertised(t *testing.T) {
	list, err := toolbox(t).ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var tools []string
	for _, tool := range list.Tools {
		tools = append(tools, tool.Name)
		readOnly := tool.Name == "get_resource" || tool.Name == "list_resources"
		if a := tool.Annotations; a == nil || a.ReadOnlyHint != readOnly || a.DestructiveHint == nil || tool.OutputSchema == nil {
			t.Errorf("%s says of itself %+v", tool.Name, a)
		}
	}
	slices.Sort(tools)
	advertised, _ := list.Meta["scopes"].([]any)
	if len(advertised) != 7 || len(tools) != 5 {
		t.Fatalf("there are %d scopes over %v", len(advertised), tools)
	}
	for _, one := range advertised {
		s := one.(map[string]any)
		named, _ := s["tools"].([]any)
		for _, tool := range named {
			if !slices.Contains(tools, tool.(string)) {
				t.Errorf("%s covers %s, which is no tool", s["name"], tool)
			}
		}
		if name := s["name"].(string); !strings.HasPrefix(name, "toolbox:") || s["description"] == "" || len(named) == 0 {
			t.Errorf("the scope %v is not complete", s)
		}
	}
}
