package web

import "time"

// Consent asks whether a client may use an MCP server. The form posts r,
// seen, scope (any number), duration, the fields of the limits, and decision
// (allow or deny) to /consent.
type Consent struct {
	Lang     string
	Server   string // name of the MCP server
	Host     string // its authority
	Resource string // its canonical URI
	Client   Client
	User     string // who is signed in; empty: the sign-in comes next
	Request  string // hidden field r
	Scopes   []Scope
	Warning  string // one more sentence of caution, from the caller
	Problem  string // what was wrong with the last answer
	// Enforced says that the gateway refuses tools outside the ticked scopes;
	// without it the page promises no more than to pass the ticks on.
	Enforced  bool
	Providers []Choice // where the sign-in that comes next may happen
	Seen      string   // hidden field: the version of what is shown; empty: none
	Changes   []Change // of tools that were allowed before
	Durations []Choice // field duration: how long it is allowed for
	Duration  string   // the one chosen when the page opens
}

// Change is a tool that is another one than was allowed before.
type Change struct {
	Tool  string
	Kind  ChangeKind
	Parts []Part // what differs, where both are known
}

// ChangeKind says what became of a tool.
type ChangeKind string

// What becomes of tools.
const (
	ToolNew     ChangeKind = "new"
	ToolChanged ChangeKind = "changed"
	ToolGone    ChangeKind = "gone"
)

// Part is one text of a tool, then and now.
type Part struct{ Name, Before, After string }

// Client is who asks, as far as it is known.
type Client struct {
	Name string // a claim, shown as one
	ID   string
	// Host is where the client's metadata document was fetched from; empty
	// for every other kind of client.
	Host string
	// Verified says that the operator of this server configured the client.
	Verified     bool
	RedirectHost string // where the answer returns to, as people read it
	RedirectURI  string
	LoopbackOnly bool // all its redirect URIs are on the person's computer
}

// Scope is one permission on offer.
type Scope struct {
	Name, Description string
	Asked             bool // the client asked for it
	Ticked            bool // ticked when the page opens
	ReadOnly          bool // every tool behind it only reads
	Destructive       bool // a tool behind it may delete or overwrite
	Tools             []Tool
	Covers            []string // names of the scopes that it includes
}

// Tool is something a scope lets the client do.
type Tool struct {
	Name, Description     string
	ReadOnly, Destructive bool
	Limits                []Limit
}

// Limit is an argument that a person may pin to a value: the form field Field.
type Limit struct {
	Field, Argument string
	Value           string   // as it was before
	Choices         []string // of an enum; none: any text
}

// Choice is an identity provider to choose.
type Choice struct{ ID, Name string }

// Signin is the local sign-in. Its first form posts username, password and r
// to /signin, one that a script fills in passkey and r; the others, one for each Other, post provider and r.
type Signin struct {
	Lang               string
	Server, Client     string
	Request, Problem   string
	Username, Password string // prefilled; the password by the demo only
	Passkey            string // what the browser is asked for a passkey with, as JSON; empty: there are none
	Other              []Choice
}

// Choose lets a person choose where to sign in. The form posts provider and r
// to /signin.
type Choose struct {
	Lang             string
	Server, Client   string
	Request, Problem string
	Choices          []Choice
}

// Error says in one sentence what happened and in one what to do.
type Error struct {
	Lang           string
	Status         int
	Title          string
	Message        string // what happened
	Advice         string // what to do
	Reference      string // what `explain` wants
	Link, LinkText string // http, https or a path; its host is shown
	Retry          string // a path at which the person may try again
	RetryText      string // empty: Try again
}

// Connect tells a browser that opened an MCP URL what to do with it.
type Connect struct {
	Lang        string
	Server, URL string
}

// Account shows a person the connections of this host. Its forms post action
// (end, end-all, sign-out) and grant to /account.
type Account struct {
	Lang         string
	Server, User string
	Connections  []Connection
	Passkeys     *Passkeys // nil: this account has none
	Notice       string    // what the last action did
}

// Passkeys are a person's, on the account page. Its forms post action
// (add-passkey with name and passkey, remove-passkey with id, sign-in).
type Passkeys struct {
	List  []Passkey
	Ask   string // what the browser is asked to make one with, as JSON
	Stale bool   // the sign-in is too long ago to add one
}

// Passkey is one that a person may sign in with.
type Passkey struct {
	ID, Name   string
	Made, Used time.Time // zero: never
}

// Connection is a client that may use this host for a person.
type Connection struct {
	Grant             string
	Client            string // a claim, shown as one
	RedirectHost      string
	Scopes            []string
	Given, Used, Ends time.Time // zero: never, or not known
}

// Notice is a page that only says something.
type Notice struct {
	Lang                           string
	Title, Message, Link, LinkText string
}

func (Consent) template() string { return "consent.html" }
func (Signin) template() string  { return "signin.html" }
func (Choose) template() string  { return "choose.html" }
func (Error) template() string   { return "error.html" }
func (Connect) template() string { return "connect.html" }
func (Account) template() string { return "account.html" }
func (Notice) template() string  { return "notice.html" }
