//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// addNote needs a permission that whoever may only read does not have.
var addNote = call{tool: "create_resource", arguments: map[string]any{"name": "a note", "text": "written after asking again"}}

// TestStepUp: a person allows reading alone; the client calls a tool that writes,
// meets R11's 403, and asks for a browser again by itself. There the person ticks
// what is missing, and the same call goes through.
func TestStepUp(t *testing.T) {
	// With a refresh token this SDK would spend it rather than ask, be refused
	// again and give up: its issue 2255. Without one it does what it should.
	t.Run("the TypeScript SDK's client", func(t *testing.T) {
		origin := startDemo(t)
		b := browse(t, nil)
		client := startTypeScript(t, nil, origin, addNote, "authorization_code")
		b.allowsReading(t, client.asks(t, 1))
		b.allowsMore(t, client.asks(t, 2))
		got := client.ends(t)
		if !strings.Contains(got.text(), "a note") {
			t.Errorf("%s answers %+v", addNote.tool, got.Result)
		}
		if scopes := scopesOf(t, got.Token); !slices.Equal(scopes, slices.Sorted(slices.Values(append(reading, "toolbox:create_resource")))) {
			t.Errorf("the token has %v", scopes)
		}
	})
	t.Run("the Go SDK's client", func(t *testing.T) {
		origin := startDemo(t)
		b := browse(t, nil)
		visits := []func(*testing.T, string){b.allowsReading, b.allowsMore}
		session := connect(t, &mcp.StreamableClientTransport{Endpoint: origin + "/mcp", OAuthHandler: signsIn(t, nil, func(url string) {
			if len(visits) == 0 {
				t.Errorf("the client asks for a browser a third time: %s", url)
				return
			}
			visits[0](t, url)
			visits = visits[1:]
		})})
		if len(visits) != 1 {
			t.Fatalf("%d visits are left after the client has connected", len(visits))
		}
		if got := callTool(t, session, addNote.tool, addNote.arguments); !strings.Contains(got, "a note") || len(visits) > 0 {
			t.Errorf("%s answers %q, with %d visits left", addNote.tool, got, len(visits))
		}
	})
}

// reading is what is ticked on the page of a client that asks for everything:
// the permission to read, and those it covers.
var reading = []string{"toolbox:read_only", "toolbox:get_resource", "toolbox:list_resources"}

// allowsReading leaves the page as it is, whatever was asked for.
func (b *browser) allowsReading(t *testing.T, authorizeURL string) {
	t.Helper()
	b.opens(t, authorizeURL, allow)
	b.hasTicked(t, reading...)
	b.clicks(t, allow)
	b.clicks(t, signIn)
	b.do(t, "arrive at the client", chromedp.WaitVisible(chromedp.CSS(arrived)))
}

// allowsMore finds ticked what was allowed before, and ticks what is asked for
// besides. Who it is the gateway knows by now.
func (b *browser) allowsMore(t *testing.T, authorizeURL string) {
	t.Helper()
	asked, err := url.Parse(authorizeURL)
	if err != nil {
		t.Fatal(err)
	}
	scopes := strings.Fields(asked.Query().Get("scope"))
	for _, want := range []string{"toolbox:read_only", "toolbox:create_resource"} { // R14
		if !slices.Contains(scopes, want) {
			t.Errorf("the client asks for %v, without %s", scopes, want)
		}
	}
	b.opens(t, authorizeURL, allow)
	b.hasTicked(t, reading...)
	b.clicks(t, `input[name=scope][value="toolbox:create_resource"]`)
	b.clicks(t, allow)
	b.do(t, "arrive at the client", chromedp.WaitVisible(chromedp.CSS(arrived)))
}

func (b *browser) hasTicked(t *testing.T, want ...string) {
	t.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll("input[name=scope]:checked")].map(b => b.value)`))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("ticked are %v, want %v", got, want)
	}
}

// scopesOf reads an access token; that it is signed is not the point here.
func scopesOf(t *testing.T, token string) []string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Scopes []string }
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	slices.Sort(claims.Scopes)
	return claims.Scopes
}
