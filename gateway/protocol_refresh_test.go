package gateway

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestT10_T11_a_refresh_token_works_until_its_successor_is_first_used(t *testing.T) {
	f := newFixture(t)
	c, first := f.connected(t, "notes:read")
	second := c.refresh(t, first.refresh).tokens(t)
	if second.refresh == first.refresh || second.refresh == "" {
		t.Fatal("it does not rotate")
	}
	// A retry, because an answer was lost, gets the same successor.
	f.forward(t, time.Hour)
	again := c.refresh(t, first.refresh).tokens(t)
	if again.refresh != second.refresh || again.access == second.access {
		t.Errorf("a retry gets another successor")
	}
	third := c.refresh(t, second.refresh).tokens(t)
	if third.refresh == second.refresh {
		t.Error("the successor does not rotate")
	}
	if retry := c.refresh(t, second.refresh).tokens(t); retry.refresh != third.refresh {
		t.Error("a retry of the second gets another third")
	}
}

func TestT10_an_older_refresh_token_ends_the_family_at_once(t *testing.T) {
	f := newFixture(t)
	c, first := f.connected(t, "notes:read")
	second := c.refresh(t, first.refresh).tokens(t)
	third := c.refresh(t, second.refresh).tokens(t)
	if a := f.call(t, notes, third.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Fatal(a.Status)
	}
	c.refresh(t, first.refresh).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	for name, access := range map[string]string{"first": first.access, "second": second.access, "third": third.access} {
		t.Run(name, func(t *testing.T) {
			f.call(t, notes, access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
		})
	}
	for _, token := range []string{second.refresh, third.refresh} {
		c.refresh(t, token).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	}
	if !strings.Contains(f.audited.String(), `"audit":"grant_replayed"`) {
		t.Error("the replay is not in the audit log")
	}
}

func TestT10_another_client_cannot_end_a_family_with_its_tokens(t *testing.T) {
	f := newFixture(t)
	c, first := f.connected(t, "notes:read")
	second := c.refresh(t, first.refresh).tokens(t)
	third := c.refresh(t, second.refresh).tokens(t)
	thief := f.newClient(t, map[string]any{"client_name": "Thief"})
	elsewhere := f.newClientAt(t, mail, nil)
	for _, token := range []string{first.refresh, second.refresh, third.refresh} {
		thief.refresh(t, token).wantJSON(t, http.StatusBadRequest, "invalid_grant")
		elsewhere.refresh(t, token).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	}
	if a := f.call(t, notes, third.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Errorf("the family has ended: %s", a.Status)
	}
	c.refresh(t, third.refresh).tokens(t)
}

func TestT11_two_who_refresh_at_once_both_keep_a_working_session(t *testing.T) {
	f := newFixture(t)
	c, tok := f.connected(t, "notes:read")
	for range 100 {
		var both [2]tokens
		var work sync.WaitGroup
		for i := range both {
			work.Go(func() { both[i] = c.refresh(t, tok.refresh).tokens(t) })
		}
		work.Wait()
		if both[0].refresh != both[1].refresh {
			t.Fatal("they got different successors")
		}
		for _, one := range both {
			if a := f.call(t, notes, one.access, "read_note"); a.StatusCode != http.StatusOK {
				t.Fatalf("an access token does not work: %s: %s", a.Status, a.body)
			}
			tok = c.refresh(t, one.refresh).tokens(t)
		}
	}
}

func TestT12_a_refresh_may_ask_for_less_and_never_for_more(t *testing.T) {
	f := newFixture(t)
	c, tok := f.connected(t, "notes:read notes:write")
	less := c.refresh(t, tok.refresh, "scope", "notes:read").tokens(t)
	if less.scope != "notes:read" || claims(t, less.access)["scope"] != "notes:read" {
		t.Errorf("asked for less, got %q", less.scope)
	}
	if a := f.call(t, notes, less.access, "write_note"); a.StatusCode != http.StatusForbidden {
		t.Errorf("a call outside of it: %s", a.Status)
	}
	all := c.refresh(t, less.refresh).tokens(t)
	if all.scope != "notes:read notes:write" {
		t.Errorf("the new refresh token has only %q", all.scope)
	}
	f.leavesNothing(t, func() {
		for _, scope := range []string{"notes:admin", "notes:read notes:admin", "unknown", "openid", "quo\"te", "\xff", strings.Repeat("x", 10_000)} {
			c.refresh(t, all.refresh, "scope", scope).wantJSON(t, http.StatusBadRequest, "invalid_scope")
		}
	})
	for scope, want := range map[string]string{"notes:read offline_access": "notes:read", "offline_access": "notes:read notes:write", "notes:write notes:read notes:read": "notes:read notes:write"} {
		all = c.refresh(t, all.refresh, "scope", scope).tokens(t)
		if all.scope != want {
			t.Errorf("asked for %q, got %q", scope, all.scope)
		}
	}
}

func TestT12_a_refresh_token_ends_when_it_is_idle_and_when_its_time_is_over(t *testing.T) {
	f := newFixture(t, with("TOKEN_REFRESHIDLETTL", "48h"), with("TOKEN_REFRESHTTL", "120h"))
	c, tok := f.connected(t, "notes:read")
	_, idle := f.connected(t, "notes:read")
	for range 4 {
		f.forward(t, 24*time.Hour)
		tok = c.refresh(t, tok.refresh).tokens(t)
	}
	c.refresh(t, idle.refresh).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	f.forward(t, 23*time.Hour+30*time.Minute)
	tok = c.refresh(t, tok.refresh).tokens(t)
	if tok.expires != 1800 {
		t.Errorf("half an hour before the end an access token lasts %v s", tok.expires)
	}
	f.forward(t, 30*time.Minute)
	c.refresh(t, tok.refresh).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	if n := f.records(t); n["family"] != 0 {
		f.forward(t, 3*time.Hour)
		if n := f.records(t); n["family"] != 0 {
			t.Errorf("what is over stays: %v", n)
		}
	}
}

// otherFirst is s with another first character.
func otherFirst(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

func TestT12_T15_what_is_no_refresh_token_is_invalid_grant(t *testing.T) {
	f := newFixture(t)
	c, tok := f.connected(t, "notes:read")
	f.leavesNothing(t, func() {
		for _, token := range []string{
			"x", tok.access, tok.refresh + "A", tok.refresh[:len(tok.refresh)-1], otherFirst(tok.refresh), tok.refresh[:len(tok.refresh)-1] + "~", tok.refresh + "\n", tok.refresh + "=",
			strings.Repeat("A", len(tok.refresh)), strings.Repeat("A", 60_000), "\xff\x00",
		} {
			c.refresh(t, token).wantJSON(t, http.StatusBadRequest, "invalid_grant")
		}
		c.refresh(t, "x", "refresh_token", "").wantJSON(t, http.StatusBadRequest, "invalid_request")
	})
	c.refresh(t, tok.refresh).tokens(t)
}

func TestT13_T14_refresh_tokens_are_for_who_may_use_them_or_asks_for_offline_access(t *testing.T) {
	f := newFixture(t)
	for name, tc := range map[string]struct {
		grants []string
		scope  string
		want   bool
	}{
		"grant_types with refresh_token":                      {[]string{"authorization_code", "refresh_token"}, "notes:read", true},
		"grant_types left out":                                {nil, "notes:read", true},
		"grant_types without it":                              {[]string{"authorization_code"}, "notes:read", false},
		"grant_types without it, but offline_access is asked": {[]string{"authorization_code"}, "notes:read offline_access", true},
	} {
		t.Run(name, func(t *testing.T) {
			metadata := map[string]any{"grant_types": tc.grants}
			if tc.grants == nil {
				metadata["grant_types"] = nil
			}
			c := f.newClient(t, metadata)
			tok := c.connect(t, f.newBrowser(t), "scope", tc.scope)
			if (tok.refresh != "") != tc.want || strings.Contains(tok.scope, "offline_access") || strings.Contains(encoded(t, claims(t, tok.access)), "offline_access") {
				t.Errorf("refresh token %q, scope %q", tok.refresh, tok.scope)
			}
			if tok.refresh == "" {
				return
			}
			if next := c.refresh(t, tok.refresh).tokens(t); next.refresh == "" { // what was issued can be used
				t.Error("it does not rotate")
			}
		})
	}
}

func TestT13_the_operator_decides_for_the_clients_of_the_configuration(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", `[{"clientID":"cli","redirectURIs":["http://127.0.0.1/cb"],"grants":["authorization_code"]}]`))
	c := &client{f: f, origin: notes, id: "cli", redirect: "http://127.0.0.1/cb"}
	if tok := c.connect(t, f.newBrowser(t), "scope", "notes:read offline_access"); tok.refresh != "" {
		t.Error("a refresh token that the operator does not want")
	}
	c.refresh(t, "x").wantJSON(t, http.StatusBadRequest, "unauthorized_client")
}

func TestT15_T16_who_may_no_longer_enter_gets_invalid_grant_and_the_grant_ends(t *testing.T) {
	for name, change := range map[string]struct{ provider, hosts string }{
		"the user is removed":              {strings.Replace(localProvider, `"username":"ada"`, `"username":"grace"`, 1), defaults().hosts},
		"the provider no longer allows it": {strings.Replace(localProvider, `"name":"local"`, `"name":"local","allowedUsers":["bob"]`, 1), defaults().hosts},
		"the host no longer allows it":     {localProvider, strings.Replace(defaults().hosts, `"name":"Notes"`, `"name":"Notes","allow":{"users":["bob"]}`, 1)},
		"the provider is another":          {strings.Replace(localProvider, `"name":"local"`, `"name":"local","id":"other"`, 1), defaults().hosts},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			c, tok := f.connected(t, "notes:read")
			f.reload(t, signInAt(change.provider), serving(change.hosts))
			c.refresh(t, tok.refresh).wantJSON(t, http.StatusBadRequest, "invalid_grant")
			f.call(t, notes, tok.access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
			f.reload(t) // it does not come back
			c.refresh(t, tok.refresh).wantJSON(t, http.StatusBadRequest, "invalid_grant")
		})
	}
}

func TestT16_groups_are_brought_up_to_date_at_a_refresh(t *testing.T) {
	f := newFixture(t)
	c, tok := f.connected(t, "notes:read")
	f.reload(t, signInAt(strings.Replace(localProvider, `"analysts"`, `"engineers"`, 1)))
	next := c.refresh(t, tok.refresh).tokens(t)
	if got := texts(claims(t, next.access)["groups"]); !slices.Equal(got, []string{"engineers"}) {
		t.Errorf("groups are %v", got)
	}
}

func TestT15_a_refusal_of_the_client_is_not_one_of_the_grant(t *testing.T) {
	f := newFixture(t)
	c, tok := f.connected(t, "notes:read")
	if _, err := f.revoke(t.Context(), Revocation{Client: c.id}); err != nil {
		t.Fatal(err)
	}
	f.call(t, notes, tok.access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
	c.refresh(t, tok.refresh).wantJSON(t, http.StatusUnauthorized, "invalid_client")
	f.newBrowser(t).open(t, c.authorizeURL()).wantPage(t, http.StatusBadRequest, "not known here")
	if _, err := f.revoke(t.Context(), Revocation{Client: c.id, Allow: true}); err != nil {
		t.Fatal(err)
	}
	c.refresh(t, tok.refresh).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	c.connect(t, f.newBrowser(t))
}
