package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Where the answers of clients go. Nobody listens there: a browser stops before.
const (
	loopback = "http://127.0.0.1:33418/callback"
	claude   = "https://claude.ai/api/mcp/auth_callback"

	verifier = "a-code-verifier-of-at-least-forty-three-characters"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// A client is an OAuth client at one host.
type client struct {
	f        *fixture
	origin   string
	id       string
	secret   string
	redirect string
}

// register registers a client with more metadata or other than the usual, and
// returns what was answered.
func (f *fixture) register(t testing.TB, origin string, metadata map[string]any) answer {
	t.Helper()
	all := map[string]any{
		"client_name": "Scripted client", "redirect_uris": []string{loopback}, "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code", "refresh_token"}, "application_type": "native",
	}
	maps.Copy(all, metadata)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return f.ask(t, http.MethodPost, origin+"/register", encoded(t, all), "Content-Type", "application/json")
}

// newClient registers a client at notes.
func (f *fixture) newClient(t testing.TB, metadata map[string]any) *client {
	t.Helper()
	return f.newClientAt(t, notes, metadata)
}

func (f *fixture) newClientAt(t testing.TB, origin string, metadata map[string]any) *client {
	t.Helper()
	a := f.register(t, origin, metadata)
	if a.StatusCode != http.StatusCreated {
		t.Fatalf("register: %s: %s", a.Status, a.body)
	}
	reg := decoded(t, a.body)
	c := &client{f: f, origin: origin, redirect: texts(reg["redirect_uris"])[0]}
	c.id, _ = reg["client_id"].(string)
	c.secret, _ = reg["client_secret"].(string)
	return c
}

// webClient has an https redirect URI, which the operator did not configure.
func (f *fixture) webClient(t testing.TB) *client {
	t.Helper()
	return f.newClient(t, map[string]any{"redirect_uris": []string{claude}, "client_name": "Claude"})
}

// params are what a client asks at /authorize. Changes are name, value, …; an
// empty value leaves the parameter out.
func (c *client) params(changes ...string) url.Values {
	v := url.Values{
		"response_type": {"code"}, "client_id": {c.id}, "redirect_uri": {c.redirect}, "state": {"state-of-the-client"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"}, "resource": {c.origin + "/mcp"},
		"scope": {"notes:read"},
	}
	return changed(v, changes)
}

func changed(v url.Values, changes []string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		if v.Del(changes[i]); changes[i+1] != "" {
			v.Set(changes[i], changes[i+1])
		}
	}
	return v
}

func (c *client) authorizeURL(changes ...string) string {
	return c.origin + "/authorize?" + c.params(changes...).Encode()
}

// code goes through consent and sign-in as ada, allowing what is asked for, and
// returns the code.
func (c *client) code(t testing.TB, b *browser, changes ...string) string {
	t.Helper()
	a := b.open(t, c.authorizeURL(changes...))
	q := c.finish(t, b, a, strings.Fields(c.params(changes...).Get("scope"))...)
	if q.Get("code") == "" || q.Get("error") != "" {
		t.Fatalf("no code: %v", q)
	}
	return q.Get("code")
}

// finish goes from any page of a flow to the client, and returns what it gets.
func (c *client) finish(t testing.TB, b *browser, a answer, scopes ...string) url.Values {
	t.Helper()
	scopes = slices.DeleteFunc(scopes, func(s string) bool { return s == "offline_access" })
	for range 5 {
		if a.StatusCode == http.StatusSeeOther {
			return c.received(t, a)
		}
		switch a.at.Path {
		case "/consent":
			a = b.allow(t, a, scopes...)
		case "/signin":
			a = b.signIn(t, a, ada)
		default:
			t.Fatalf("the flow ends at %s: %s: %s", a.at, a.Status, a.text())
		}
	}
	t.Fatalf("the flow does not end: %s: %s", a.at, a.text())
	return nil
}

// received is the query with which a browser is sent back to the client.
func (c *client) received(t testing.TB, a answer) url.Values {
	t.Helper()
	a.wantSeeOther(t)
	to := a.location(t)
	q := to.Query()
	for name, values := range q {
		if len(values) > 1 {
			t.Errorf("%s is given twice: %v", name, values)
		}
	}
	if q.Get("iss") != c.origin {
		t.Errorf("Z10: iss is %q in %s, want %s", q.Get("iss"), to, c.origin)
	}
	if !strings.HasPrefix(to.String(), c.redirect) {
		t.Errorf("U1: sent to %s, want %s", to, c.redirect)
	}
	return q
}

// post sends a form to an endpoint for programs. A public client names itself
// in the form, one with a secret uses Basic.
func (c *client) post(t testing.TB, path string, form url.Values, headers ...string) answer {
	t.Helper()
	all := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)
	switch {
	case slices.Contains(headers, "Authorization") || form.Has("client_id"):
	case c.secret != "":
		all = append(all, "Authorization", basic(c.id, c.secret))
	default:
		form.Set("client_id", c.id)
	}
	return c.f.ask(t, http.MethodPost, c.origin+path, form.Encode(), all...)
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// redemption is the form that redeems a code.
func (c *client) redemption(code string, changes ...string) url.Values {
	return changed(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.redirect}, "code_verifier": {verifier},
	}, changes)
}

func (c *client) redeem(t testing.TB, code string, changes ...string) answer {
	t.Helper()
	return c.post(t, "/token", c.redemption(code, changes...))
}

func (c *client) refresh(t testing.TB, token string, changes ...string) answer {
	t.Helper()
	return c.post(t, "/token", changed(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, changes))
}

// tokens is a good answer of the token endpoint (T7).
type tokens struct {
	access, refresh, scope string
	expires                float64
}

func (a answer) tokens(t testing.TB) tokens {
	t.Helper()
	if a.StatusCode != http.StatusOK {
		t.Fatalf("no tokens: %s: %s", a.Status, a.body)
	}
	v := decoded(t, a.body)
	var out tokens
	out.access, _ = v["access_token"].(string)
	out.refresh, _ = v["refresh_token"].(string)
	out.scope, _ = v["scope"].(string)
	out.expires, _ = v["expires_in"].(float64)
	return out
}

// connect is the whole flow.
func (c *client) connect(t testing.TB, b *browser, changes ...string) tokens {
	t.Helper()
	return c.redeem(t, c.code(t, b, changes...)).tokens(t)
}

// connected is a new client that ada has let in with a scope.
func (f *fixture) connected(t testing.TB, scope string) (*client, tokens) {
	t.Helper()
	c := f.newClient(t, nil)
	return c, c.connect(t, f.newBrowser(t), "scope", scope)
}

// claims are what an access token says.
func claims(t testing.TB, token string) map[string]any {
	t.Helper()
	return decoded(t, string(segments(t, token)[1]))
}

func header(t testing.TB, token string) map[string]any {
	t.Helper()
	return decoded(t, string(segments(t, token)[0]))
}

func segments(t testing.TB, token string) [][]byte {
	t.Helper()
	var out [][]byte
	for part := range strings.SplitSeq(token, ".") {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatalf("not a JWT: %q", token)
		}
		out = append(out, b)
	}
	if len(out) != 3 {
		t.Fatalf("not a JWT: %q", token)
	}
	return out
}

// call calls a tool of the MCP server at an origin.
func (f *fixture) call(t testing.TB, origin, token, tool string, headers ...string) answer {
	t.Helper()
	all := append([]string{"Content-Type", "application/json", "Accept", "application/json, text/event-stream"}, headers...)
	if token != "" {
		all = append(all, "Authorization", "Bearer "+token)
	}
	body := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
	return f.ask(t, http.MethodPost, origin+"/mcp", body, all...)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
