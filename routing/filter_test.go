package routing_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/routing/routingtest"
)

// listed sends tools/list and returns the names of the answer, its cursor and
// its cache scope.
func listed(t *testing.T, answer string) (names []string, cursor, cache string) {
	t.Helper()
	if at := strings.Index(answer, "data: "); at >= 0 {
		answer, _, _ = strings.Cut(answer[at+len("data: "):], "\n")
	}
	var m struct {
		Result struct {
			Tools []struct {
				Name string `json:"name"`
			} `json:"tools"`
			NextCursor string `json:"nextCursor"`
			CacheScope string `json:"cacheScope"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(answer), &m); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	for _, tool := range m.Result.Tools {
		names = append(names, tool.Name)
	}
	return names, m.Result.NextCursor, m.Result.CacheScope
}

const listTools = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{%s"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
	`"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`

func TestListsAreShortenedToWhatTheTokenMayCall(t *testing.T) {
	o := routingtest.Options{
		Era: routingtest.Modern, PageSize: 2, Scopes: noteScopes,
		Tools: []routingtest.Tool{{Name: "create"}, {Name: "delete"}, {Name: "get"}, {Name: "list"}, {Name: "odd"}},
	}
	for name, tc := range map[string]struct {
		tools, unscoped string
		want            []string
	}{
		"G10 granted":             {"granted", "", []string{"get", "list", "odd", "stream"}},
		"G10 granted, others not": {"granted", "deny", []string{"get", "list"}},
		"G11 all":                 {"all", "", []string{"create", "delete", "get", "list", "odd", "stream"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := routingtest.New(t, o)
			f := newFront(t, routing.Config{Endpoint: parse(t, s.URL), EnforceScopes: true, ToolsList: tc.tools, UnscopedTools: tc.unscoped})
			var got []string
			cursor, pages := "", 0
			for {
				param := ""
				if cursor != "" {
					param = fmt.Sprintf(`"cursor":%q,`, cursor)
				}
				status, answer := f.post(t, fmt.Sprintf(listTools, param), "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/list", "Accept-Encoding", "gzip")
				if status != http.StatusOK {
					t.Fatalf("%d %s", status, answer)
				}
				names, next, cache := listed(t, answer)
				if tc.tools == "granted" && cache != "private" {
					t.Errorf("G10 cacheScope %q", cache)
				}
				got = append(got, names...)
				if pages++; next == "" {
					break
				}
				cursor = next
			}
			if pages != 3 || !slices.Equal(got, tc.want) {
				t.Errorf("%d pages with %q, want 3 with %q", pages, got, tc.want)
			}
		})
	}
}

func TestListsAreShortenedInEveryShape(t *testing.T) {
	list := `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"delete","description":"<x>"},{"name":"get","description":"<y>"}],"cacheScope":"public","x":1.50}}`
	short := `{"id":1,"jsonrpc":"2.0","result":{"cacheScope":"private","tools":[{"name":"get","description":"<y>"}],"x":1.50}}`
	other := `{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"tools: delete"}]}}`
	for name, tc := range map[string]struct{ kind, body, want string }{
		"G10 JSON":                        {"application/json; charset=utf-8", list, short},
		"G10 a batch":                     {"application/json", "[" + list + "," + other + "]", "[" + short + "," + other + "]"},
		"G12 an event":                    {"text/event-stream", "event: message\nid: 7\ndata: " + list + "\n\n", "event: message\nid: 7\ndata: " + short + "\n\n"},
		"G12 an event of several lines":   {"text/event-stream", "id: 7\r\ndata: " + list[:17] + "\r\ndata: " + list[17:] + "\r\n\r\n", "id: 7\ndata: " + short + "\n\n"},
		"G12 with lines that end in CR":   {"text/event-stream", "data:" + list + "\r\r", "data: " + short + "\n\n"},
		"G12 the last, without its end":   {"text/event-stream", "data: " + list, "data: " + short + "\n\n"},
		"G12 other events as they are":    {"text/event-stream", ": hi\n\nretry: 5\n\ndata:" + other + "\r\n\r\n", ": hi\n\nretry: 5\n\ndata:" + other + "\r\n\r\n"},
		"G12 a comment before, and after": {"text/event-stream", ":a\ndata: " + list + "\n\n:b\n", ":a\ndata: " + short + "\n\n:b\n"},
		"no message at all":               {"text/event-stream", "event: endpoint\ndata: /tools?s=1\n\n", "event: endpoint\ndata: /tools?s=1\n\n"},
		"a call's answer":                 {"application/json", other, other},
		"an error":                        {"application/json", `{"jsonrpc":"2.0","id":1,"error":{"code":1}}`, `{"jsonrpc":"2.0","id":1,"error":{"code":1}}`},
	} {
		for _, piece := range []int{1 << 20, 1, 7} {
			t.Run(fmt.Sprintf("%s, %d bytes at a time", name, piece), func(t *testing.T) {
				c := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", tc.kind)
					for b := range slices.Chunk([]byte(tc.body), piece) {
						_, _ = w.Write(b)
						_ = http.NewResponseController(w).Flush()
					}
				})
				c.ToolsList = "granted"
				f := newFront(t, scopedConfig(c))
				if _, got := f.post(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); got != tc.want {
					t.Errorf("got\n%q, want\n%q", got, tc.want)
				}
			})
		}
	}
}

func scopedConfig(c routing.Config) routing.Config {
	for _, s := range noteScopes {
		c.Scopes = append(c.Scopes, routing.Scope(s))
	}
	c.ScopesSet, c.EnforceScopes = true, true
	return c
}

func TestAListThatCannotBeReadIsNotPassedOn(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"no JSON":    func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"result":{"tools":[{"name":"delete"}`) },
		"no list":    func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"result":{"tools":{"name":"delete"}}}`) },
		"compressed": func(w http.ResponseWriter) { w.Header().Set("Content-Encoding", "br"); _, _ = io.WriteString(w, `x`) },
		"too large": func(w http.ResponseWriter) {
			_, _ = w.Write(bytes.Repeat([]byte(" "), 5000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				answer(w)
			})
			c.ToolsList = "granted"
			f := newFront(t, scopedConfig(c), func(o *routing.Options) { o.MaxBody = 4096 })
			if status, body := f.post(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); status != http.StatusBadGateway || strings.Contains(body, "delete") {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}
