package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/grants"

	"github.com/labstack/echo/v4"
)

// A Handoff is the one host to which identity providers send every browser back
// (proxy.callbackHost), for those that know a single redirect URI. Requests live
// at other hosts, whose cookies it never sees: it keeps the answer for a minute
// and sends the browser there with a code. Only the browser that began there
// can redeem it: it takes that request's cookie, and the state in the answer has
// to be the one that this request was given.
type Handoff struct {
	Origin string
	Grants *grants.Grants
	Limits Limiter
	Audit  *audit.Log
	Hosts  map[string]string // the origins where requests may begin, by their Mark
}

// maxAnswer bounds what is kept of a provider's answer; codes of some are long.
const maxAnswer = 8 << 10

// Mount adds the callback to the router of a host that has nothing else.
func (h *Handoff) Mount(r *echo.Group) { r.GET("/callback", h.pass) }

// pass hands an answer over to where its request began. What it is worth is
// judged there.
func (h *Handoff) pass(c echo.Context) error {
	raw := c.Request().URL.RawQuery
	query, err := strictValues(raw)
	if err != nil {
		return err
	}
	id, mark := stateParts(query.Get("state"))
	origin := h.Hosts[mark]
	if !validID(id) || origin == "" {
		return stale(errors.New("the state names no host of ours"))
	}
	if len(raw) > maxAnswer {
		return refusal("invalid_request", "the answer is too long")
	}
	if err := count(c, h.Limits, h.Audit, Authorizations, c.RealIP()); err != nil {
		return err
	}
	code, err := h.Grants.HandOff(c.Request().Context(), id, grants.Handoff{Issuer: origin, Query: raw})
	if err != nil {
		return broken("the sign-in", err)
	}
	return see(c, origin+"/callback?"+url.Values{"r": {id}, "handoff": {code}}.Encode())
}

// takeOver returns the answer that the callback host has kept for this browser.
func (s *Server) takeOver(c echo.Context, query url.Values) (url.Values, error) {
	if len(query) != 2 {
		return nil, refusal("invalid_request", "the code stands alone")
	}
	id := query.Get("r")
	if _, _, err := s.approved(c, id); err != nil {
		return nil, err // before anything is spent
	}
	raw, err := s.Grants.TakeOver(c.Request().Context(), id, query.Get("handoff"), s.issuer())
	if err != nil {
		e := s.lostSignin(id, err)
		e.Retry = s.retry(id) // the answer is spent, the request is not
		return nil, e
	}
	answer, err := strictValues(raw)
	if err != nil {
		return nil, err
	}
	if answer.Has("handoff") {
		return nil, &Error{Status: http.StatusBadRequest, Code: "invalid_request", Description: "an answer was handed over twice"}
	}
	return answer, nil
}

// stateParts are the request and the host that a state of ours names.
func stateParts(state string) (id, mark string) {
	id, rest, _ := strings.Cut(state, ".")
	mark, _, _ = strings.Cut(rest, ".")
	return id, mark
}
