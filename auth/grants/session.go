package grants

import (
	"context"
	"fmt"
	"time"
)

// Session is a signed-in browser. It belongs to one issuer, like its cookie.
type Session struct {
	Issuer  string    `json:"iss"`
	User    User      `json:"user"`
	Started time.Time `json:"started"`
}

// SignIn begins a session and returns the secret that names it.
func (g *Grants) SignIn(ctx context.Context, issuer string, u User) (string, error) {
	secret := random()
	if err := g.sessions.Create(ctx, secret, Session{issuer, u, g.o.Now()}, g.o.SessionTTL); err != nil {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	return secret, nil
}

// Session returns the session that secret names at this issuer, or ErrInvalid.
func (g *Grants) Session(ctx context.Context, secret, issuer string) (Session, error) {
	s, err := g.sessions.Get(ctx, secret)
	if err != nil {
		return Session{}, invalidIfAbsent("find a session", err)
	}
	if s.Issuer != issuer {
		return Session{}, fmt.Errorf("find a session: %w: another host's", ErrInvalid)
	}
	u, err := g.users.Get(ctx, userKey(s.User.Subject))
	if err := invalidIfAbsent("find a session", err); err != nil {
		return s, ignoreInvalid(err) // a user without grants has no record
	}
	if !s.Started.After(u.SignedOut) {
		return Session{}, fmt.Errorf("find a session: %w: signed out everywhere", ErrInvalid)
	}
	return s, nil
}

// SignOut ends the session that secret names.
func (g *Grants) SignOut(ctx context.Context, secret string) error {
	if err := g.sessions.Delete(ctx, secret); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// SignOutEverywhere ends every session of a user.
func (g *Grants) SignOutEverywhere(ctx context.Context, subject string) error {
	now := g.o.Now()
	err := g.users.Update(ctx, userKey(subject), func(old *user) (*user, time.Duration, error) {
		u := user{}
		if old != nil {
			u = *old
		}
		u.SignedOut = now
		return &u, g.o.RefreshTTL + g.o.SessionTTL, nil
	})
	if err != nil {
		return fmt.Errorf("end the sessions of a user: %w", err)
	}
	return nil
}

// SignOutAll ends every session. It is for management.
func (g *Grants) SignOutAll(ctx context.Context) error {
	if err := g.clear(ctx, KindSession, func([]byte) bool { return true }); err != nil {
		return fmt.Errorf("end all sessions: %w", err)
	}
	return nil
}
