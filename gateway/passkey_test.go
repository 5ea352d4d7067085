package gateway

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// ask is what a page gives the browser for a passkey; empty if it has none.
func (v view) ask() string {
	m := regexp.MustCompile(`data-ask="([^"]*)"`).FindStringSubmatch(v.body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// account signs in at the account page.
func (p *person) account(t *testing.T, origin, username string) view {
	t.Helper()
	v := p.follow(t, p.get(t, origin+"/account"))
	if v.at.Path == "/signin" {
		v = p.signsIn(t, v, username, "the password of "+username)
	}
	if v.at.Path != "/account" || v.status != http.StatusOK {
		t.Fatalf("there is no account page: %d %q", v.status, v.title())
	}
	return v
}

// adds makes a passkey with the device.
func (p *person) adds(t *testing.T, page view, device *idptest.Authenticator, name string) view {
	t.Helper()
	return p.post(t, page.at.Scheme+"://"+page.at.Host+"/account", url.Values{
		"action": {"add-passkey"}, "name": {name}, "passkey": {device.Create(t, page.ask())},
	})
}

// touches signs in at a form with the device.
func (p *person) touches(t *testing.T, form view, device *idptest.Authenticator) view {
	t.Helper()
	return p.shows(t, form, device.Get(t, form.ask()))
}

func (p *person) shows(t *testing.T, form view, answer string) view {
	t.Helper()
	return p.follow(t, p.post(t, form.at.Scheme+"://"+form.at.Host+"/signin", url.Values{"r": {form.field("r")}, "passkey": {answer}}))
}

const refusedPasskey = "This passkey was not accepted."

// passkeys is a house, and ada with a passkey in it.
func passkeys(t *testing.T) (*house, *person, *idptest.Authenticator) {
	t.Helper()
	h := newHouse(t, signinConfig(localSignin(t, "ada", "bob"), ""), nil)
	ada, device := h.person(t, nil), idptest.NewAuthenticator(t, notes)
	page := ada.account(t, notes, "ada")
	if v := ada.adds(t, page, device, "  My\u202e <laptop>\n"); !v.says("The passkey was added.") || !v.says("My <laptop>") || v.field("id") != device.ID() {
		t.Fatalf("the account page: %d %s", v.status, v.body)
	}
	return h, ada, device
}

func TestPasskeySignsInWithoutPassword(t *testing.T) {
	h, _, device := passkeys(t)
	p := h.person(t, nil) // a browser that nobody has signed in with
	form := p.follow(t, p.asks(t, notes, nil))
	got := p.redeem(t, notes, p.touches(t, form, device))
	if user, _ := p.whoami(t, notes, got.Access); user != "local:ada" {
		t.Errorf("the token is of %q", user)
	}
	if again := p.refresh(t, notes, got.Refresh); again.status != http.StatusOK {
		t.Errorf("the refresh is %+v", again)
	}
	if v := p.get(t, notes+"/account"); v.says("not yet") {
		t.Error("the account page does not say that the passkey was used")
	}
	if h.audit.count("passkey_added") != 1 || h.audit.count("signin_ok") != 2 {
		t.Errorf("the audit log has\n%s", h.audit)
	}
}

func TestPasskeySharedAmongDevicesSignsInAgain(t *testing.T) {
	h := newHouse(t, signinConfig(localSignin(t, "ada"), ""), nil)
	ada, device := h.person(t, nil), idptest.NewAuthenticator(t, notes)
	device.Shared = true
	ada.adds(t, ada.account(t, notes, "ada"), device, "")
	for range 2 {
		p := h.person(t, nil)
		p.redeem(t, notes, p.touches(t, p.follow(t, p.asks(t, notes, nil)), device.Clone()))
	}
}

func TestPasskeyIsRefused(t *testing.T) {
	h, _, device := passkeys(t)
	stranger := idptest.NewAuthenticator(t, notes)
	elsewhere := h.person(t, nil)
	other := elsewhere.follow(t, elsewhere.asks(t, notes, nil))
	refused := func(t *testing.T, p *person, v view) {
		t.Helper()
		if v.status != http.StatusUnauthorized || !v.says(refusedPasskey) || v.field("r") == "" {
			t.Errorf("it is answered by %d %q", v.status, v.title())
		}
		if account := p.get(t, notes+"/account"); account.to == "" {
			t.Error("the browser is signed in all the same")
		}
		h.late.Add(int64(time.Minute)) // the next guess is another's
	}
	for name, try := range map[string]func(*testing.T, *person, view) view{
		"of a device that nobody added": func(t *testing.T, p *person, form view) view { return p.touches(t, form, stranger) },
		"that signed for another browser": func(t *testing.T, p *person, form view) view {
			return p.shows(t, form, device.Get(t, other.ask()))
		},
		"of a page of another host": func(t *testing.T, p *person, form view) view {
			c := device.Clone()
			c.Origin = tasks
			return p.touches(t, form, c)
		},
		"of a device that anybody may touch": func(t *testing.T, p *person, form view) view {
			c := device.Clone()
			c.Unverified = true
			return p.touches(t, form, c)
		},
		"that is nothing": func(t *testing.T, p *person, form view) view { return p.shows(t, form, "{}") },
	} {
		t.Run("a passkey "+name, func(t *testing.T) {
			p := h.person(t, nil)
			form := p.follow(t, p.asks(t, notes, nil))
			v := try(t, p, form)
			refused(t, p, v)
			if v.ask() == form.ask() || v.ask() == "" {
				t.Error("the challenge that was tried is offered again")
			}
			p.redeem(t, notes, p.touches(t, v, device))
		})
	}
	t.Run("a passkey whose counter did not move on", func(t *testing.T) {
		p, behind := h.person(t, nil), device.Clone()
		behind.Count -= 2
		refused(t, p, p.touches(t, p.follow(t, p.asks(t, notes, nil)), behind))
		if !strings.Contains(h.audit.String(), "counter did not move on") {
			t.Errorf("the audit log has\n%s", h.audit)
		}
	})
	t.Run("a signature offered again in the same browser", func(t *testing.T) {
		p := h.person(t, nil)
		form := p.follow(t, p.asks(t, notes, nil))
		answer := device.Get(t, form.ask())
		p.redeem(t, notes, p.shows(t, form, answer))
		if v := p.shows(t, form, answer); v.status != http.StatusBadRequest || v.title() != "This page has expired" {
			t.Errorf("it is answered by %d %q", v.status, v.title())
		}
	})
}

func TestPasskeysOfOneHostAreNoneOfAnother(t *testing.T) {
	h, ada, device := passkeys(t)
	if v := ada.account(t, tasks, "ada"); v.field("id") != "" {
		t.Error("the other host lists the passkey")
	}
	p, moved := h.person(t, nil), device.Clone()
	moved.Origin = tasks
	if v := p.touches(t, p.follow(t, p.asks(t, tasks, nil)), moved); v.status != http.StatusUnauthorized {
		t.Errorf("the other host answers %d", v.status)
	}
}

func TestPasskeyIsAdded(t *testing.T) {
	h, ada, device := passkeys(t)
	page := ada.account(t, notes, "ada")
	if v := ada.adds(t, page, device, "again"); !v.says("This passkey is here already.") {
		t.Errorf("a second time: %d %s", v.status, v.body)
	}
	bob := h.person(t, nil)
	theirs := bob.account(t, notes, "bob")
	if v := bob.adds(t, theirs, device.Clone(), "ada's"); !v.says("This passkey is here already.") {
		t.Errorf("for another user: %d %s", v.status, v.body)
	}
	if v := bob.adds(t, page, idptest.NewAuthenticator(t, notes), "asked of ada"); !v.says("The passkey was not added") {
		t.Errorf("with the challenge of another browser: %d %s", v.status, v.body)
	}
	if h.audit.count("passkey_added") != 1 || h.audit.count("passkey_refused") != 1 {
		t.Errorf("the audit log has\n%s", h.audit)
	}
	for range 20 - 1 {
		ada.adds(t, ada.account(t, notes, "ada"), idptest.NewAuthenticator(t, notes), "")
	}
	if v := ada.adds(t, ada.account(t, notes, "ada"), idptest.NewAuthenticator(t, notes), ""); !v.says("as many passkeys as there can be") {
		t.Errorf("the 21st: %d", v.status)
	}
}

func TestPasskeyIsAddedOnlySoonAfterTheSignIn(t *testing.T) {
	h := newHouse(t, signinConfig(localSignin(t, "ada"), ""), nil)
	ada, device := h.person(t, nil), idptest.NewAuthenticator(t, notes)
	page := ada.account(t, notes, "ada")
	h.late.Store(int64(16 * time.Minute))
	if v := ada.adds(t, page, device, ""); !strings.Contains(v.to, "/signin?r=") {
		t.Errorf("a browser that somebody left open adds a passkey: %d %q", v.status, v.title())
	}
	v := ada.account(t, notes, "ada")
	if v.ask() != "" || !v.says("Sign in again") {
		t.Errorf("the page still offers it: %s", v.body)
	}
	v = ada.signsIn(t, ada.follow(t, ada.post(t, notes+"/account", url.Values{"action": {"sign-in"}})), "ada", "the password of ada")
	if v = ada.adds(t, v, device, ""); !v.says("The passkey was added.") {
		t.Errorf("after another sign-in: %d %q", v.status, v.title())
	}
}

func TestPasskeyIsRemoved(t *testing.T) {
	h, ada, device := passkeys(t)
	bob := h.person(t, nil)
	bob.account(t, notes, "bob")
	remove := url.Values{"action": {"remove-passkey"}, "id": {device.ID()}}
	if v := bob.post(t, notes+"/account", remove); !v.says("removed before") {
		t.Errorf("bob removes ada's: %d", v.status)
	}
	if v := ada.post(t, notes+"/account", remove); !v.says("The passkey was removed.") || v.field("id") != "" {
		t.Errorf("the account page: %d %s", v.status, v.body)
	}
	p := h.person(t, nil)
	if v := p.touches(t, p.follow(t, p.asks(t, notes, nil)), device); v.status != http.StatusUnauthorized {
		t.Errorf("the removed passkey signs in: %d", v.status)
	}
	if v := ada.adds(t, ada.account(t, notes, "ada"), device, "again"); !v.says("The passkey was added.") {
		t.Errorf("it cannot be added again: %d", v.status)
	}
}

func TestUserWhoIsGoneHasNoPasskey(t *testing.T) {
	h, _, device := passkeys(t)
	h.reload(t, strings.Replace(h.config, "username: ada,", "username: eve,", 1))
	p := h.person(t, nil)
	if v := p.touches(t, p.follow(t, p.asks(t, notes, nil)), device); v.status != http.StatusUnauthorized {
		t.Errorf("the passkey of a user who is gone signs in: %d", v.status)
	}
}

func TestRevokingAUserRemovesPasskeys(t *testing.T) {
	for name, v := range map[string]Revocation{
		"by subject": {User: "local:ada"}, "by username": {User: "ada"}, "all": {All: true},
	} {
		t.Run(name, func(t *testing.T) {
			h, _, device := passkeys(t)
			bob, theirs := h.person(t, nil), idptest.NewAuthenticator(t, notes)
			bob.adds(t, bob.account(t, notes, "bob"), theirs, "")
			if _, err := h.revoke(context.Background(), v); err != nil {
				t.Fatal(err)
			}
			p := h.person(t, nil)
			if v := p.touches(t, p.follow(t, p.asks(t, notes, nil)), device); v.status != http.StatusUnauthorized {
				t.Errorf("ada's passkey signs in: %d", v.status)
			}
			form := p.follow(t, p.asks(t, notes, nil))
			if got := p.touches(t, form, theirs); (got.status == http.StatusUnauthorized) != v.All {
				t.Errorf("bob's passkey: %d", got.status)
			}
		})
	}
}

func TestPeopleOfProvidersHaveNoPasskeys(t *testing.T) {
	server := idptest.New(t)
	h := newHouse(t, signinConfig(oidcProvider(server, "company", "allowAnyone: true")+", "+localSignin(t, "ada"), ""), server.Client())
	p := h.person(t, server.Visit)
	v := p.follow(t, p.get(t, notes+"/account"))
	v = p.follow(t, p.post(t, notes+"/signin", url.Values{"r": {v.field("r")}, "provider": {"company"}}))
	if v.at.Path != "/account" || v.ask() != "" || v.says("Passkeys") {
		t.Errorf("the account page of somebody who signs in elsewhere: %d %s", v.status, v.body)
	}
	v = p.post(t, notes+"/account", url.Values{"action": {"add-passkey"}, "passkey": {"{}"}})
	if v.status != http.StatusBadRequest {
		t.Errorf("adding one is answered by %d", v.status)
	}
}

// TestPasskeyIsOfWhoWasAsked: the page is ada's, and meanwhile bob has signed in
// in another tab.
func TestPasskeyIsOfWhoWasAsked(t *testing.T) {
	h := newHouse(t, signinConfig(localSignin(t, "ada", "bob"), ""), nil)
	p, device := h.person(t, nil), idptest.NewAuthenticator(t, notes)
	page := p.account(t, notes, "ada")
	form := p.follow(t, p.asks(t, notes, url.Values{"prompt": {"login"}}))
	p.redeem(t, notes, p.signsIn(t, form, "bob", "the password of bob"))
	if v := p.adds(t, page, device, ""); !v.says("Please add the passkey again.") || v.field("id") != "" {
		t.Errorf("it is answered by %d %s", v.status, v.body)
	}
}
