package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"mcp-oauth2-proxy/auth/idp"

	"github.com/labstack/echo/v4"
)

// deviceLife is how long a browser is known to have signed a user in.
const deviceLife = 400 * 24 * time.Hour // no browser keeps a cookie longer

// countPassword counts a try at a password: against the address, and against
// the user, whether there is such a user or not. It counts until it has proven
// good, so that a race gains nothing; back takes it back.
//
// Whoever guesses from many addresses uses up what a user has, so that is not
// the end of it: a browser in which this user has signed in before has a count
// of its own, and passkeys, which nobody can guess, do not count here.
func (s *Server) countPassword(c echo.Context, p *idp.Provider, username string) (back func(), err error) {
	if err := s.limit(c, FailedSignins); err != nil {
		return nil, err
	}
	owner := p.ID + ":" + username
	key := owner + s.Browser.device(c.Request(), owner)
	sum := sha256.Sum256([]byte(key)) // a name may be as long as a form
	key = hex.EncodeToString(sum[:])
	if err := s.limitKey(c, FailedSigninsOfUser, key); err != nil {
		return nil, err
	}
	return func() {
		s.Limits.Give(FailedSignins, c.RealIP())
		s.Limits.Give(FailedSigninsOfUser, key)
	}, nil
}

// rememberDevice marks a browser as one in which the owner has signed in.
func (s *Server) rememberDevice(c echo.Context, owner string) error {
	return s.Browser.setDevice(c.Response(), carried{Owner: owner, Secret: rand.Text()}, deviceLife)
}
