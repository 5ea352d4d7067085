package grants

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// Request is what a client asked at /authorize. Until somebody approves it, it
// lives sealed in the browser that brought it; its JSON is short for that.
type Request struct {
	ID            string    `json:"r"`
	Issuer        string    `json:"i"`
	ClientID      string    `json:"c"`
	RedirectURI   string    `json:"u"`
	State         string    `json:"s,omitempty"`
	CodeChallenge string    `json:"h"`
	Resource      string    `json:"a,omitempty"`
	Scopes        []string  `json:"o,omitempty"` // asked for, known or not
	Prompt        string    `json:"p,omitempty"`
	Started       time.Time `json:"t"`
	RedirectSent  bool      `json:"x,omitempty"` // redirect_uri was in the request
}

// Approved is a Request that a person, or the operator's configuration, said
// yes to. It is finished by a sign-in in the same browser.
type Approved struct {
	Request Request       `json:"request"`
	Scopes  []string      `json:"scopes"`
	Offline bool          `json:"offline"`
	Lasts   time.Duration `json:"lasts,omitempty"`    // chosen on the page; 0: as long as the operator allows
	Shown   bool          `json:"shown"`              // the consent page was shown
	ShownTo string        `json:"shown_to,omitempty"` // the subject who was signed in then, and saw what had changed for them
	Pin     string        `json:"pin,omitempty"`      // of the tools behind Scopes, as they were shown
	Limits  []Limit       `json:"limits,omitempty"`   // on what the tools may be called with
	Account bool          `json:"account,omitempty"`  // no client: a person signs in to the account page
	Refused bool          `json:"refused,omitempty"`  // somebody signed in who may not enter
	Attempt Attempt       `json:"attempt,omitzero"`
}

// Attempt is a sign-in under way at an identity provider: what only we and it
// may know.
type Attempt struct {
	Provider string `json:"provider"`
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
}

// NewAttempt returns an attempt with fresh random values. prefix leads the
// state, so that the browser's cookie is found by it.
func NewAttempt(provider, prefix string) Attempt {
	return Attempt{provider, prefix + random(), random(), random()}
}

// Approve remembers an approved request under a secret that only the approving
// browser has.
func (g *Grants) Approve(ctx context.Context, secret string, a Approved) error {
	if err := g.approved.Create(ctx, secret, a, RequestLife); err != nil {
		return fmt.Errorf("approve a request: %w", err)
	}
	return nil
}

// Approved returns the request approved under secret, or ErrInvalid.
func (g *Grants) Approved(ctx context.Context, secret string) (Approved, error) {
	a, err := g.approved.Get(ctx, secret)
	return a, invalidIfAbsent("find an approved request", err)
}

// Choose notes at which identity provider the sign-in goes on, with what is
// sent there; the last choice counts.
func (g *Grants) Choose(ctx context.Context, secret string, to Attempt) error {
	_, err := g.change(ctx, secret, func(a *Approved) bool {
		a.Attempt = to
		return true
	})
	return invalidIfAbsent("choose an identity provider", err)
}

// Return returns the request approved under secret, when the identity provider
// sent the browser back with state. The state is spent by that, whatever comes
// of the sign-in; the request is not, so that another account may be tried.
func (g *Grants) Return(ctx context.Context, secret, state string) (Approved, error) {
	was, err := g.change(ctx, secret, func(a *Approved) bool {
		same := state != "" && a.Attempt.State != "" && subtle.ConstantTimeCompare([]byte(state), []byte(a.Attempt.State)) == 1
		a.Attempt = Attempt{}
		return same
	})
	return was, invalidIfAbsent("return from the identity provider", err)
}

// Refuse notes that somebody signed in who may not enter, so that the next
// attempt asks for another account.
func (g *Grants) Refuse(ctx context.Context, secret string) error {
	_, err := g.change(ctx, secret, func(a *Approved) bool {
		a.Refused = true
		return true
	})
	return invalidIfAbsent("note a refusal", err)
}

// change rewrites an approved request if edit says so, and returns it as it was.
func (g *Grants) change(ctx context.Context, secret string, edit func(*Approved) bool) (Approved, error) {
	var was Approved
	err := g.approved.Update(ctx, secret, func(old *Approved) (*Approved, time.Duration, error) {
		if old == nil {
			return nil, 0, store.ErrNotFound
		}
		was = *old
		next := *old
		left := next.Request.Started.Add(2 * RequestLife).Sub(g.o.Now())
		if left <= 0 || !edit(&next) {
			return nil, 0, store.ErrNotFound
		}
		return &next, min(left, RequestLife), nil
	})
	return was, err
}

// Drop forgets the request approved under secret. Where that fails it goes by
// itself: what can be done with it is done, and no browser knows the secret
// anymore.
func (g *Grants) Drop(ctx context.Context, secret string) {
	if err := g.approved.Delete(ctx, secret); err != nil {
		g.o.Log.WarnContext(ctx, "a request that is finished stays until it expires", "cause", err)
	}
}

// ignoreInvalid turns "there is none" into no error.
func ignoreInvalid(err error) error {
	if errors.Is(err, ErrInvalid) {
		return nil
	}
	return err
}

func invalidIfAbsent(step string, err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrNoKey) {
		return fmt.Errorf("%s: %w", step, ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}
