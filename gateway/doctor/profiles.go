package doctor

// A Profile is what one client is known to do. Where nothing is known of a
// client, it does what the specification asks of all.
type Profile struct {
	Name string

	Hosted   bool // connects from its maker's machines: needs a public address and a public certificate
	IPv4Only bool

	Begins    []int // statuses of a call without token that make it sign in
	ByCommand bool  // signs in when it is told to, whatever such a call answers
	Regex     bool  // reads WWW-Authenticate by a regular expression, and only if Bearer comes first

	Metadata        need  // of protected resource metadata (RFC 9728)
	Match           match // how its "resource" is compared with the URL
	IgnoresMismatch bool  // a document about something else is as good as none
	Strict          bool  // a document with a member missing or null is refused as a whole

	Ladder      []rung // where authorization server metadata is looked for
	OwnPath     bool   // without resource metadata, the ladder begins at the MCP path
	Stops5xx    bool   // an answer of 500 and above ends a search
	Defaults    bool   // without metadata: /authorize, /token, /register
	Issuer      issuer // how the document's issuer is compared
	PKCE        pkceRule
	NeedsNone   bool // wants "none" in token_endpoint_auth_methods_supported
	AsksOpenID  bool // reads the OpenID document too
	ScopesFrom  scopeSource
	StepsUp     bool   // asks for more scopes when a call is refused for want of them
	Offline     bool   // adds offline_access where it is advertised
	SendsTyped  bool   // resource is the URL that was typed, not the one of the metadata
	Protocol    string // of MCP, that it asks for
	Document    string // the URL of its client ID metadata document; empty: it registers
	HasDocument bool   // has one whose URL is not public, used only where "none" is advertised
	Redirects   []string
	Returns     []string // those of an authorization request; ports may differ from the registered ones
	WithoutIss  []string // the same, where the server does not send iss

	Browser      string // the origin of the page it runs in; empty: none
	ChecksIss    bool   // holds iss in the answer against the issuer (RFC 9207)
	Listens      bool   // keeps a GET stream open
	Stays        bool   // people expect it to stay connected when the access token has expired
	PlainRefresh bool   // refreshes without resource
}

// A need says how much a client wants a document.
type need int

const (
	optional need = iota
	never
	required
)

// A match is a way to compare "resource" with the URL that was typed.
type match int

const (
	exactly       match = iota // the same string, but for a slash after the bare origin
	prefix                     // the same origin, and a path that leads to it
	exactOrOrigin              // the same, or the bare origin
)

// A rung is one place of authorization server metadata (RFC 8414 §3.1, OpenID
// Connect Discovery §4).
type rung int

const (
	insertOAuth  rung = iota // /.well-known/oauth-authorization-server/<path>
	insertOpenID             // /.well-known/openid-configuration/<path>
	appendOpenID             // /<path>/.well-known/openid-configuration
	rootOAuth                // /.well-known/oauth-authorization-server
)

// An issuer is a way to compare issuers.
type issuer int

const (
	anyIssuer issuer = iota
	slashless        // equal, but for a slash at the end
	identical
)

// A pkceRule is how a client reads code_challenge_methods_supported.
type pkceRule int

const (
	notDenied  pkceRule = iota // if it is there, it has to list S256
	advertised                 // it has to list S256
	unread
)

// A scopeSource is where a client finds the scopes to ask for.
type scopeSource int

const (
	fromChallenge     scopeSource = iota // else from the resource metadata
	fromChallengeOnly                    // nowhere else
	fromServer                           // scopes_supported of the authorization server
	fromNowhere
)

// ladder is the search of the specification since 2025-11-25.
var ladder = []rung{insertOAuth, insertOpenID, appendOpenID}

// Names of all profiles.
func Names() []string {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.Name)
	}
	return names
}

// Profiles are the clients that can be played. Their sources are in
// docs/doctor.md.
func Profiles() []Profile {
	return []Profile{claudeAI(), claudeCode(), chatGPT(), vsCode(), cursor(), codex(), inspector(), sdk20250326()}
}

func claudeAI() Profile {
	return Profile{
		Name: "claude.ai", Hosted: true, IPv4Only: true,
		Begins: []int{401}, Match: exactly, Ladder: ladder, Defaults: true, PKCE: advertised,
		StepsUp: true, Offline: true, SendsTyped: true, Protocol: "2025-11-25", HasDocument: true,
		Redirects: []string{"https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"},
		Returns:   []string{"https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"},
		Stays:     true,
	}
}

func claudeCode() Profile {
	p := typeScript("claude-code")
	p.Match, p.Offline = exactly, true
	p.Document = "https://claude.ai/oauth/claude-code-client-metadata"
	p.Redirects = []string{"http://localhost:3118/callback"}
	p.Returns = []string{"http://localhost:3118/callback"}
	p.Stays = true
	return p
}

func chatGPT() Profile {
	return Profile{
		Name: "chatgpt", Hosted: true,
		Begins: []int{401}, Metadata: required, Match: prefix, Ladder: ladder, Issuer: identical, PKCE: advertised,
		NeedsNone: true, AsksOpenID: true, ScopesFrom: fromChallengeOnly, SendsTyped: true, Protocol: "2025-11-25",
		Document:   "https://chatgpt.com/oauth/client.json",
		Redirects:  []string{"https://chatgpt.com/connector_platform_oauth_redirect", "https://chatgpt.com/connector/oauth/doctor"},
		Returns:    []string{"https://chatgpt.com/connector_platform_oauth_redirect"},
		WithoutIss: []string{"https://chatgpt.com/connector/oauth/doctor"},
		ChecksIss:  true, Stays: true,
	}
}

func vsCode() Profile {
	return Profile{
		Name:   "vscode",
		Begins: []int{401, 403}, Match: exactly, IgnoresMismatch: true,
		Ladder: ladder, Defaults: true, PKCE: unread, StepsUp: true, Protocol: "2025-11-25",
		Document: "https://vscode.dev/oauth/client-metadata.json",
		Redirects: []string{
			"https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect",
			"http://127.0.0.1/", "http://127.0.0.1:33418/",
		},
		Returns: []string{"http://127.0.0.1:33418/", "https://vscode.dev/redirect"},
		Listens: true, Stays: true,
	}
}

func cursor() Profile {
	p := typeScript("cursor")
	p.ScopesFrom, p.StepsUp = fromServer, false
	p.Redirects = []string{
		"cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback",
	}
	p.Returns = []string{"cursor://anysphere.cursor-mcp/oauth/callback", "http://localhost:8787/callback"}
	p.Stays = true
	return p
}

func codex() Profile {
	return Profile{
		Name:   "codex",
		Begins: []int{401}, ByCommand: true, Match: exactOrOrigin,
		Ladder: []rung{insertOAuth, insertOpenID, appendOpenID, rootOAuth}, OwnPath: true,
		Issuer: slashless, ScopesFrom: fromServer, SendsTyped: true, Protocol: "2025-06-18",
		Redirects: []string{"http://127.0.0.1:41873/callback/doctor"},
		Returns:   []string{"http://127.0.0.1:41873/callback/doctor"},
		ChecksIss: true, Listens: true, Stays: true, PlainRefresh: true,
	}
}

func inspector() Profile {
	p := typeScript("inspector")
	p.Redirects = []string{"http://localhost:6274/oauth/callback", "http://127.0.0.1:6276/oauth/callback"}
	p.Returns = p.Redirects
	p.Browser = "http://localhost:6274"
	return p
}

// sdk20250326 is the TypeScript SDK of the first revision with authorization:
// the MCP server is its own authorization server.
func sdk20250326() Profile {
	return Profile{
		Name:   "sdk-2025-03-26",
		Begins: []int{401}, Metadata: never, Strict: true, Ladder: []rung{rootOAuth}, Stops5xx: true, Defaults: true,
		PKCE: advertised, ScopesFrom: fromNowhere, Protocol: "2025-03-26",
		Redirects: []string{"http://localhost:3334/oauth/callback"},
		Returns:   []string{"http://localhost:3334/oauth/callback"},
		Listens:   true, PlainRefresh: true,
	}
}

// typeScript is the TypeScript SDK 1.x, which most clients are built on.
func typeScript(name string) Profile {
	return Profile{
		Name:   name,
		Begins: []int{401}, Regex: true, Match: prefix, Strict: true,
		Ladder: ladder, Stops5xx: true, Defaults: true, StepsUp: true, Protocol: "2025-11-25",
		Listens: true,
	}
}
