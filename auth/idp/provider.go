// Package idp signs people in: at Google, GitHub, Microsoft, any OpenID
// provider, or against the users that the configuration lists.
//
// It promises that an Identity is only ever made from what the provider proved
// for this very attempt (own PKCE, nonce, a validated ID token), that an e-mail
// address in it was verified, and that nobody is allowed in by omission. It
// knows no HTTP server, keeps no session and stores nothing: what has to
// survive between Begin and Finish is the caller's, as an Attempt.
package idp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"
)

// An Identity is a person, as one provider knows them.
type Identity struct {
	Provider string   `json:"provider"`
	ID       string   `json:"id"`                 // stable at the provider; never reused, never an e-mail
	Subject  string   `json:"subject"`            // what tokens call them: "<provider>:<id>", or with usernameAsSubject the e-mail or login
	Username string   `json:"username,omitempty"` // login; never somebody's unproven e-mail address
	Email    string   `json:"email,omitempty"`    // only if verified; the domain is in lower case
	Name     string   `json:"name,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	// Unhosted says that the provider does not answer for the domain of Email:
	// a Google account outside of Workspace, made with an address it could once
	// read mail at. The owner of the domain cannot take such an account away,
	// so rules about domains do not admit it.
	Unhosted bool `json:"unhosted,omitempty"`
}

// Account is the name under which a person recognises the account.
func (id Identity) Account() string {
	for _, name := range []string{id.Email, id.Username, id.Name} {
		if name != "" {
			return name
		}
	}
	return id.ID
}

// An Attempt is one person's way to the provider and back. State, Nonce and
// Verifier are random, ours, and new for every attempt.
type Attempt struct {
	RedirectURI string
	State       string
	Nonce       string
	Verifier    string
	Prompt      string // login, consent, select_account, or several; all else is left out
}

// A Flow is a sign-in in which the browser visits the provider.
type Flow interface {
	// Begin returns the URL to send the browser to.
	Begin(ctx context.Context, a Attempt) (string, error)
	// Finish turns the query of the callback into an identity. The caller has
	// compared the state, which is what ties the query to the attempt. The
	// error is one of ErrCancelled, ErrUnavailable, ErrInvalid, or a *Refusal.
	Finish(ctx context.Context, a Attempt, query url.Values) (Identity, error)
}

// The ways in which a sign-in ends without an identity; the causes they wrap
// are for the log, never for the browser.
var (
	ErrCancelled   = errors.New("the sign-in was cancelled")
	ErrUnavailable = errors.New("the identity provider is not available")
	ErrInvalid     = errors.New("the sign-in is not valid")
)

// A Provider signs people in and says which of them may enter. Exactly one of
// Flow and Local is set.
type Provider struct {
	ID    string
	Name  string
	Rules Rules
	Flow  Flow
	Local *Local
}

// Allow applies the provider's rules; the error is a *Refusal.
func (p *Provider) Allow(id Identity) error { return p.Rules.Admit(id) }

// Options are what a provider uses of its surroundings; the zero value is for
// production.
type Options struct {
	Client *http.Client             // nil: http.DefaultTransport; answers are bounded and timed in any case
	Now    func() time.Time         // nil: time.Now
	Log    *slog.Logger             // nil: slog.Default
	Getenv func(name string) string // nil: os.Getenv
}

func (o Options) withDefaults() Options {
	o.Client = bounded(o.Client)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	return o
}

// New returns the provider that c describes. It does not talk to the network:
// a provider that is down when the gateway starts is asked again at the next
// sign-in.
func New(c Config, o Options) (*Provider, error) {
	o = o.withDefaults()
	if faults := c.check(o.Getenv); len(faults) > 0 {
		return nil, fmt.Errorf("provider: %w", errors.Join(faults...))
	}
	c = c.withDefaults()
	p := &Provider{ID: c.ID, Name: c.DisplayName, Rules: c.rules()}
	var err error
	switch c.Name {
	case nameGoogle:
		p.Flow = newGoogle(c, o, p.Rules)
	case nameGitHub:
		p.Flow, err = newGitHub(c, o)
	case nameMicrosoft:
		p.Flow = newMicrosoft(c, o)
	case nameOIDC:
		p.Flow = newOIDC(c, o)
	case nameLocal:
		p.Local, err = newLocal(c)
	}
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", c.ID, err)
	}
	return p, nil
}
