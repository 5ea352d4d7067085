package doctor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// tokens is the answer of the token endpoint (RFC 6749 §5.1).
type tokens struct {
	Access  string      `json:"access_token"`
	Type    string      `json:"token_type"`
	Expires json.Number `json:"expires_in"`
	Refresh string      `json:"refresh_token"`
	Scope   string      `json:"scope"`
}

// ask posts to the token endpoint, authenticated as the metadata says.
func (s *session) ask(ctx context.Context, address string, form url.Values) *answer {
	form.Set("client_id", s.registered.id)
	if s.registered.secret == "" {
		return s.via.web.form(ctx, address, form)
	}
	var methods []string
	if s.via.server != nil {
		methods = s.via.server.list("token_endpoint_auth_methods_supported")
	}
	if len(methods) > 0 && !slices.Contains(methods, "client_secret_basic") {
		form.Set("client_secret", s.registered.secret)
		return s.via.web.form(ctx, address, form)
	}
	form.Del("client_id")
	pair := url.QueryEscape(s.registered.id) + ":" + url.QueryEscape(s.registered.secret)
	return s.via.web.form(ctx, address, form, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
}

// take reads an answer, and hides what is secret in it.
func (s *session) take(a *answer) (tokens, error) {
	var t tokens
	err := json.Unmarshal(a.body, &t)
	s.via.hides(t.Access)
	s.via.hides(t.Refresh)
	return t, err
}

// codeForToken redeems the code.
func (c *client) codeForToken(ctx context.Context) finding {
	if c.session == nil {
		return skip(notSignedIn)
	}
	return c.once("token", func() finding {
		s := c.session
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {s.back.Get("code")}, "redirect_uri": {s.redirect}, "code_verifier": {s.verifier},
		}
		if resource := s.via.resource(); resource != "" {
			form.Set("resource", resource)
		}
		a := s.ask(ctx, s.via.tokenEndpoint(), form)
		t, err := s.take(a)
		f := judgeToken(a, t, err)
		if f.result != Wrong {
			s.granted = t
		}
		return f.ends()
	})
}

func judgeToken(a *answer, t tokens, err error) finding {
	rule := "RFC 6749 §5.1"
	switch {
	case a.err != nil:
		return wrong("no answer: %v", a.err).by(rule)
	case a.status != http.StatusOK:
		return wrong("%s%s", a, oauthError(a)).by(rule).fixed("redeem the code: same client, redirect_uri and resource, S256 of the verifier")
	case err != nil || t.Access == "":
		return wrong("%s, and no access_token in JSON", a).by(rule).fixed("answer with JSON")
	case !strings.EqualFold(t.Type, "Bearer"):
		return wrong("token_type is %q", t.Type).by(rule).fixed("say token_type Bearer")
	case t.Expires == "" || t.Expires == "0":
		return warn("expires_in is missing: clients refresh in time only if they know when").by(rule).fixed("say expires_in")
	case !isJSON(a.header):
		return warn("as %q", a.header.Get("Content-Type")).by(rule).fixed("send it as application/json")
	case !strings.Contains(a.header.Get("Cache-Control"), "no-store"):
		return warn("the answer may be cached").by(rule).fixed("send Cache-Control: no-store")
	}
	return ok("Bearer, for %s seconds", t.Expires)
}

func (c *client) refreshGiven(context.Context) finding {
	switch {
	case c.session == nil:
		return skip(notSignedIn)
	case c.session.granted.Refresh != "":
		return ok("yes")
	}
	return wrong("no refresh_token: people sign in again after %s seconds", c.session.granted.Expires).
		by(mcpAuthorization + ", Refresh Tokens; RFC 6749 §6").
		fixed("issue one to every client that registered for refresh_token, or asked for offline_access").matters(c.Stays)
}

// refresh uses the refresh token as the plainest clients do, without scope and
// resource; if that is refused, as the others do.
func (c *client) refresh(ctx context.Context) finding {
	if c.session == nil || c.session.granted.Refresh == "" {
		return skip("no refresh token")
	}
	plainly := c.once("refresh", func() finding { return c.session.renew(ctx, "") })
	if plainly.result != Wrong {
		return plainly.matters(c.Stays)
	}
	fully := c.once("refresh with resource", func() finding { return c.session.renew(ctx, c.session.via.resource()) })
	if fully.result == Wrong {
		return fully.matters(c.Stays)
	}
	plainly.seen += "; with resource it is accepted"
	return plainly.fixed("accept a refresh without resource: it is the one of the first time").by("RFC 8707 §2.2; RFC 6749 §6").
		matters(c.Stays && c.PlainRefresh)
}

func (s *session) renew(ctx context.Context, resource string) finding {
	old := s.granted
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.Refresh}}
	if resource != "" {
		form.Set("resource", resource)
	}
	a := s.ask(ctx, s.via.tokenEndpoint(), form)
	t, err := s.take(a)
	f := judgeToken(a, t, err)
	if f.result == Wrong {
		return f.fixed("accept the refresh token from the client it was given to")
	}
	if t.Refresh == "" {
		t.Refresh = old.Refresh
	}
	s.granted = t
	if t.Refresh == old.Refresh && s.registered.secret == "" {
		return warn("the refresh token stays the same").by("OAuth 2.1 §4.3.1").fixed("rotate the refresh tokens of public clients")
	}
	return f
}

// revoke ends what the sign-in began.
func (c *client) revoke(ctx context.Context) finding {
	if c.session == nil || c.session.granted.Access == "" {
		return skip(notSignedIn)
	}
	return c.once("revoke", func() finding {
		c.hangUp(ctx)
		s := c.session
		address := ""
		if s.via.server != nil {
			address = s.via.server.text("revocation_endpoint")
		}
		if !c.secure(address) {
			return warn("no revocation_endpoint: the token of this check lives until it expires").by("RFC 7009").fixed("offer one")
		}
		token, hint := s.granted.Refresh, "refresh_token"
		if token == "" {
			token, hint = s.granted.Access, "access_token"
		}
		a := s.ask(ctx, address, url.Values{"token": {token}, "token_type_hint": {hint}})
		if a.err != nil || a.status != http.StatusOK {
			return warn("%s%s", a, oauthError(a)).by("RFC 7009 §2.2").fixed("answer 200")
		}
		if after := c.withToken(ctx, mcpSession{}, http.MethodPost, c.target.Path, toolsListBody); after.status != http.StatusUnauthorized {
			return warn("the access token still works: %s", after).by("RFC 7009 §2.1").fixed("end the access tokens of the grant too")
		}
		return ok("it is refused at once")
	})
}
