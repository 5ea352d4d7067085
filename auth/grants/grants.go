// Package grants is the memory of the authorization server: which requests
// were approved, which codes are unspent, which refresh tokens are current,
// what a user agreed to before, who is signed in and with which passkeys.
//
// It keeps these promises, whatever the number of replicas: an approved request
// is finished once; a code is redeemed once; a refresh token works until its
// successor is first used and a retry gets the same successor; and when a code
// or an older refresh token is offered again, every token descended from it
// dies. It knows nothing of HTTP.
package grants

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// The kinds of records that are kept here.
const (
	KindApproved store.Kind = "approved" // by a secret of the browser's cookie
	KindCode     store.Kind = "code"     // by the code
	KindFamily   store.Kind = "family"   // by grant ID
	KindRevoked  store.Kind = "revoked"  // by grant ID
	KindConsent  store.Kind = "consent"
	KindUser     store.Kind = "user"    // by subject
	KindSession  store.Kind = "session" // by a secret of the browser's cookie
	KindPin      store.Kind = "pin"     // by the pin
	KindHandoff  store.Kind = "handoff" // by a code
)

// The errors of this package.
var (
	// ErrInvalid says that a request, code or refresh token is unknown, spent,
	// expired or somebody else's.
	ErrInvalid = errors.New("invalid grant")
	// ErrReplayed is an ErrInvalid that ended a family.
	ErrReplayed = errors.New("used before")
	// ErrUnknown says that nobody here can tell whether a grant was ended: the
	// store has not answered for too long.
	ErrUnknown = errors.New("what was revoked is not known")
)

// A Replay is an ErrReplayed that names the grant.
type Replay struct{ Grant, what string }

// Error says what was used before.
func (r *Replay) Error() string {
	return ErrInvalid.Error() + ": " + ErrReplayed.Error() + ": " + r.what
}

// Unwrap makes it an ErrInvalid and an ErrReplayed.
func (*Replay) Unwrap() []error { return []error{ErrInvalid, ErrReplayed} }

const (
	// RequestLife is how long a person may take from the consent page to the
	// end of the sign-in.
	RequestLife = 10 * time.Minute
	// CodeLife is how long a code can be redeemed (RFC 6749 §4.1.2 allows ten
	// minutes; a program needs seconds).
	CodeLife = 60 * time.Second
)

// Options of Grants. Durations are the operator's token.* and session.*.
type Options struct {
	AccessTTL   time.Duration
	RefreshIdle time.Duration
	RefreshTTL  time.Duration
	SessionTTL  time.Duration
	StaleAfter  time.Duration // how long Revoked answers without news from the store; 0: always
	Now         func() time.Time
	Log         *slog.Logger
	OnEnded     func(grant string) // told of every grant that ended, wherever that happened
}

// Grants is the memory. Its methods may be called concurrently.
type Grants struct {
	o        Options
	store    store.Store
	approved store.Bucket[Approved]
	codes    store.Bucket[code]
	families store.Bucket[Family]
	revoked  store.Bucket[ended]
	consents store.Bucket[Consent]
	users    store.Bucket[user]
	sessions store.Bucket[Session]
	pins     store.Bucket[definitions]
	handoffs store.Bucket[Handoff]

	passkeys      store.Bucket[passkeys]
	passkeyOwners store.Bucket[string]

	mu     sync.RWMutex
	dead   map[string]time.Time // revoked grants, until their last access token has expired
	unread unread
}

// New returns the memory kept in s.
func New(s store.Store, o Options) *Grants {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Grants{
		o: o, store: s,
		approved: store.Secrets[Approved](s, KindApproved),
		codes:    store.Secrets[code](s, KindCode),
		families: store.Names[Family](s, KindFamily),
		revoked:  store.Names[ended](s, KindRevoked),
		consents: store.Names[Consent](s, KindConsent),
		users:    store.Names[user](s, KindUser),
		sessions: store.Secrets[Session](s, KindSession),
		pins:     store.Names[definitions](s, KindPin),
		handoffs: store.Secrets[Handoff](s, KindHandoff),

		passkeys:      store.Names[passkeys](s, KindPasskeys),
		passkeyOwners: store.Names[string](s, KindPasskeyOwner),

		dead:   map[string]time.Time{},
		unread: unread{keys: map[string]bool{}},
	}
}

// User is who agreed to a grant.
type User struct {
	Subject    string   `json:"sub"`
	Provider   string   `json:"provider"`
	ProviderID string   `json:"provider_id"`
	Username   string   `json:"username,omitempty"`
	Email      string   `json:"email,omitempty"`
	Name       string   `json:"name,omitempty"`
	Groups     []string `json:"groups,omitempty"`
	Unhosted   bool     `json:"unhosted,omitempty"` // the provider does not answer for the domain of Email
}

// Grant is what a user agreed to.
type Grant struct {
	ID          string    `json:"id"`
	Ref         string    `json:"ref,omitempty"` // of the attempt it came from, as people name it
	Issuer      string    `json:"iss"`
	ClientID    string    `json:"client_id"`
	ClientName  string    `json:"client_name,omitempty"`
	RedirectURI string    `json:"redirect_uri"`
	User        User      `json:"user"`
	Resource    string    `json:"resource,omitempty"`
	Audience    []string  `json:"aud"`
	Scopes      []string  `json:"scopes"`
	Pin         string    `json:"pin,omitempty"`     // of the tools behind Scopes, as they were shown
	Limits      []Limit   `json:"limits,omitempty"`  // on what the tools may be called with
	Offline     bool      `json:"offline,omitempty"` // refresh tokens are issued
	Given       time.Time `json:"given"`
	From        string    `json:"from,omitempty"` // the Network of the browser in which it was given
	Ends        time.Time `json:"ends"`           // no token of it lives longer
}
