package idp

import "context"

// rechecker is a Flow that can ask about a person who is not there.
type rechecker interface {
	recheck(ctx context.Context, id Identity) (Identity, error)
}

// Recheck asks whether a person who signed in earlier may still enter: with
// the provider, where it can answer without the person (local users, Google
// Workspace, GitHub through an app's key), and in any case with the rules as
// they are now. Groups and login are brought up to date; the subject stays.
// Whoever is gone gets a *Refusal; ErrUnavailable says that nobody knows.
func (p *Provider) Recheck(ctx context.Context, id Identity) (Identity, error) {
	now := id
	switch flow, asks := p.Flow.(rechecker); {
	case p.Local != nil:
		known, ok := p.Local.Lookup(id.ID)
		if !ok {
			return Identity{}, &Refusal{id.Account(), "this account no longer exists"}
		}
		now = known
	case asks:
		var err error
		if now, err = flow.recheck(ctx, id); err != nil {
			return Identity{}, err
		}
	}
	now.Subject = id.Subject
	return now, p.Allow(now)
}

// preparer is a Flow that has to find out about its provider first.
type preparer interface {
	prepare(ctx context.Context) error
}

// Prepare does what the first sign-in would have to wait for, and says whether
// the provider can be reached (ErrUnavailable). It need not be called: a
// failure here is not remembered.
func (p *Provider) Prepare(ctx context.Context) error {
	if flow, ok := p.Flow.(preparer); ok {
		return flow.prepare(ctx)
	}
	return nil
}
