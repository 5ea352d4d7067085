package routingtest

import (
	"context"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Stream is the tool that every server has: it sends one progress notification
// for each text from Step, until Step is closed.
const Stream = "stream"

func (s *Server) addStream() {
	s.mcp.AddTool(&mcp.Tool{Name: Stream, InputSchema: map[string]any{"type": "object"}},
		func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			for n := 1.0; ; n++ {
				select {
				case <-ctx.Done():
					s.Gone <- struct{}{}
					return nil, ctx.Err()
				case step, more := <-s.Step:
					if !more {
						return text(Stream), nil
					}
					err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
						ProgressToken: "t", Progress: n, Message: step,
					})
					if err != nil {
						return nil, err
					}
				}
			}
		})
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}

// middleware notes the calls and writes the scopes into every page of
// tools/list.
func (s *Server) middleware(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if call, ok := req.(*mcp.CallToolRequest); ok {
			s.mu.Lock()
			s.calls = append(s.calls, call.Params.Name)
			s.mu.Unlock()
		}
		res, err := next(ctx, method, req)
		if list, ok := res.(*mcp.ListToolsResult); ok && err == nil {
			s.advertise(list)
		}
		return res, err
	}
}

func (s *Server) advertise(list *mcp.ListToolsResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list.TTLMs = int(s.options.TTL.Milliseconds())
	if s.options.Scopes == nil {
		return
	}
	key := s.options.MetaKey
	if key == "" {
		key = "scopes"
	}
	list.Meta = mcp.Meta{key: s.options.Scopes}
}
