package web

import (
	"strings"
	"time"
)

// samples are the pages and states that the golden files hold.
func samples() map[string]Page {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	choices := []Choice{{"google", "Google"}, {"github", "GitHub"}, {"corp", "Example Corp"}}
	consent := Consent{
		Server: "Toolbox", Host: "mcp.example.com", Resource: "https://mcp.example.com/mcp", Request: "r-1", Enforced: true,
		Client: Client{Name: "Claude", ID: "https://claude.ai/oauth/client.json", Host: "claude.ai", RedirectHost: "claude.ai",
			RedirectURI: "https://claude.ai/api/mcp/auth_callback"},
		Scopes: []Scope{
			{Name: "toolbox:read_only", Description: "Look at everything in the toolbox", Asked: true, Ticked: true, ReadOnly: true,
				Covers: []string{"toolbox:get_resource", "toolbox:list_resources"},
				Tools: []Tool{{Name: "get_resource", Description: "Returns one resource.", ReadOnly: true},
					{Name: "list_resources", Description: "Lists the resources.", ReadOnly: true}}},
			{Name: "toolbox:read_write", Description: "Look at, create, change and delete everything in the toolbox", Destructive: true,
				Covers: []string{"toolbox:read_only", "toolbox:get_resource", "toolbox:list_resources", "toolbox:create_resource", "toolbox:delete_resource"},
				Tools: []Tool{{Name: "get_resource", ReadOnly: true}, {Name: "list_resources", ReadOnly: true}, {Name: "create_resource"},
					{Name: "delete_resource", Description: "Deletes a resource for good.", Destructive: true}}},
			{Name: "toolbox:get_resource", Description: "Look at one resource", Asked: true, Ticked: true, ReadOnly: true,
				Tools: []Tool{{Name: "get_resource", ReadOnly: true}}},
			{Name: "toolbox:create_resource", Description: "Create a resource", Tools: []Tool{{Name: "create_resource"}}},
			{Name: "toolbox:delete_resource", Destructive: true, Tools: []Tool{{Name: "delete_resource", Destructive: true}}},
		},
	}
	loopback := consent
	loopback.User, loopback.Problem = "ada@example.com", Say(NothingTicked)
	loopback.Client = Client{Name: "Claude Code", ID: "c1.abc", RedirectHost: "localhost", RedirectURI: "http://localhost:41273/callback", LoopbackOnly: true}
	changed := loopback
	changed.Problem, changed.Seen, changed.Duration = Message{}, "v1", "max"
	changed.Durations = []Duration{{"1h", time.Hour, false}, {"30d", 720 * time.Hour, false}, {"max", 2160 * time.Hour, true}}
	changed.Scopes = []Scope{{Name: "notes:write", Ticked: true, Tools: []Tool{{Name: "write", Limits: []Limit{
		{Field: "only:write:repo", Argument: "repo", Value: "me/notes"}, {Field: "only:write:how", Argument: "how", Value: "now", Choices: []string{"now", "later"}}}}}}}
	changed.Changes = []Change{
		{Tool: "write", Kind: ToolChanged, Parts: []Part{{PartDescription, "Writes a note.", "Writes a note\u200b and sends it to <b>me</b>."},
			{PartInput, `{"type":"object"}`, `{"type":"object","x":1}`}}},
		{Tool: "send", Kind: ToolNew, Parts: []Part{{PartDescription, "", "Sends."}}}, {Tool: "read", Kind: ToolGone}, {Tool: "big", Kind: ToolChanged},
	}
	plain := consent
	plain.Scopes, plain.Enforced, plain.Providers = nil, false, choices[:2]
	plain.Client = Client{ID: "desk", Verified: true, RedirectHost: "app.example.com", RedirectURI: "https://app.example.com/cb"}

	evil := strings.Repeat("\u202eVerified by <b>Google</b> ”</p> 🦊 ﷽ Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L ", 200)
	hostile := consent
	hostile.Client = Client{Name: evil, ID: evil, RedirectHost: strings.Repeat("a", 300) + ".example", RedirectURI: "https://x.example/" + strings.Repeat("%41", 900)}
	hostile.Scopes = nil
	for i := range 200 {
		hostile.Scopes = append(hostile.Scopes, Scope{Name: "scope:" + strings.Repeat("x", i%90), Description: evil[:500], Asked: i < 3, Ticked: i < 2,
			ReadOnly: i%2 == 0, Destructive: i%3 == 0, Tools: []Tool{{Name: evil, Description: evil}}, Covers: []string{evil}})
	}
	return map[string]Page{
		"consent":         consent,
		"consent-problem": loopback,
		"consent-plain":   plain,
		"consent-changed": changed,
		"consent-hostile": hostile,
		"signin":          Signin{Server: "Toolbox", Client: "Claude", Request: "r-1", Username: "demo", Password: "demo"},
		"signin-problem":  Signin{Server: "Toolbox", Client: "Claude", Request: "r-1", Username: "ada", Problem: Say(WrongPassword), Other: choices[:2]},
		"signin-passkey":  Signin{Server: "Toolbox", Client: "Claude", Request: "r-1", Passkey: `{"challenge":"Y2hhbGxlbmdl","rpId":"mcp.example.com"}`, Other: choices[:1]},
		"choose":          Choose{Server: "Toolbox", Client: "Claude", Request: "r-1", Choices: choices},
		"error":           Error{Status: 400, Fault: FaultExpired, Reference: "7f3k-2m9q"},
		"error-link":      Error{Status: 400, Fault: FaultUnanswerable, Detail: "the scope is not known", Reference: "7f3k-2m9q", Link: "https://claude.ai/cb?error=invalid_scope"},
		"error-refused": Error{Status: 403, Fault: FaultNotAllowed, About: "ada@example.com", Detail: "this account is not a member of acme", Reference: "7f3k-2m9q",
			Retry: "/signin?r=r-1", OtherAccount: true},
		"connect": Connect{Server: "Toolbox", URL: "https://mcp.example.com/mcp"},
		"account": Account{Server: "Toolbox", User: "ada@example.com", Notice: Say(OneEnded), Connections: []Connection{
			{Grant: "g1", Client: "Claude", RedirectHost: "claude.ai", Scopes: []string{"toolbox:read_only", "toolbox:get_resource"}, Given: noon.Add(-48 * time.Hour), Used: noon, Ends: noon.Add(720 * time.Hour), GivenFrom: "203.0.113.0/24", UsedFrom: "2001:db8:1::/48"},
			{Grant: "g2", Client: evil, RedirectHost: "localhost", Given: noon}}},
		"account-passkeys": Account{Server: "Toolbox", User: "ada", Passkeys: &Passkeys{
			List: []Passkey{{ID: "k1", Name: "Laptop", Made: noon.Add(-48 * time.Hour), Used: noon}, {ID: "k2", Name: evil, Made: noon}},
			Ask:  `{"challenge":"Y2hhbGxlbmdl","rp":{"id":"mcp.example.com","name":"Toolbox"}}`}},
		"account-stale": Account{Server: "Toolbox", User: "ada", Passkeys: &Passkeys{Stale: true}},
		"account-attempts": Account{Server: "Toolbox", User: "ada", Attempts: []Attempt{
			{When: noon, Client: "Claude Code", Step: "token", Reason: "The code was used a second time.", Fix: "Connect again from the app.", Reference: "7f3k-2m9q"},
			{When: noon, Client: evil, Step: evil, Reason: evil, Fix: evil, Reference: evil}}},
		"account-empty": Account{Server: "Toolbox", User: "ada@example.com"},
		"signedout":     SignedOut{},
	}
}
