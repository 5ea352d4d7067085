// Package routingtest runs a real small MCP server for tests: it speaks the
// official SDK's protocol on a real listener, advertises the scopes and tools
// it is given, and remembers every request and every call it got.
//
// It knows nothing of the gateway.
package routingtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Era says which revisions of MCP a server speaks.
type Era int

// The eras.
const (
	Both     Era = iota // every revision the SDK knows, without sessions
	Sessions            // up to 2025-11-25: initialize, sessions, GET streams
	Modern              // 2026-07-28: no sessions
)

// A Scope is one entry of _meta.scopes.
type Scope struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Tools       []string `json:"tools,omitempty"`
}

// A Tool that answers with its own name.
type Tool struct {
	Name, Title, Description string
	ReadOnly, Destructive    bool
	Schema                   map[string]any // of the input; default: any object
	Pinnable                 []string       // arguments that it marks as such
}

// Options of a server. The zero value has no scopes and no tools but the
// stream.
type Options struct {
	Era      Era
	Scopes   []Scope
	Tools    []Tool
	MetaKey  string        // default: scopes
	PageSize int           // tools on a page; 0: all
	TTL      time.Duration // told as ttlMs
	// Before sees every request; if it returns true it has answered.
	Before func(w http.ResponseWriter, r *http.Request) bool
}

// A Request is what a server got.
type Request struct {
	Method, URI, Host string
	Header            http.Header
	Body              []byte
}

// A Server is running until the test ends.
type Server struct {
	URL string // of the MCP endpoint, ending in /mcp

	// Step lets the tool "stream" send its next event; Gone is told when the
	// client of a stream is.
	Step chan string
	Gone chan struct{}

	http *httptest.Server
	mcp  *mcp.Server

	mu       sync.Mutex
	options  Options
	requests []Request
	calls    []string
}

// New starts a server.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := &Server{options: o, Step: make(chan string), Gone: make(chan struct{}, 16)}
	s.mcp = mcp.NewServer(&mcp.Implementation{Name: "routingtest", Version: "1"}, s.serverOptions())
	s.mcp.AddReceivingMiddleware(s.middleware)
	for _, t := range o.Tools {
		s.AddTool(t)
	}
	s.addStream()
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s.mcp },
		&mcp.StreamableHTTPOptions{Stateless: o.Era != Sessions, PropagateRequestCancellation: true})
	s.http = httptest.NewServer(s.record(handler))
	s.URL = s.http.URL + "/mcp"
	tb.Cleanup(s.Close)
	return s
}

func (s *Server) serverOptions() *mcp.ServerOptions {
	o := &mcp.ServerOptions{PageSize: s.options.PageSize}
	switch s.options.Era {
	case Sessions:
		o.SupportedProtocolVersions = []string{"2025-11-25", "2025-06-18", "2025-03-26"}
	case Modern:
		o.SupportedProtocolVersions = []string{"2026-07-28"}
	}
	return o
}

// Close stops the server at once, streams included.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// AddTool adds or replaces one while the server runs.
func (s *Server) AddTool(t Tool) {
	tool := &mcp.Tool{
		Name: t.Name, Title: t.Title, Description: t.Description,
		InputSchema: map[string]any{"type": "object"},
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: t.ReadOnly, DestructiveHint: &t.Destructive},
	}
	if t.Schema != nil {
		tool.InputSchema = t.Schema
	}
	if t.Pinnable != nil {
		tool.Meta = mcp.Meta{"example.com/pinnable": t.Pinnable}
	}
	s.mcp.AddTool(tool, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return text(t.Name), nil
	})
}

// RemoveTool removes one while the server runs.
func (s *Server) RemoveTool(name string) { s.mcp.RemoveTools(name) }

// SetScopes changes what the server advertises from now on.
func (s *Server) SetScopes(scopes ...Scope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.Scopes = scopes
}

// Requests returns what the server got so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Calls returns the tools that were called so far, in order.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// Lists says how often tools/list was asked, counting each page.
func (s *Server) Lists() int {
	n := 0
	for _, r := range s.Requests() {
		if bytes.Contains(r.Body, []byte(`"tools/list"`)) {
			n++
		}
	}
	return n
}

func (s *Server) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mu.Lock()
		s.requests = append(s.requests, Request{r.Method, r.RequestURI, r.Host, r.Header.Clone(), body})
		before := s.options.Before
		s.mu.Unlock()
		if before != nil && before(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}
