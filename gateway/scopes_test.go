package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing/routingtest"

	"golang.org/x/net/html"
)

// vault is an MCP server whose tools say enough to be changed.
func vault() routingtest.Options {
	object := map[string]any{"type": "object", "properties": map[string]any{"path": map[string]any{"type": "string"}}}
	return routingtest.Options{
		Era: routingtest.Modern,
		Scopes: []routingtest.Scope{
			{Name: "vault:read", Tools: []string{"read", "list"}},
			{Name: "vault:write", Tools: []string{"write"}},
		},
		Tools: []routingtest.Tool{
			{Name: "read", Description: "Reads one file.", ReadOnly: true, Schema: object},
			{Name: "list", Description: "Lists files.", ReadOnly: true, Schema: object},
			{Name: "write", Description: "Writes one file.", Schema: object},
			{Name: "wipe", Description: "Deletes everything.", Destructive: true},
		},
	}
}

// differences are what the consent page says of changes: a line per tool.
func differences(t *testing.T, page answer) []string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page.body))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for n := range doc.Descendants() {
		if n.Data != "section" || attributeOf(n, "class") != "changes" {
			continue
		}
		for li := range n.Descendants() {
			if li.Data == "li" {
				var said []string
				for text := range li.Descendants() {
					if text.Type == html.TextNode {
						said = append(said, strings.Fields(text.Data)...)
					}
				}
				out = append(out, strings.Join(said, " "))
			}
		}
	}
	return out
}

func TestG16_a_tool_that_changes_stops_until_its_user_has_seen_how(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*routingtest.Server)
		stops  string // of the tools read, list, write
		calls  string // the tool to call, where it has another name by now
		shows  []string
	}{
		"one letter of a description": {
			change: func(s *routingtest.Server) {
				retool(s, "read", func(t *routingtest.Tool) { t.Description = "Reads one mile." })
			},
			stops: "read", shows: []string{"read changed Description Reads one was: f is: m ile."},
		},
		"a letter that nobody sees": {
			change: func(s *routingtest.Server) {
				retool(s, "list", func(t *routingtest.Tool) { t.Description = "Lists files.\u200b" })
			},
			stops: "list", shows: []string{"list changed Description Lists files. is: [U+200B]"},
		},
		"a schema": {
			change: func(s *routingtest.Server) {
				retool(s, "write", func(t *routingtest.Tool) {
					t.Schema = map[string]any{"type": "object", "properties": map[string]any{"path": map[string]any{"type": "string"}, "sendTo": map[string]any{"type": "string"}}}
				})
			},
			stops: "write", shows: []string{`write changed Input {"properties":{"path":{"type":"string"} is: ,"sendTo":{"type":"string"} },"type":"object"}`},
		},
		"an annotation": {
			change: func(s *routingtest.Server) { retool(s, "write", func(t *routingtest.Tool) { t.Destructive = true }) },
			stops:  "write", shows: []string{`write changed Annotations {"destructiveHint": was: fals is: tru e,"idempotentHint":false,"readOnlyHint":false}`},
		},
		"another name": {
			change: func(s *routingtest.Server) {
				s.RemoveTool("list")
				s.AddTool(routingtest.Tool{Name: "list_all", Description: "Lists files.", ReadOnly: true})
				s.SetScopes(routingtest.Scope{Name: "vault:read", Tools: []string{"read", "list_all"}}, routingtest.Scope{Name: "vault:write", Tools: []string{"write"}})
			},
			stops: "list", calls: "list_all", shows: []string{
				`list_all new Description is: Lists files. Input is: {"type":"object"} Annotations is: {"destructiveHint":false,"idempotentHint":false,"readOnlyHint":true}`,
				"list no longer among what you allowed",
			},
		},
		"a scope that covers one more": {
			change: func(s *routingtest.Server) {
				s.SetScopes(routingtest.Scope{Name: "vault:read", Tools: []string{"read", "list", "wipe"}}, routingtest.Scope{Name: "vault:write", Tools: []string{"write"}})
			},
			stops: "wipe", calls: "wipe", shows: []string{
				`wipe new Description is: Deletes everything. Input is: {"type":"object"} Annotations is: {"destructiveHint":true,"idempotentHint":false,"readOnlyHint":false}`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, before(vault()))
			c, b := f.newClient(t, nil), f.newBrowser(t)
			all := []string{"scope", "vault:read vault:write"}
			tok := c.connect(t, b, all...)
			if pin, _ := claims(t, tok.access)["pin"].(string); len(pin) != 22 {
				t.Errorf("the pin is %q, want 128 bits of base64url", pin)
			}
			tools := []string{"read", "list", "write"}
			for _, tool := range tools {
				f.call(t, notes, tok.access, tool).wantStatus(t, http.StatusOK)
			}
			tc.change(f.upstream)
			f.forward(t, time.Minute+time.Second)

			if tc.calls == "" {
				tc.calls = tc.stops
			}
			for _, tool := range tools {
				if tool != tc.stops {
					f.call(t, notes, tok.access, tool).wantStatus(t, http.StatusOK)
				}
			}
			arrived := len(f.upstream.Calls())
			a := f.call(t, notes, tok.access, tc.calls)
			if h := a.Header.Get("WWW-Authenticate"); a.StatusCode != http.StatusForbidden || !strings.Contains(h, `error="insufficient_scope"`) || !strings.Contains(h, `scope="vault:read vault:write"`) {
				t.Errorf("%s is answered %s, %q", tc.calls, a.Status, h)
			}
			if len(f.upstream.Calls()) != arrived {
				t.Errorf("%s reached the server", tc.calls)
			}
			refreshed := c.refresh(t, tok.refresh).tokens(t)
			f.call(t, notes, refreshed.access, tc.calls).wantStatus(t, http.StatusForbidden)

			page := b.open(t, c.authorizeURL(all...))
			if got := differences(t, page); !slices.Equal(got, tc.shows) {
				t.Errorf("the page shows\n%q, want\n%q", got, tc.shows)
			}
			q := c.received(t, b.allow(t, page))
			tok = c.redeem(t, q.Get("code")).tokens(t)
			for _, tool := range append(tools, tc.calls) {
				if tool != tc.stops || tool == tc.calls {
					f.call(t, notes, tok.access, tool).wantStatus(t, http.StatusOK)
				}
			}
			if again := b.open(t, c.authorizeURL(all...)); len(differences(t, again)) > 0 {
				t.Errorf("it is shown again: %q", differences(t, again))
			}
		})
	}
}

// retool changes a tool of the vault.
func retool(s *routingtest.Server, name string, change func(*routingtest.Tool)) {
	for _, tool := range vault().Tools {
		if tool.Name == name {
			change(&tool)
			s.AddTool(tool)
		}
	}
}

func (a answer) wantStatus(t testing.TB, want int) {
	t.Helper()
	if a.StatusCode != want {
		t.Errorf("%s is answered %s, want %d: %s", a.at.Path, a.Status, want, a.body)
	}
}

func TestG16_who_was_not_signed_in_sees_the_difference_after_the_sign_in(t *testing.T) {
	f := newFixture(t, before(vault()))
	c := f.newClient(t, nil)
	c.connect(t, f.newBrowser(t), "scope", "vault:read")
	retool(f.upstream, "read", func(t *routingtest.Tool) { t.Description += " And tells." })
	f.forward(t, time.Minute+time.Second)

	b := f.newBrowser(t)
	page := b.open(t, c.authorizeURL("scope", "vault:read"))
	if got := differences(t, page); len(got) > 0 {
		t.Errorf("somebody who is not known yet is shown %q", got)
	}
	page = b.signIn(t, b.allow(t, page, "vault:read"), ada)
	if got := differences(t, page); len(got) != 1 || !strings.Contains(got[0], "And tells.") {
		t.Fatalf("after the sign-in, %s shows %q", page.at, got)
	}
	tok := c.redeem(t, c.received(t, b.allow(t, page)).Get("code")).tokens(t)
	f.call(t, notes, tok.access, "read").wantStatus(t, http.StatusOK)
}

func TestG16_a_change_between_the_page_and_the_answer_is_asked_about(t *testing.T) {
	f := newFixture(t, before(vault()))
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL("scope", "vault:read"))
	retool(f.upstream, "read", func(t *routingtest.Tool) { t.Description = "Sends files away." })
	f.forward(t, time.Minute+time.Second)
	page = b.allow(t, page, "vault:read")
	page.wantPage(t, http.StatusOK, "has changed. Please look again")
	page = b.allow(t, page, "vault:read")
	retool(f.upstream, "read", func(t *routingtest.Tool) { t.Description = "Burns files." })
	f.forward(t, time.Minute+time.Second)
	page = b.signIn(t, page, ada)
	if page.at.Path != "/consent" {
		t.Fatalf("a consent to other tools than there are ends at %s", page.at)
	}
	page.wantPage(t, http.StatusOK, "Burns files.")
	c.redeem(t, c.received(t, b.allow(t, page, "vault:read")).Get("code")).tokens(t)
}

func TestG16_a_remembered_consent_does_not_cover_tools_that_changed(t *testing.T) {
	f := newFixture(t, before(vault()))
	c, b := f.webClient(t), f.newBrowser(t)
	c.connect(t, b, "scope", "vault:read")
	if a := b.open(t, c.authorizeURL("scope", "vault:read")); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("the same again is asked about: %s", a.Status)
	}
	retool(f.upstream, "list", func(t *routingtest.Tool) { t.Description = "Lists all." })
	f.forward(t, time.Minute+time.Second)
	page := b.open(t, c.authorizeURL("scope", "vault:read"))
	page.wantPage(t, http.StatusOK, "What has changed")
}

func TestPinTools_false_lets_tools_change(t *testing.T) {
	f := newFixture(t, before(vault()), serving(`[{"host":"notes.example.com","endpoint":"%[1]s","pinTools":false}]`))
	_, tok := f.connected(t, "vault:read")
	if pin := claims(t, tok.access)["pin"]; pin != nil {
		t.Errorf("there is a pin: %v", pin)
	}
	retool(f.upstream, "read", func(t *routingtest.Tool) { t.Description = "Else." })
	f.forward(t, time.Minute+time.Second)
	f.call(t, notes, tok.access, "read").wantStatus(t, http.StatusOK)
}

func TestA_consent_lasts_as_long_as_was_chosen_and_a_refresh_never_passes_it(t *testing.T) {
	for choice, want := range map[string]time.Duration{"1h": time.Hour, "1d": 24 * time.Hour, "30d": 720 * time.Hour, "max": 2160 * time.Hour, "": 2160 * time.Hour} {
		t.Run("duration "+choice, func(t *testing.T) {
			f := newFixture(t, with("TOKEN_REFRESHIDLETTL", "2160h"))
			c, b := f.newClient(t, nil), f.newBrowser(t)
			page := b.open(t, c.authorizeURL())
			a := b.submit(t, page, "duration", choice, "decision", "allow", "scope", "notes:read")
			tok := c.redeem(t, c.received(t, b.signIn(t, a, ada)).Get("code")).tokens(t)
			f.forward(t, want-10*time.Minute)
			tok = c.refresh(t, tok.refresh).tokens(t)
			if tok.expires > 601 {
				t.Errorf("ten minutes before the end there is a token for %v s", tok.expires)
			}
			f.forward(t, 11*time.Minute)
			c.refresh(t, tok.refresh).wantJSON(t, http.StatusBadRequest, "invalid_grant")
		})
	}
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	if a := b.submit(t, page, "duration", "1y", "decision", "allow", "scope", "notes:read"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("a year is answered %s", a.Status)
	}
}

func TestA_remembered_consent_ends_with_the_duration_that_was_chosen(t *testing.T) {
	f := newFixture(t)
	c, b := f.webClient(t), f.newBrowser(t)
	a := b.submit(t, b.open(t, c.authorizeURL()), "duration", "1h", "decision", "allow", "scope", "notes:read")
	c.received(t, b.signIn(t, a, ada))
	f.forward(t, 50*time.Minute)
	again := b.open(t, c.authorizeURL())
	tok := c.redeem(t, c.received(t, again).Get("code")).tokens(t)
	if tok.expires > 601 {
		t.Errorf("without a page, the token lasts %v s of the ten minutes that are left", tok.expires)
	}
	f.forward(t, 11*time.Minute)
	b.open(t, c.authorizeURL()).wantPage(t, http.StatusOK, "Allow access")
}

func TestShortcuts_tick_all_that_only_reads_or_nothing(t *testing.T) {
	f := newFixture(t, before(vault()))
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL("scope", "vault:write"))
	for name, want := range map[string][]string{"readonly": {"vault:read"}, "none": nil} {
		i := slices.IndexFunc(page.links(t), func(l string) bool { return strings.HasSuffix(l, "tick="+name) })
		if i < 0 {
			t.Fatalf("no shortcut %s among %q", name, page.links(t))
		}
		again := b.open(t, notes+page.links(t)[i])
		if got := again.form(t).values["scope"]; !slices.Equal(got, want) {
			t.Errorf("%s ticks %q", name, got)
		}
	}
	q := c.received(t, b.signIn(t, b.allow(t, page, "vault:write"), ada))
	if got := c.redeem(t, q.Get("code")).tokens(t).scope; got != "vault:write" {
		t.Errorf("granted %q", got)
	}
}

func TestArguments_are_held_to_what_the_user_pinned(t *testing.T) {
	o := vault()
	o.Tools[2].Pinnable = []string{"path"}
	o.Tools[2].Schema = map[string]any{"type": "object", "properties": map[string]any{
		"path": map[string]any{"type": "string"}, "mode": map[string]any{"enum": []string{"append", "replace"}}, "size": map[string]any{"type": "integer"}}}
	f := newFixture(t, before(o), serving(`[{"host":"notes.example.com","endpoint":"%[1]s","pinnable":[{"tool":"write","argument":"mode"},{"tool":"write","argument":"size"}]}]`))
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL("scope", "vault:write"))
	if strings.Contains(page.body, "only:write:size") || !strings.Contains(page.body, `name="only:write:path"`) || !strings.Contains(page.body, "<option>append</option>") {
		t.Errorf("the page offers other arguments than the texts: %s", page.text())
	}
	b.submit(t, page, "only:write:mode", "explode", "decision", "allow", "scope", "vault:write").wantPage(t, http.StatusOK, "cannot be used")
	a := b.submit(t, page, "only:write:path", "me/notes/", "only:write:mode", "append", "decision", "allow", "scope", "vault:write")
	answered := c.redeem(t, c.received(t, b.signIn(t, a, ada)).Get("code"))
	tok := answered.tokens(t)
	want := `[{"type":"mcp_tool_arguments","locations":["https://notes.example.com/mcp"],"tool":"write","arguments":{"mode":"append","path":"me/notes/"}}]`
	if got := encoded(t, claims(t, tok.access)["authorization_details"]); !sameJSON(t, got, want) {
		t.Errorf("the token says %s", got)
	}
	if got := encoded(t, decoded(t, answered.body)["authorization_details"]); !sameJSON(t, got, want) {
		t.Errorf("the answer says %s", got)
	}
	for args, ok := range map[string]bool{
		`{"path":"me/notes/a","mode":"append"}`:            true,
		`{"mode":"append","path":"me\/notes\/a\/b"}`:       true,
		`{"path":"me/notes/a","mode":"append","size":1}`:   true,
		`{"path":"me/notes/../x","mode":"append"}`:         false,
		`{"path":"me/notes//x","mode":"append"}`:           false,
		`{"path":"me/notes/%2e%2e/x","mode":"append"}`:     false,
		`{"path":"me/notes/a\\b","mode":"append"}`:         false,
		`{"path":"me/notes","mode":"append"}`:              false,
		`{"path":"me/notesx","mode":"append"}`:             false,
		`{"path":"me/notes/a","mode":"replace"}`:           false,
		`{"path":"me/notes/a"}`:                            false,
		`{"mode":"append"}`:                                false,
		`{"path":["me/notes/a"],"mode":"append"}`:          false,
		`{"path":"me/notes/a","mode":"append","Path":"x"}`: false,
		`{"path":"me/notes/a\ud800","mode":"append"}`:      false,
		`"me/notes/a"`: false,
		`null`:         false,
	} {
		before := len(f.upstream.Calls())
		body := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"write","arguments":` + args + `}}`
		a := f.ask(t, http.MethodPost, notes+"/mcp", body, "Content-Type", "application/json", "Accept", "application/json, text/event-stream", "Authorization", "Bearer "+tok.access)
		if arrived := len(f.upstream.Calls()) > before; arrived != ok || (a.StatusCode == http.StatusForbidden) == ok {
			t.Errorf("%s: arrived %v, %s %s", args, arrived, a.Status, a.body)
		}
	}
	if refreshed := c.refresh(t, tok.refresh).tokens(t); claims(t, refreshed.access)["authorization_details"] == nil {
		t.Error("a refresh takes the limits away")
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	return encoded(t, decoded(t, `{"v":`+a+`}`)) == encoded(t, decoded(t, `{"v":`+b+`}`))
}
