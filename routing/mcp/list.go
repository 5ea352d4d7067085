package mcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// What a server may make us read before we stop believing it.
const (
	maxTools   = 1000
	maxPages   = 100
	maxBytes   = 4 << 20
	maxListing = 10 * time.Second
)

// A ListError is a server that could not be asked. Definite means that it is
// there and answered, only not with a list: it speaks another dialect, or wants
// a credential. Otherwise nothing is known, and asking again may help.
type ListError struct {
	Definite bool
	Cause    error
}

// Error names the step.
func (e *ListError) Error() string { return fmt.Sprintf("ask tools/list: %v", e.Cause) }

// Unwrap returns the cause.
func (e *ListError) Unwrap() error { return e.Cause }

// List asks the server at endpoint for all its tools and the scopes it declares
// beside them, with the given headers on every request. It works with servers of
// every revision since 2025-03-26. The error is a *ListError.
func List(ctx context.Context, client *http.Client, endpoint string, header http.Header) (*Listing, error) {
	ctx, cancel := context.WithTimeout(ctx, maxListing)
	defer cancel()
	m := &meter{next: client.Transport, header: header, left: maxBytes}
	l, err := list(ctx, m, endpoint)
	if err == nil {
		return l, nil
	}
	if m.over() {
		err = fmt.Errorf("the answers are over %d bytes", maxBytes)
	}
	return nil, &ListError{Definite: ctx.Err() == nil && m.answered() && !errors.Is(err, errPages), Cause: err}
}

func list(ctx context.Context, m *meter, endpoint string) (*Listing, error) {
	client := sdk.NewClient(&sdk.Implementation{Name: "mcp-oauth2-proxy", Version: "1"},
		&sdk.ClientOptions{Capabilities: &sdk.ClientCapabilities{}})
	session, err := client.Connect(ctx, &sdk.StreamableClientTransport{
		Endpoint: endpoint,
		HTTPClient: &http.Client{
			Transport: m,
			// The credential is for this server, not for whom it points to.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		MaxRetries:           -1,
		MaxEventSize:         maxBytes,
		DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	// A server may take its time to end a session; nobody has to wait for it.
	// The SDK bounds it to five seconds.
	defer func() { go func() { _ = session.Close() }() }()
	return pages(ctx, session)
}

var errPages = fmt.Errorf("more than %d pages", maxPages)

func pages(ctx context.Context, session *sdk.ClientSession) (*Listing, error) {
	l := &Listing{}
	var g gathered
	params := &sdk.ListToolsParams{}
	for range maxPages {
		page, err := session.ListTools(ctx, params)
		if err != nil {
			return nil, err
		}
		for _, t := range page.Tools {
			if len(l.Tools) < maxTools {
				l.Tools = append(l.Tools, tool(t))
			}
		}
		g.add(page.Meta)
		if ttl := time.Duration(page.TTLMs) * time.Millisecond; ttl > 0 && (l.TTL == 0 || ttl < l.TTL) {
			l.TTL = ttl
		}
		if page.NextCursor == "" {
			l.Scopes = g.scopes
			return l, nil
		}
		params = &sdk.ListToolsParams{Cursor: page.NextCursor}
	}
	return nil, errPages
}

// tool takes a mark only where the server made it: without annotations a tool
// is neither.
func tool(t *sdk.Tool) Tool {
	out := Tool{Name: t.Name, Title: t.Title, Description: t.Description, Arguments: arguments(t)}
	out.Digest, out.Definition = define(t)
	if a := t.Annotations; a != nil {
		out.ReadOnly = a.ReadOnlyHint
		out.Destructive = !a.ReadOnlyHint && a.DestructiveHint != nil && *a.DestructiveHint
		if out.Title == "" {
			out.Title = a.Title
		}
	}
	return out
}
