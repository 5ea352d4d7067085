package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// passkeyAge is how recent a sign-in must be for a passkey to be added: it
// outlives the session, so a browser that somebody left open is not enough.
const passkeyAge = 15 * time.Minute

// askPasskey returns what the sign-in page asks the browser for; empty where
// there are no passkeys. The challenge travels in the cookie of the request, so
// that the answer is this browser's and of use for this request alone; fresh
// replaces one that was tried.
func (s *Server) askPasskey(c echo.Context, id string, fresh bool) (string, error) {
	if s.Passkeys == nil {
		return "", nil
	}
	what, err := s.Browser.carries(c.Request(), id)
	if err != nil {
		return "", stale(err)
	}
	if what.Challenge == "" || fresh {
		what.Challenge = idp.NewChallenge()
		if err := s.Browser.carry(c.Response(), c.Request(), id, what); err != nil {
			return "", err
		}
	}
	return s.Passkeys.Ask(what.Challenge)
}

// passkeySignin takes a signature in place of a user name and a password.
func (s *Server) passkeySignin(c echo.Context, p *idp.Provider, answer, id, secret string, a grants.Approved) error {
	if err := s.limit(c, FailedSignins); err != nil {
		s.Meter.Signin(p.ID, SigninRefused)
		return s.again(err, id)
	}
	who, err := s.proven(c, p, answer, id)
	switch {
	case errors.Is(err, idp.ErrInvalid) || errors.Is(err, grants.ErrInvalid) || errors.Is(err, grants.ErrPasskeyCloned):
		s.refused(c, p, SigninRefused, "", err)
		return s.signinForm(c, http.StatusUnauthorized, id, a, p, "", web.Say(web.WrongPasskey))
	case err != nil:
		s.Limits.Give(FailedSignins, c.RealIP())
		return s.failed(p, broken("the sign-in", err))
	}
	s.Limits.Give(FailedSignins, c.RealIP())
	return s.welcome(c, p, who, id, secret)
}

// proven returns whose passkey has signed the challenge that this browser was
// given with the request.
func (s *Server) proven(c echo.Context, p *idp.Provider, answer, id string) (idp.Identity, error) {
	what, err := s.Browser.carries(c.Request(), id)
	if err != nil || what.Challenge == "" || s.Passkeys == nil {
		return idp.Identity{}, fmt.Errorf("%w: this browser was asked for no passkey", idp.ErrInvalid)
	}
	ctx := c.Request().Context()
	proof, err := s.Passkeys.Verify(what.Challenge, answer, func(id []byte) (string, idp.Passkey, error) {
		owner, kept, err := s.Grants.Passkey(ctx, id, s.Passkeys.Host())
		return owner, keyOf(kept), err
	})
	if err != nil {
		return idp.Identity{}, err
	}
	provider, username, _ := strings.Cut(proof.Owner, ":")
	who, ok := p.Local.Lookup(username)
	if provider != p.ID || !ok {
		return idp.Identity{}, fmt.Errorf("%w: the passkey is of %q, who is no longer a user", idp.ErrInvalid, proof.Owner)
	}
	return who, s.Grants.UsePasskey(ctx, proof.Owner, proof.ID, proof.Count, proof.Flags)
}

func keyOf(p grants.Passkey) idp.Passkey {
	return idp.Passkey{ID: p.ID, Key: p.Key, Flags: p.Flags, Count: p.Count, Transports: p.Transports}
}

// mayHavePasskeys says whether a user signs in here, and not elsewhere.
func (s *Server) mayHavePasskeys(u grants.User) bool {
	p := s.provider(u.Provider)
	return s.Passkeys != nil && p != nil && p.Local != nil
}

// passkeysOn is the part of the account page about passkeys: those there are,
// and what the browser is given to make one more.
func (s *Server) passkeysOn(c echo.Context, session *grants.Session) (*web.Passkeys, error) {
	u := session.User
	if !s.mayHavePasskeys(u) {
		return nil, nil
	}
	kept, err := s.Grants.Passkeys(c.Request().Context(), u.Owner(), s.Passkeys.Host())
	if err != nil {
		return nil, broken("the account page", err)
	}
	out := &web.Passkeys{Stale: s.Now().Sub(session.Started) >= passkeyAge}
	var have []idp.Passkey
	for _, k := range kept {
		out.List = append(out.List, web.Passkey{ID: passkeyID(k), Name: k.Name, Made: k.Made, Used: k.Used})
		have = append(have, keyOf(k))
	}
	if out.Stale {
		return out, nil
	}
	challenge := idp.NewChallenge()
	if err := s.Browser.carryChallenge(c.Response(), carried{Challenge: challenge, Owner: u.Owner()}, passkeyAge); err != nil {
		return nil, err
	}
	out.Ask, err = s.Passkeys.AskNew(u.Owner(), userName(u), challenge, have)
	return out, err
}

func passkeyID(k grants.Passkey) string { return base64.RawURLEncoding.EncodeToString(k.ID) }

// addPasskey keeps what the browser made when the account page asked it to.
func (s *Server) addPasskey(c echo.Context, session *grants.Session, form url.Values) error {
	u := session.User
	if !s.mayHavePasskeys(u) {
		return refusal("invalid_request", "this account has no passkeys here")
	}
	if s.Now().Sub(session.Started) >= passkeyAge {
		return s.signinForAccount(c)
	}
	what, err := s.Browser.carriesChallenge(c.Request())
	if err != nil || what.Owner != u.Owner() || what.Challenge == "" {
		return s.accountPage(c, session, web.Say(web.PasskeyLate))
	}
	made, err := s.Passkeys.New(u.Owner(), what.Challenge, form.Get("passkey"))
	if err != nil {
		s.Audit.Record(c.Request().Context(), audit.PasskeyRefused, audit.Host(s.Route.Host), audit.Subject(u.Subject), audit.Cause(err))
		return s.accountPage(c, session, web.Say(web.PasskeyRefused))
	}
	key := grants.Passkey{
		ID: made.ID, Host: s.Passkeys.Host(), Name: passkeyName(form.Get("name")), Key: made.Key,
		Flags: made.Flags, Count: made.Count, Transports: made.Transports, Made: s.Now().Truncate(time.Second),
	}
	return s.keepPasskey(c, session, key)
}

func (s *Server) keepPasskey(c echo.Context, session *grants.Session, key grants.Passkey) error {
	ctx := c.Request().Context()
	switch err := s.Grants.AddPasskey(ctx, session.User.Owner(), key); {
	case errors.Is(err, grants.ErrPasskeyKnown):
		return s.accountPage(c, session, web.Say(web.PasskeyKnown))
	case errors.Is(err, grants.ErrPasskeysFull):
		return s.accountPage(c, session, web.Say(web.PasskeysFull))
	case err != nil:
		return broken("adding the passkey", err)
	}
	s.Audit.Record(ctx, audit.PasskeyAdded, audit.Host(s.Route.Host), audit.Subject(session.User.Subject), audit.Text("address", c.RealIP()))
	return s.accountPage(c, session, web.Say(web.PasskeyAdded))
}

// passkeyName is what a person calls a passkey, if that can be shown.
func passkeyName(name string) string {
	name = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(name, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if r := []rune(name); len(r) > 60 {
		name = string(r[:60])
	}
	if name == "" {
		return "Passkey"
	}
	return name
}

// removePasskey forgets a passkey of the person who asks.
func (s *Server) removePasskey(c echo.Context, session *grants.Session, id string) error {
	ctx := c.Request().Context()
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		return refusal("invalid_request", "there is no such passkey")
	}
	gone, err := s.removePasskeys(ctx, session.User, raw)
	if err != nil {
		return broken("removing the passkey", err)
	}
	if gone == 0 {
		return s.accountPage(c, session, web.Say(web.PasskeyGone))
	}
	s.Audit.Record(ctx, audit.PasskeyRemoved, audit.Host(s.Route.Host), audit.Subject(session.User.Subject), audit.Text("address", c.RealIP()))
	return s.accountPage(c, session, web.Say(web.PasskeyRemoved))
}

func (s *Server) removePasskeys(ctx context.Context, u grants.User, id []byte) (int, error) {
	gone, err := s.Grants.RemovePasskeys(ctx, u.Owner(), func(k grants.Passkey) bool { return bytes.Equal(k.ID, id) })
	return len(gone), err
}
