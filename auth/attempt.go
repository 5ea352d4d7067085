package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// Attempts remembers what happened in authorization attempts, for whoever has
// to explain one that failed. Its methods return at once and lose nothing that
// matters but the memory of it.
type Attempts interface {
	Note(Step)
	// Of is the reference of the attempt that a grant came from; empty if it is
	// not known here.
	Of(grant string) string
	// Failed are the attempts of a user at a host that came to nothing, latest
	// first.
	Failed(ctx context.Context, host, subject string) []web.Attempt
}

// A Step is something that happened in an attempt. Nothing in it is secret.
type Step struct {
	Attempt string // its reference; empty: a program does what leads to one
	Name    StepName
	What    string // in words
	Host    string
	Address string // of the client; only its network is kept

	Client     string // client_id
	ClientName string // a claim
	Subject    string // who signed in
	Grant      string
	Approved   bool // somebody said yes: it is worth the store

	Error *Error // it failed here
}

// StepName is a part of the way from a program without a token to its first
// call.
type StepName string

// The steps, in their order.
const (
	StepChallenge    StepName = "challenge"
	StepMetadata     StepName = "metadata"
	StepRegistration StepName = "registration"
	StepAuthorize    StepName = "authorize"
	StepConsent      StepName = "consent"
	StepProvider     StepName = "provider"
	StepCode         StepName = "code"
	StepToken        StepName = "token"
	StepCall         StepName = "first call"
)

// attemptKey is where a request keeps the reference of its attempt.
const attemptKey = "attempt"

// Reference names the attempt of a request, for people. It does not give away
// the request's own name.
func Reference(request string) string {
	sum := sha256.Sum256([]byte("attempt " + request))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:10])
}

// AttemptOf is the reference of the attempt that a request belongs to; empty if
// it belongs to none.
func AttemptOf(c echo.Context) string {
	ref, _ := c.Get(attemptKey).(string)
	return ref
}

// belongs says that the request is part of the attempt that the authorization
// request id began.
func belongs(c echo.Context, id string) {
	if validID(id) {
		c.Set(attemptKey, Reference(id))
	}
}

// note tells of a step of the attempt that the request belongs to.
func (s *Server) note(c echo.Context, step Step) {
	step.Attempt, step.Host, step.Address = AttemptOf(c), s.Route.Host, c.RealIP()
	s.Attempts.Note(step)
}
