package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
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
