package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// SEP-1046: a client of the operator's acts for itself.

func credentials(changes ...string) url.Values {
	return changed(url.Values{"grant_type": {"client_credentials"}}, changes)
}

func TestT_client_credentials_give_a_configured_client_a_token_of_its_own(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	c := f.robot()
	a := c.post(t, "/token", credentials("resource", notes+"/mcp"))
	tok := a.tokens(t)
	if tok.refresh != "" || tok.scope != allNotesScopes || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %s", a.Status, a.body)
	}
	got := claims(t, tok.access)
	if got["sub"] != "client:robot" || got["client_id"] != "robot" || got["iss"] != notes || !slices.Equal(texts(got["aud"]), []string{notes, notes + "/mcp"}) || got["email"] != nil {
		t.Errorf("claims %v", got)
	}
	if a := f.call(t, notes, tok.access, "delete_note"); a.StatusCode != http.StatusOK {
		t.Errorf("a call: %s: %s", a.Status, a.body)
	}
	less := c.post(t, "/token", credentials("scope", "notes:read")).tokens(t)
	if less.scope != "notes:read" || f.call(t, notes, less.access, "write_note").StatusCode != http.StatusForbidden {
		t.Errorf("narrowed to %q", less.scope)
	}
}

func TestT_client_credentials_are_refused_to_everybody_else(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	registered := f.newClient(t, map[string]any{"token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"authorization_code", "client_credentials"}})
	f.leavesNothing(t, func() {
		for name, c := range map[string]*client{
			"registered, with a secret": registered, "registered, public": f.newClient(t, nil), "configured, for people": f.portal(),
			"configured, public": {f: f, origin: notes, id: "cli"},
		} {
			t.Run(name, func(t *testing.T) {
				c.post(t, "/token", credentials()).wantJSON(t, http.StatusBadRequest, "unauthorized_client")
			})
		}
		c := f.robot()
		c.post(t, "/token", credentials("scope", "unknown")).wantJSON(t, http.StatusBadRequest, "invalid_scope")
		for _, resource := range foreign {
			c.post(t, "/token", credentials("resource", resource)).wantJSON(t, http.StatusBadRequest, "invalid_target")
		}
		c.secret = "wrong"
		c.post(t, "/token", credentials()).wantJSON(t, http.StatusUnauthorized, "invalid_client")
	})
}

func TestT17_a_client_that_revokes_a_token_of_its_own_can_get_another(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	c := f.robot()
	tok := c.post(t, "/token", credentials()).tokens(t)
	if a := c.post(t, "/revoke", url.Values{"token": {tok.access}}); a.StatusCode != http.StatusOK {
		t.Fatal(a.Status)
	}
	f.call(t, notes, tok.access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
	next := c.post(t, "/token", credentials()).tokens(t)
	if a := f.call(t, notes, next.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Errorf("a token from after the revocation: %s %s", a.Status, a.Header.Get("WWW-Authenticate"))
	}
}

func TestT17_whatever_an_operator_revokes_the_tokens_of_clients_included(t *testing.T) {
	for name, v := range map[string]Revocation{"--all": {All: true}, "--host": {Host: "notes.example.com"}, "--client": {Client: "robot"}, "--user": {User: "client:robot"}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, with("PROXY_CLIENTS", robots))
			tok := f.robot().post(t, "/token", credentials()).tokens(t)
			if n, err := f.revoke(t.Context(), v); err != nil || n != 1 {
				t.Errorf("%d grants ended, %v", n, err)
			}
			f.call(t, notes, tok.access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
		})
	}
}

func TestT17_an_operator_ends_the_tokens_of_a_client_and_may_allow_it_again(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	c := f.robot()
	tok := c.post(t, "/token", credentials()).tokens(t)
	if _, err := f.revoke(t.Context(), Revocation{Client: "robot"}); err != nil {
		t.Fatal(err)
	}
	f.call(t, notes, tok.access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
	c.post(t, "/token", credentials()).wantJSON(t, http.StatusUnauthorized, "invalid_client")
	if _, err := f.revoke(t.Context(), Revocation{Client: "robot", Allow: true}); err != nil {
		t.Fatal(err)
	}
	next := c.post(t, "/token", credentials()).tokens(t)
	if a := f.call(t, notes, next.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Errorf("a token from after it was allowed again: %s %s", a.Status, a.Header.Get("WWW-Authenticate"))
	}
}

// keyed is a client of the operator's that proves itself by its key.
func keyed(t *testing.T) (*ecdsa.PrivateKey, option) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwk.FromRaw(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	set := encoded(t, map[string]any{"keys": []any{public}})
	return key, with("PROXY_CLIENTS", encoded(t, []any{map[string]any{"clientID": "robot", "jwks": set, "grants": []string{"client_credentials"}}}))
}

func TestT2_T3_a_client_with_a_key_proves_itself_by_an_assertion_that_counts_once(t *testing.T) {
	key, configured := keyed(t)
	f := newFixture(t, configured)
	assertion := func(changes map[string]any) []string {
		now := f.clock.now().Unix()
		claims := map[string]any{"iss": "robot", "sub": "robot", "aud": notes, "jti": rand.Text(), "iat": now, "exp": now + 60}
		maps.Copy(claims, changes)
		signed, err := jws.Sign([]byte(encoded(t, claims)), jws.WithKey(jwa.ES256, key))
		if err != nil {
			t.Fatal(err)
		}
		return []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", string(signed)}
	}
	ask := func(fields []string) answer {
		form := credentials(fields...)
		return f.ask(t, http.MethodPost, notes+"/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	for _, aud := range []any{notes, notes + "/", notes + "/token", []string{notes}} {
		once := assertion(map[string]any{"aud": aud})
		tok := ask(once).tokens(t)
		if a := f.call(t, notes, tok.access, "read_note"); a.StatusCode != http.StatusOK || tok.refresh != "" {
			t.Errorf("%v: %s", aud, a.Status)
		}
		f.leavesNothing(t, func() { ask(once).wantJSON(t, http.StatusUnauthorized, "invalid_client") })
	}
	f.leavesNothing(t, func() {
		for name, changes := range map[string]map[string]any{
			"for another host": {"aud": mail}, "for another host as well": {"aud": []string{mail, notes}}, "of another issuer": {"iss": "other"}, "about another": {"sub": "other"}, "expired": {"exp": f.clock.now().Unix() - 120},
			"for too long": {"exp": f.clock.now().Unix() + 86_400}, "without a jti": {"jti": ""}, "without an end": {"exp": 0},
		} {
			t.Run(name, func(t *testing.T) { ask(assertion(changes)).wantJSON(t, http.StatusUnauthorized, "invalid_client") })
		}
		ask([]string{"client_id", "robot"}).wantJSON(t, http.StatusUnauthorized, "invalid_client")
		ask([]string{"client_id", "robot", "client_secret", "guess"}).wantJSON(t, http.StatusUnauthorized, "invalid_client")
	})
}

func TestT3_guessing_at_a_client_secret_is_limited_per_address(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots), with("SERVER_LIMITS_FAILEDSIGNINSPERMINUTE", "3"), with("SERVER_TRUSTEDPROXIES", "127.0.0.0/8"))
	from := func(address, secret string) answer {
		c := f.robot()
		return f.ask(t, http.MethodPost, notes+"/token", credentials("client_id", c.id, "client_secret", secret).Encode(),
			"Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-For", address)
	}
	right := f.robot().secret
	for range 10 { // what is right does not count
		from("192.0.2.1", right).tokens(t)
	}
	for range 3 {
		from("192.0.2.1", "a-guess").wantJSON(t, http.StatusUnauthorized, "invalid_client")
	}
	for _, secret := range []string{"a-guess", right} { // not even the right one: it must not tell
		a := from("192.0.2.1", secret)
		a.wantJSON(t, http.StatusTooManyRequests, "temporarily_unavailable")
		if a.Header.Get("Retry-After") == "" {
			t.Error("it does not say how long")
		}
	}
	from("192.0.2.2", right).tokens(t)
	f.forward(t, time.Minute)
	from("192.0.2.1", right).tokens(t)
}
