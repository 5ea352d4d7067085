package auth

import (
	"errors"

	"mcp-oauth2-proxy/auth/idp"
)

// A Meter counts what came of what people and clients began at one host. It is
// apart from the audit log, which says who and why of what was decided: here
// everything is counted that came to an end, our own failures included.
type Meter interface {
	// Signin counts a sign-in at the provider of this ID.
	Signin(provider string, result Signin)
	// Registration counts a client that was registered, or refused.
	Registration(ok bool)
	// Consent counts an authorization request that was decided.
	Consent(d Decision)
}

// Signin is how a sign-in ended.
type Signin string

// The ends of a sign-in.
const (
	SigninOK          Signin = "ok"
	SigninRefused     Signin = "refused"     // they proved nothing, or may not enter
	SigninCancelled   Signin = "cancelled"   // at the identity provider
	SigninUnavailable Signin = "unavailable" // the identity provider does not answer
	SigninFailed      Signin = "failed"      // its answer cannot be accepted, or we failed
)

// Decision is what became of the question whether a client may act for a user.
type Decision string

// The decisions.
const (
	ConsentGiven   Decision = "given"
	ConsentDenied  Decision = "denied"
	ConsentUnasked Decision = "unasked" // the operator configured the client, or they said yes before
)

// ended is how a sign-in ended that err ended at an identity provider.
func ended(err error) Signin {
	switch {
	case errors.Is(err, idp.ErrCancelled):
		return SigninCancelled
	case errors.Is(err, idp.ErrUnavailable):
		return SigninUnavailable
	}
	return SigninFailed
}

// failed counts a sign-in that was ended by our own failure.
func (s *Server) failed(p *idp.Provider, err error) error {
	s.Meter.Signin(p.ID, SigninFailed)
	return err
}
