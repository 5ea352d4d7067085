package demo

import (
	"context"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	path        = "/mcp"
	maxBody     = 1 << 20
	toolsMethod = "tools/list"
)

// Handler is the toolbox: an MCP server at /mcp. It keeps no sessions, so it
// speaks the revisions of MCP that have them as well as those that do not.
func Handler() http.Handler {
	server := newServer(newShelf())
	mux := http.NewServeMux()
	mux.Handle(path, mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, MaxRequestBodyBytes: maxBody, PropagateRequestCancellation: true},
	))
	return mux
}

func newServer(s *shelf) *mcp.Server {
	server := mcp.NewServer(
		&mcp.Implementation{Name: "toolbox", Title: "Toolbox", Version: "1.0.0"},
		&mcp.ServerOptions{
			Instructions: "The toolbox keeps short texts, called resources, in memory. List them, read them, and change them.",
			// The tools never change, so there is nothing to subscribe to.
			Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
		},
	)
	yes, no := true, false
	mcp.AddTool(server, &mcp.Tool{
		Name: "get_resource", Title: "Get a resource", Description: "Read one resource of the toolbox.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, DestructiveHint: &no, OpenWorldHint: &no},
	}, s.get)
	mcp.AddTool(server, &mcp.Tool{
		Name: "list_resources", Title: "List resources", Description: "List the resources of the toolbox: their ids, names and sizes.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, DestructiveHint: &no, OpenWorldHint: &no},
	}, s.list)
	mcp.AddTool(server, &mcp.Tool{
		Name: "create_resource", Title: "Create a resource", Description: "Put a new resource into the toolbox.",
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &no, OpenWorldHint: &no},
	}, s.create)
	mcp.AddTool(server, &mcp.Tool{
		Name: "update_resource", Title: "Update a resource", Description: "Replace the name or the text of a resource.",
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &yes, IdempotentHint: true, OpenWorldHint: &no},
	}, s.update)
	mcp.AddTool(server, &mcp.Tool{
		Name: "delete_resource", Title: "Delete a resource", Description: "Remove a resource from the toolbox, for good.",
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &yes, IdempotentHint: true, OpenWorldHint: &no},
	}, s.delete)
	server.AddReceivingMiddleware(advertise)
	return server
}

// A scope is what the toolbox advertises in _meta.scopes of tools/list.
type scope struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Tools       []string `json:"tools"`
}

func scopes() []scope {
	return []scope{
		{"toolbox:read_only", "Look at everything in the toolbox, and change nothing.", []string{"get_resource", "list_resources"}},
		{"toolbox:read_write", "Look at everything in the toolbox, and add, change and delete it.",
			[]string{"get_resource", "list_resources", "create_resource", "update_resource", "delete_resource"}},
		{"toolbox:get_resource", "Read a resource whose id is known.", []string{"get_resource"}},
		{"toolbox:list_resources", "See which resources there are, without their texts.", []string{"list_resources"}},
		{"toolbox:create_resource", "Add resources.", []string{"create_resource"}},
		{"toolbox:update_resource", "Overwrite resources that are there.", []string{"update_resource"}},
		{"toolbox:delete_resource", "Delete resources. There is no undo.", []string{"delete_resource"}},
	}
}

// advertise adds the scopes to the list of tools, which is where a gateway
// looks for them.
func advertise(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		result, err := next(ctx, method, req)
		if list, ok := result.(*mcp.ListToolsResult); ok && err == nil && method == toolsMethod {
			if list.Meta == nil {
				list.Meta = mcp.Meta{}
			}
			list.Meta["scopes"] = scopes()
		}
		return result, err
	}
}
