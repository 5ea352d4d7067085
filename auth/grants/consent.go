package grants

import (
	"context"
	"fmt"
	"time"
)

// Consent is what a user allowed a client before. It is found by user, client,
// redirect host and issuer: a client that comes back with another redirect
// host is asked about again.
type Consent struct {
	Scopes []string      `json:"scopes"`
	Pin    string        `json:"pin,omitempty"` // of the tools behind Scopes
	Limits []Limit       `json:"limits,omitempty"`
	Given  time.Time     `json:"given"`
	Lasts  time.Duration `json:"lasts,omitempty"` // chosen on the page; 0: as long as the operator allows
}

// Left is how long what was given lasts from now on; 0 if no end was chosen,
// negative if it is over.
func (c Consent) Left(now time.Time) time.Duration {
	if c.Lasts == 0 {
		return 0
	}
	if left := c.Given.Add(c.Lasts).Sub(now); left != 0 {
		return left
	}
	return -1
}

// Remember notes a consent, in place of an earlier one.
func (g *Grants) Remember(ctx context.Context, subject, issuer, client, redirectHost string, c Consent) error {
	c.Given = g.o.Now()
	if err := g.consents.Put(ctx, digest(subject, issuer, client, redirectHost), c, g.o.RefreshTTL); err != nil {
		return fmt.Errorf("remember a consent: %w", err)
	}
	return nil
}

// Remembered returns what a user allowed before; false if nothing.
func (g *Grants) Remembered(ctx context.Context, subject, issuer, client, redirectHost string) (Consent, bool, error) {
	c, err := g.consents.Get(ctx, digest(subject, issuer, client, redirectHost))
	if err := invalidIfAbsent("find a consent", err); err != nil {
		return Consent{}, false, ignoreInvalid(err)
	}
	return c, true, nil
}

// Forget drops a remembered consent.
func (g *Grants) Forget(ctx context.Context, subject, issuer, client, redirectHost string) error {
	if err := g.consents.Delete(ctx, digest(subject, issuer, client, redirectHost)); err != nil {
		return fmt.Errorf("forget a consent: %w", err)
	}
	return nil
}
