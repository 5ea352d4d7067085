package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A session is what one sign-in of a person gives, for all clients to judge:
// nobody wants to sign in eight times.
type session struct {
	via        *client // whose way led to the authorization server
	registered registration
	redirect   string
	verifier   string
	back       url.Values // the query of the redirect

	granted tokens

	mcp    mcpSession
	stream *stream
}

const notSignedIn = "nobody signed in"

// signIn takes the way of the first client that got here.
func (c *client) signIn(ctx context.Context) finding {
	if c.SignIn == nil {
		return skip("not asked for")
	}
	return c.once("sign-in", func() finding {
		s := &session{via: c, verifier: random()}
		c.hides(s.verifier)
		f := c.visit(ctx, s)
		if f.result == OK {
			c.session = s
		}
		return f
	}).ends()
}

// visit sends the person away, and waits for them on loopback.
func (c *client) visit(ctx context.Context, s *session) finding {
	var open net.ListenConfig
	l, err := open.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.CallbackPort)))
	if err != nil {
		return skip("no port to listen on for the answer: " + err.Error())
	}
	s.redirect = "http://" + l.Addr().String() + "/callback"
	if err := c.introduce(ctx, s); err != nil {
		_ = l.Close()
		return skip(err.Error())
	}
	state := random()
	back := make(chan url.Values, 1)
	server := &http.Server{Handler: callback(state, back), ReadHeaderTimeout: c.Patience}
	go server.Serve(l) //nolint:errcheck // it ends with the visit
	defer server.Close()
	address, err := s.begin(state)
	if err != nil {
		return wrong("%s is not a URL", c.authorizationEndpoint())
	}
	if err := c.SignIn(ctx, address); err != nil {
		return skip("the sign-in could not be shown: " + err.Error())
	}
	select {
	case s.back = <-back:
	case <-ctx.Done():
		return skip("interrupted")
	case <-time.After(c.SignInWait):
		return skip(fmt.Sprintf("nobody came back within %s", c.SignInWait))
	}
	return s.judgeBack(c)
}

// introduce makes the doctor a client of its own, whose answers come here.
func (c *client) introduce(ctx context.Context, s *session) error {
	if c.ClientID != "" {
		s.registered = registration{id: c.ClientID, secret: c.ClientSecret}
		return nil
	}
	address := c.registrationEndpoint()
	if !c.secure(address) {
		return errors.New("the server registers nobody: configure a client with a redirect URI on 127.0.0.1, and give --client-id")
	}
	_, r, err := c.registerClient(ctx, address, map[string]any{
		"client_name": "MCP OAuth doctor", "redirect_uris": []string{s.redirect}, "application_type": "native",
		"token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
	})
	if err != nil {
		return fmt.Errorf("a client on loopback cannot register (%w): configure one, and give --client-id", err)
	}
	s.registered = r
	c.hides(r.secret)
	return nil
}

// begin is the address for the person.
func (s *session) begin(state string) (string, error) {
	q := url.Values{
		"response_type": {"code"}, "client_id": {s.registered.id}, "redirect_uri": {s.redirect}, "state": {state},
		"code_challenge": {s256(s.verifier)}, "code_challenge_method": {"S256"},
	}
	if scope := s.via.scope(); scope != "" {
		q.Set("scope", scope)
	}
	if resource := s.via.resource(); resource != "" {
		q.Set("resource", resource)
	}
	return query(s.via.authorizationEndpoint(), q)
}

// callback takes the first answer that carries our state; all others are
// somebody else's.
func callback(state string, back chan<- url.Values) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Referrer-Policy", "no-referrer")
		if r.URL.Path != "/callback" || r.URL.Query().Get("state") != state {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		select {
		case back <- r.URL.Query():
		default: // a reload
		}
		fmt.Fprintln(w, "The doctor has what it needs. You can close this window.")
	})
}

func (s *session) judgeBack(c *client) finding {
	for _, name := range []string{"code", "state", "error"} {
		if len(s.back[name]) > 1 {
			return wrong("%s is there twice in the answer", name).by("RFC 6749 §3.1").fixed("send each parameter once")
		}
	}
	c.hides(s.back.Get("code"))
	if said := s.back.Get("error"); said != "" {
		return wrong("refused: %s %s", said, s.back.Get("error_description")).by("RFC 6749 §4.1.2.1").
			fixed("sign in as somebody who may, and allow the request")
	}
	if s.back.Get("code") == "" {
		return wrong("the answer has no code").by("RFC 6749 §4.1.2").fixed("send code and state to the redirect URI")
	}
	return ok("a code came back")
}

// iss holds the answer against RFC 9207.
func (c *client) iss(context.Context) finding {
	if c.session == nil {
		return skip(notSignedIn)
	}
	expected, promised := c.issuer, false
	if c.server != nil {
		expected, promised = c.server.text("issuer"), c.server.flag("authorization_response_iss_parameter_supported")
	}
	rule := "RFC 9207 §2.4; MCP 2026-07-28 authorization"
	switch said := c.session.back["iss"]; {
	case len(said) == 0 && !promised:
		return ok("not promised")
	case len(said) == 0:
		return wrong("authorization_response_iss_parameter_supported is true, and there is no iss").by(rule).
			fixed("send iss=%s", expected).matters(c.ChecksIss)
	case len(said) > 1 || said[0] != expected:
		return wrong("iss is %q, the issuer is %q", said[0], expected).by(rule).
			fixed("send iss=%s, letter by letter", expected).matters(c.ChecksIss)
	case !promised:
		return warn("iss is sent, but not promised").by("RFC 9207 §2.3").fixed("say authorization_response_iss_parameter_supported: true")
	}
	return ok("%s", expected)
}

// hides keeps a secret out of everything that is reported.
func (s *site) hides(secret string) {
	if secret != "" && !slices.Contains(s.secrets, secret) {
		s.secrets = append(s.secrets, secret)
	}
}

func (s *site) redact(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "[hidden]")
		text = strings.ReplaceAll(text, url.QueryEscape(secret), "[hidden]")
	}
	return text
}
