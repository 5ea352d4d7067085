//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// TestGoSDKClient is TestTypeScriptSDKClient with the other official client,
// which speaks the newest revision of the protocol where the server does.
func TestGoSDKClient(t *testing.T) {
	w := newWorld(t)
	for host, c := range errands {
		t.Run(host, func(t *testing.T) {
			session := connect(t, &mcp.StreamableClientTransport{
				Endpoint: w.origin(host) + "/mcp", HTTPClient: w.client(t),
				OAuthHandler: signsIn(t, w.client(t), func(url string) { browse(t, w.authority).consents(t, url, "Go SDK", names[host]) }),
			})
			tools, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(tools.Tools, func(tool *mcp.Tool) bool { return tool.Name == c.tool }) {
				t.Errorf("%d tools, without %s", len(tools.Tools), c.tool)
			}
			if got := callTool(t, session, c.tool, c.arguments); got != c.answer {
				t.Errorf("%s answers %q, want %q", c.tool, got, c.answer)
			}
		})
	}
}

// signsIn answers the SDK's wish for a code: consents goes to the URL with a
// browser, and the code comes back to a listener here.
func signsIn(t *testing.T, hc *http.Client, consents func(url string)) auth.OAuthHandler {
	t.Helper()
	answers := make(chan *auth.AuthorizationResult, 1)
	listener := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("code") == "" && q.Get("error") == "" {
			http.NotFound(rw, r) // the browser's wish for an icon
			return
		}
		answers <- &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}
		_, _ = fmt.Fprint(rw, "You may close this window.")
	}))
	t.Cleanup(listener.Close)
	redirect := listener.URL + "/callback"
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		Client:      hc,
		RedirectURL: redirect,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "Go SDK", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"},
		}},
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			consents(args.URL)
			select {
			case answer := <-answers:
				return answer, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// connect opens a session that ends with the test.
func connect(t *testing.T, transport mcp.Transport) *mcp.ClientSession {
	t.Helper()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() }) // the test is over
	return session
}

// callTool is the text that the tool answers with.
func callTool(t *testing.T, session *mcp.ClientSession, name string, arguments any) string {
	t.Helper()
	res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Content) == 0 {
		t.Fatalf("%s answers nothing", name)
	}
	text, ok := res.Content[0].(*mcp.TextContent)
	if !ok || res.IsError {
		t.Fatalf("%s answers %+v", name, res)
	}
	return text.Text
}
