package auth

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

const (
	maxForm  = 64 << 10
	maxState = 1024
	maxScope = 4096
)

// authorize validates what a client asks (OAuth 2.1 §4.1.1), seals it in the
// browser that brought it, and sends that browser to the consent page. It stores
// nothing: until somebody approves, a request costs us nothing.
func (s *Server) authorize(c echo.Context) error {
	if err := s.limit(c, Authorizations); err != nil {
		return err
	}
	q, twice, err := authorizeParams(c.Request())
	if err != nil {
		return err
	}
	for _, name := range twice {
		if name == "client_id" || name == "redirect_uri" {
			return givenTwice(name)
		}
	}
	client, redirectURI, err := s.whoAsks(c, q)
	if err != nil {
		return err
	}
	req, code, description := s.request(q)
	belongs(c, req.ID)
	if len(twice) > 0 {
		code, description = givenTwice(twice[0]).Code, givenTwice(twice[0]).Description
	}
	req.ClientID, req.RedirectURI, req.RedirectSent = client.ID, redirectURI, q.Get("redirect_uri") != ""
	if code != "" {
		return s.turnAway(client, req, code, description)
	}
	if !client.May("authorization_code") {
		return s.turnAway(client, req, "unauthorized_client", "this client may not use the authorization code grant")
	}
	if err := s.Browser.carry(c.Response(), c.Request(), req.ID, carried{Request: &req}); err != nil {
		if errors.Is(err, errTooLong) {
			return s.turnAway(client, req, "invalid_request", "the request is too long")
		}
		return err
	}
	s.note(c, Step{
		Name: StepAuthorize, What: "the request is in order; it goes back to " + clients.RedirectHost(redirectURI) + " and asks for " + orNothing(req.Scopes),
		Client: client.ID, ClientName: client.Name,
	})
	return see(c, "/consent?r="+req.ID)
}

// orNothing are scopes in words.
func orNothing(scopes []string) string {
	if len(scopes) == 0 {
		return "no scope by name"
	}
	return printable(strings.Join(scopes, " "))
}

// authorizeParams reads the parameters from the query of a GET or the body of
// a POST, and the names of those that are given twice.
func authorizeParams(r *http.Request) (q url.Values, twice []string, err error) {
	raw := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if raw, err = formBody(r); err != nil {
			return nil, nil, err
		}
	}
	return formValues(raw, "resource")
}

// formBody returns the body of a form.
func formBody(r *http.Request) (string, error) {
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded") {
		return "", refusal("invalid_request", "the body must be application/x-www-form-urlencoded")
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		return "", refusal("invalid_request", "the body ended early")
	}
	if len(b) > maxForm {
		return "", &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "the body is too large"}
	}
	return string(b), nil
}

// strictForm is strictValues of the body of a form.
func strictForm(r *http.Request, repeatable ...string) (url.Values, error) {
	raw, err := formBody(r)
	if err != nil {
		return nil, err
	}
	return strictValues(raw, repeatable...)
}

// strictValues parses form-encoded parameters. Only those in repeatable may
// be there more than once.
func strictValues(raw string, repeatable ...string) (url.Values, error) {
	q, twice, err := formValues(raw, repeatable...)
	if err == nil && len(twice) > 0 {
		return nil, givenTwice(twice[0])
	}
	return q, err
}

// formValues parses form-encoded parameters. An empty one counts as left out
// (OAuth 2.1 §3.1). One that may not repeat and does is left out as well and
// named, in order: two readers could pick differently.
func formValues(raw string, repeatable ...string) (q url.Values, twice []string, err error) {
	if len(raw) > maxForm {
		return nil, nil, refusal("invalid_request", "the request is too long")
	}
	if q, err = url.ParseQuery(raw); err != nil {
		return nil, nil, refusal("invalid_request", "the parameters are not form-encoded")
	}
	for name, values := range q {
		values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		switch {
		case len(values) == 0:
			delete(q, name)
		case len(values) > 1 && !slices.Contains(repeatable, name):
			delete(q, name)
			twice = append(twice, name)
		default:
			q[name] = values
		}
	}
	slices.Sort(twice)
	return q, twice, nil
}

func givenTwice(name string) *Error {
	return refusal("invalid_request", "a parameter is given more than once: "+printable(name))
}

// printable keeps what RFC 6749 §5.2 allows in an error_description.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 60)]
}

// whoAsks proves that client and redirect URI belong together. Until it has,
// nothing is redirected anywhere (OAuth 2.1 §4.1.2.1).
func (s *Server) whoAsks(c echo.Context, q url.Values) (*clients.Client, string, error) {
	id := q.Get("client_id")
	if id == "" {
		e := refusal("invalid_request", "client_id is missing")
		e.Fault = web.FaultIncomplete
		return nil, "", e
	}
	client, err := s.Clients.Lookup(c.Request().Context(), s.issuer(), id)
	if err != nil {
		return nil, "", ofClients(err)
	}
	redirectURI, err := client.Redirect(q.Get("redirect_uri"))
	if err != nil {
		e := refusal("invalid_request", "redirect_uri is not one that this client registered")
		e.Fault, e.Cause = web.FaultRedirect, err
		return nil, "", e
	}
	return client, redirectURI, nil
}

// request reads what is asked. A code that is not empty refuses it.
func (s *Server) request(q url.Values) (req grants.Request, code, description string) {
	now := s.Now()
	req = grants.Request{
		ID: newID(now), Issuer: s.issuer(), State: q.Get("state"), CodeChallenge: q.Get("code_challenge"),
		Scopes: strings.Fields(q.Get("scope")), Prompt: q.Get("prompt"), Started: now,
	}
	if len(req.State) > maxState || !utf8.ValidString(req.State) {
		req.State = "" // it cannot be sent back as it was
		return req, "invalid_request", "state is longer than 1024 characters or not UTF-8"
	}
	req.Resource, code = s.resource(q["resource"])
	switch {
	case q.Has("request"):
		return req, "request_not_supported", "request objects are not supported"
	case q.Has("request_uri"):
		return req, "request_uri_not_supported", "request objects are not supported"
	case q.Get("response_type") == "":
		return req, "invalid_request", "response_type is missing"
	case q.Get("response_type") != "code":
		return req, "unsupported_response_type", "response_type must be code"
	case q.Has("response_mode") && q.Get("response_mode") != "query":
		return req, "invalid_request", "response_mode must be query"
	case req.CodeChallenge == "":
		return req, "invalid_request", "code_challenge is missing: PKCE is required"
	case q.Get("code_challenge_method") != "S256":
		return req, "invalid_request", "code_challenge_method must be S256"
	case !s256(req.CodeChallenge):
		return req, "invalid_request", "code_challenge must be 43 characters of base64url"
	case code != "":
		return req, code, "resource is not an MCP server at this host"
	case !scopeSyntax(q.Get("scope")):
		return req, "invalid_scope", "scope has characters that no scope can have, or is too long"
	case !promptSyntax(req.Prompt):
		return req, "invalid_request", "prompt is not understood"
	}
	return req, "", ""
}

// resource picks the MCP server that is asked for (RFC 8707 §2). All spellings
// that clients send mean the one at this host.
func (s *Server) resource(asked []string) (resource, code string) {
	for _, r := range asked {
		if _, ok := s.Route.Audience(r); !ok {
			return "", "invalid_target"
		}
	}
	if len(asked) == 0 {
		return "", ""
	}
	return asked[0], ""
}

// s256 is the syntax of a SHA-256 code challenge (RFC 7636 §4.2).
func s256(challenge string) bool {
	return len(challenge) == 43 && !strings.ContainsFunc(challenge, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// scopeSyntax is RFC 6749 §3.3.
func scopeSyntax(scope string) bool {
	return len(scope) <= maxScope && !strings.ContainsFunc(scope, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' })
}

// promptSyntax is OpenID Connect Core §3.1.2.1: none stands alone. Values that
// are not known are ignored.
func promptSyntax(prompt string) bool {
	values := strings.Fields(prompt)
	return len(prompt) <= 100 && (!slices.Contains(values, "none") || len(values) == 1)
}

func asks(req grants.Request, prompt string) bool {
	return slices.Contains(strings.Fields(req.Prompt), prompt)
}

// turnAway refuses a request of a known client before anybody consented. An
// https address of a client that the operator did not configure is shown, not
// followed: it would make us an open redirector (OAuth 2.1 §7.12.2).
func (s *Server) turnAway(client *clients.Client, req grants.Request, code, description string) error {
	e := refusal(code, description)
	to, err := s.answer(req.RedirectURI, req.State, url.Values{"error": {code}, "error_description": {description}})
	if err != nil {
		return err
	}
	if client.Kind == clients.KindConfigured || !strings.HasPrefix(req.RedirectURI, "https://") {
		e.Redirect = to
		return e
	}
	e.Fault, e.Link = web.FaultUnanswerable, to
	return e
}

// limit counts one request of an address.
func (s *Server) limit(c echo.Context, what Limit) error { return s.limitKey(c, what, c.RealIP()) }

func (s *Server) limitKey(c echo.Context, what Limit, key string) error {
	return count(c, s.Limits, s.Audit, what, key)
}

// count takes one of what for key, or says when to come back.
func count(c echo.Context, limits Limiter, log *audit.Log, what Limit, key string) error {
	wait, ok := limits.Take(what, key)
	if ok {
		return nil
	}
	log.Record(c.Request().Context(), audit.LimitExceeded, audit.Host(c.Request().Host), audit.Text("limit", string(what)), audit.Text("address", c.RealIP()))
	return tooMany(strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
}
