package web

import "time"

// Consent asks whether a client may use an MCP server. The form posts r,
// seen, scope (any number), duration, the fields of the limits, and decision
// (allow or deny) to /consent.
type Consent struct {
	Server   string // name of the MCP server
	Host     string // its authority
	Resource string // its canonical URI
	Client   Client
	User     string // who is signed in; empty: the sign-in comes next
	Request  string // hidden field r
	Scopes   []Scope
	Problem  Message // what was wrong with the last answer; no key: nothing
	// Enforced says that the gateway refuses tools outside the ticked scopes;
	// without it the page promises no more than to pass the ticks on.
	Enforced  bool
	Providers []Choice   // where the sign-in that comes next may happen
	Seen      string     // hidden field: the version of what is shown; empty: none
	Changes   []Change   // of tools that were allowed before
	Durations []Duration // field duration: how long it is allowed for
	Duration  string     // the one chosen when the page opens
}

// Duration is for how long something may be allowed.
type Duration struct {
	ID      string
	Lasts   time.Duration
	Longest bool // that the operator allows
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
type Part struct {
	Name          Key
	Before, After string
}

// The texts of a tool.
const (
	PartDescription Key = "description"
	PartInput       Key = "input"
	PartAnnotations Key = "annotations"
)

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
	Server, Client     string
	Request            string
	Problem            Message
	Username, Password string // prefilled; the password by the demo only
	Passkey            string // what the browser is asked for a passkey with, as JSON; empty: there are none
	Other              []Choice
}

// Choose lets a person choose where to sign in. The form posts provider and r
// to /signin.
type Choose struct {
	Server, Client string
	Request        string
	Choices        []Choice
}

// Error says in one sentence what happened and in one what to do.
type Error struct {
	Status       int
	Fault        Fault
	About        string // the account or identity provider of the fault
	Detail       string // more of it, in English: what programs are told, or the rule that was applied
	Reference    string // what `explain` wants
	Link         string // http, https or a path; its host is shown
	Retry        string // a path at which the person may try again
	OtherAccount bool   // with another account
}

// what is the fault; the general one if none is named.
func (e Error) what() Fault {
	if e.Fault == "" {
		return FaultGeneral
	}
	return e.Fault
}

// Connect tells a browser that opened an MCP URL what to do with it.
type Connect struct {
	Server, URL string
}

// Account shows a person the connections of this host. Its forms post action
// (end, end-all, sign-out) and grant to /account.
type Account struct {
	Server, User string
	Connections  []Connection // latest first
	From         int          // how many of them pages before this one have shown: query field from
	Passkeys     *Passkeys    // nil: this account has none
	Attempts     []Attempt    // to connect, that failed; latest first
	Notice       Message      // what the last action did; no key: there was none
}

// Attempt is one of a client that came to nothing.
type Attempt struct {
	When        time.Time
	Client      string // a claim, shown as one
	Step        string // at which it ended
	Reason, Fix string // one sentence each, in English
	Reference   string // what `explain` wants
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
	GivenFrom         string    // the network of the browser in which it was allowed; empty: not known
	UsedFrom          string    // the network that it was last used from
}

// SignedOut says so.
type SignedOut struct{}
