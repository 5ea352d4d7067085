package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestAccount_shows_and_ends_the_connections_of_this_person_at_this_host(t *testing.T) {
	f := newFixture(t)
	b := f.newBrowser(t)
	one := f.newClient(t, map[string]any{"client_name": "One"})
	two := f.newClient(t, map[string]any{"client_name": "Two"})
	first, second := one.connect(t, b), two.connect(t, b)
	bobs := f.newClient(t, map[string]any{"client_name": "Bobs"})
	other := f.newBrowser(t)
	q := bobs.received(t, other.signIn(t, other.allow(t, other.open(t, bobs.authorizeURL()), "notes:read"), bob))
	his := bobs.redeem(t, q.Get("code")).tokens(t)
	f.newClientAt(t, mail, map[string]any{"client_name": "Elsewhere"}).connect(t, b)

	page := b.open(t, notes+"/account")
	page.wantPage(t, http.StatusOK, "You are signed in as ada@example.com")
	for name, want := range map[string]bool{"One": true, "Two": true, "Bobs": false, "Elsewhere": false} {
		if strings.Contains(page.text(), "“"+name+"”") != want {
			t.Errorf("%s is shown: %v", name, !want)
		}
	}
	grant := func(tok tokens) string { return claims(t, tok.access)["sid"].(string) }
	// Nobody ends the connection of somebody else.
	b.post(t, notes+"/account", url.Values{"action": {"end"}, "grant": {grant(his)}})
	if a := f.call(t, notes, his.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Errorf("ada has ended bob's connection: %s", a.Status)
	}
	b.post(t, notes+"/account", url.Values{"action": {"end"}, "grant": {grant(first)}})
	f.call(t, notes, first.access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
	if a := f.call(t, notes, second.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Errorf("the other connection has ended, too: %s", a.Status)
	}
	b.post(t, notes+"/account", url.Values{"action": {"nothing"}}).wantPage(t, http.StatusBadRequest, "")
	b.post(t, notes+"/account", url.Values{"action": {"sign-out"}}).wantPage(t, http.StatusOK, "You are signed out")
	b.open(t, notes+"/account").wantPage(t, http.StatusOK, "Password")
	if a := f.call(t, notes, second.access, "read_note"); a.StatusCode != http.StatusOK {
		t.Errorf("signing out has ended a connection: %s", a.Status)
	}
}

func TestAccount_asks_for_a_sign_in_and_comes_back(t *testing.T) {
	f := newFixture(t)
	b := f.newBrowser(t)
	page := b.open(t, notes+"/account")
	page.wantPage(t, http.StatusOK, "Use the account you have at this server")
	b.signIn(t, page, ada).wantPage(t, http.StatusOK, "No app may use this MCP server for you")
	if n := f.records(t); n["code"]+n["family"]+n["consent"]+n["approved"] != 0 {
		t.Errorf("records %v", n)
	}
}
