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
	Scopes []string  `json:"scopes"`
	Given  time.Time `json:"given"`
}

// Remember notes a consent, in place of an earlier one.
func (g *Grants) Remember(ctx context.Context, subject, issuer, client, redirectHost string, scopes []string) error {
	c := Consent{scopes, g.o.Now()}
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
