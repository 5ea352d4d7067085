package auth

import (
	"errors"
	"net/http"
	"net/url"

	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/web"
)

// An Error is a refusal. It has two faces: what the client or the person reads,
// and Cause, which is for the log and never leaves it. The gateway turns it into
// JSON, a redirect or a page.
type Error struct {
	Status      int
	Code        string // RFC 6749 §4.1.2.1 and §5.2, RFC 7591 §3.2.2, RFC 8707 §2
	Description string // for programs: what happened, in the characters RFC 6749 allows
	Redirect    string // where the answer goes, once that is known to be the client's
	Header      http.Header

	Fault  web.Fault // for people; empty: a general one
	About  string    // whom the fault is about: an account, an identity provider
	Detail string    // more of it, in English; empty: Description, if Fault is vague
	Link   string    // the client's address, where the person may go
	Retry  string    // a path at which the person may try again

	OtherAccount bool // with another account

	Cause error
}

func (e *Error) Error() string {
	text := e.Code + ": " + e.Description
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

// refusal is a 400 that a program reads.
func refusal(code, description string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Description: description}
}

// broken is what remains when we fail: the caller may try again later.
func broken(step string, err error) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: step + " failed; try again",
		Fault: web.FaultNotNow, Header: http.Header{"Retry-After": {"5"}}, Cause: err,
	}
}

// tooMany answers an exceeded limit.
func tooMany(seconds string) *Error {
	return &Error{
		Status: http.StatusTooManyRequests, Code: "temporarily_unavailable", Description: "too many requests from this address",
		Fault: web.FaultTooMany, Header: http.Header{"Retry-After": {seconds}},
	}
}

// stale is shown when the request that a browser should carry is not there.
func stale(cause error) *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: "invalid_request", Fault: web.FaultExpired,
		Description: "the authorization request is unknown to this browser, finished, or older than ten minutes", Cause: cause,
	}
}

// ofClients turns a refusal of a client into ours. Where no client can be
// told, a page says it (OAuth 2.1 §2.3.5).
func ofClients(err error) *Error {
	var ce *clients.Error
	if !errors.As(err, &ce) {
		return broken("the client look-up", err)
	}
	e := &Error{Status: http.StatusBadRequest, Code: ce.Code, Description: ce.Description, Cause: ce.Cause}
	switch ce.Code {
	case "invalid_client":
		e.Fault = web.FaultUnknownClient
	case "temporarily_unavailable":
		e.Fault = web.FaultNotNow
		e.Status = http.StatusServiceUnavailable
		e.Header = http.Header{"Retry-After": {"5"}}
	default:
		e.Fault = web.FaultBadClient
	}
	return e
}

// ofGrants turns what is wrong with a code or refresh token into invalid_grant,
// and everything else into our own failure.
func ofGrants(step string, err error) *Error {
	if errors.Is(err, grants.ErrInvalid) {
		e := refusal("invalid_grant", "the code or refresh token is invalid, expired, spent or was issued to another client")
		e.Cause = err
		return e
	}
	return broken(step, err)
}

// answer is the redirect URI with params added: its own query is kept (OAuth
// 2.1 §2.3), and iss names us (RFC 9207).
func (s *Server) answer(redirectURI, state string, params url.Values) (string, error) {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return "", err
	}
	if state != "" {
		params.Set("state", state)
	}
	params.Set("iss", s.issuer())
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += params.Encode()
	return u.String(), nil
}
