package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// openHouse is a house where one OpenID provider lets anybody in.
func openHouse(t *testing.T) (*house, *person, *idptest.Provider) {
	t.Helper()
	server := idptest.New(t)
	h := newHouse(t, signinConfig(oidcProvider(server, "company", "allowAnyone: true"), ""), server.Client())
	return h, h.person(t, server.Visit), server
}

// sessionOf is the browser's session cookie at a host.
func (p *person) sessionOf(t *testing.T, origin string) string {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.client.Jar.Cookies(u) {
		if strings.Contains(c.Name, "-s-") {
			return c.Value
		}
	}
	return ""
}

func TestSignedInBrowserIsNotSentToTheProviderAgain(t *testing.T) {
	h, p, server := openHouse(t)
	p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
	p.visit = func(t testing.TB, begin string) url.Values {
		t.Fatalf("the browser is sent to %s", begin)
		return nil
	}
	p.redeem(t, notes, p.asks(t, notes, nil)) // a loopback client is asked for consent, no more
	p.visit = server.Visit
	h.late.Store(int64(13 * time.Hour)) // session.ttl is 12h
	if v := p.asks(t, notes, nil); !p.atProvider(t, v.to) {
		t.Errorf("the session does not end: %q", v.to)
	}
	if n := len(server.Prompts()); n != 1 {
		t.Errorf("the provider was visited %d times", n)
	}
}

func TestPromptLoginIsRespected(t *testing.T) {
	_, p, server := openHouse(t)
	p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
	for _, prompt := range []string{"login", "select_account"} {
		before := p.sessionOf(t, notes)
		v := p.asks(t, notes, url.Values{"prompt": {prompt}})
		if !p.atProvider(t, v.to) {
			t.Fatalf("prompt=%s goes on at %q", prompt, v.to)
		}
		p.redeem(t, notes, p.follow(t, v))
		if after := p.sessionOf(t, notes); after == before || after == "" {
			t.Errorf("prompt=%s: the session is the same as before", prompt)
		}
	}
	if got := server.Prompts(); !slices.Equal(got, []string{"", "login", "login"}) {
		t.Errorf("the provider was asked for %q", got)
	}
}

func TestSessionIsRenewedAtSignIn(t *testing.T) {
	h, p, _ := openHouse(t)
	p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
	first := p.sessionOf(t, notes)
	p.redeem(t, notes, p.follow(t, p.asks(t, notes, url.Values{"prompt": {"login"}})))
	// Whoever fixed or stole the first one has nothing.
	thief := h.person(t, nil)
	u, _ := url.Parse(notes)
	for _, c := range p.client.Jar.Cookies(u) {
		if strings.Contains(c.Name, "-s-") {
			thief.client.Jar.SetCookies(u, []*http.Cookie{{Name: c.Name, Value: first, Secure: true, Path: "/"}})
		}
	}
	if v := thief.get(t, notes+"/account"); v.to == "" {
		t.Error("the session of before still works")
	}
}

func TestSignOut(t *testing.T) {
	_, p, _ := openHouse(t)
	got := p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
	secret := p.sessionOf(t, notes)
	v := p.post(t, notes+"/account", url.Values{"action": {"sign-out"}})
	if v.title() != "You are signed out" || p.sessionOf(t, notes) != "" {
		t.Errorf("the sign-out is answered by %d %q", v.status, v.title())
	}
	if v := p.get(t, notes+"/account"); v.to == "" || secret == "" {
		t.Error("the browser is still signed in")
	}
	if got := p.refresh(t, notes, got.Refresh); got.status != http.StatusOK {
		t.Errorf("the connected app was cut off: %+v", got)
	}
}

func TestSessionIsOfOneHost(t *testing.T) {
	_, p, server := openHouse(t)
	p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
	p.redeem(t, tasks, p.follow(t, p.asks(t, tasks, nil)))
	if n := len(server.Prompts()); n != 2 {
		t.Errorf("the provider was visited %d times for two hosts", n)
	}
}

// TestSeveralProviders: the same address at two providers is two people.
func TestSeveralProviders(t *testing.T) {
	company, club := idptest.New(t), idptest.New(t)
	both := func(more string) string {
		return signinConfig(oidcProvider(company, "company", "allowAnyone: true"+more)+", "+oidcProvider(club, "club", "displayName: The Club, allowAnyone: true"+more), "")
	}
	h := newHouse(t, both(""), http.DefaultClient)
	subject := func(id string, server *idptest.Provider) string {
		p := h.person(t, server.Visit)
		v := p.follow(t, p.asks(t, notes, nil))
		if v.at.Path != "/signin" || !v.says("The Club") || !strings.Contains(v.body, `value="company"`) {
			t.Fatalf("there is no choice: %d %q", v.status, v.title())
		}
		v = p.follow(t, p.post(t, notes+"/signin", url.Values{"r": {v.field("r")}, "provider": {id}}))
		user, _ := p.whoami(t, notes, p.redeem(t, notes, v).Access)
		return user
	}
	if a, b := subject("company", company), subject("club", club); a != "company:1815" || b != "club:1815" {
		t.Errorf("they are %q and %q", a, b)
	}
	h.reload(t, both(", usernameAsSubject: true")) // the operator wants them to be one
	if a, b := subject("company", company), subject("club", club); a != "ada@example.com" || b != a {
		t.Errorf("they are %q and %q", a, b)
	}
	v := h.person(t, nil).post(t, notes+"/signin", url.Values{"r": {"x"}, "provider": {"nobody"}})
	if v.status != http.StatusBadRequest {
		t.Errorf("a sign-in without a request is answered by %d", v.status)
	}
}

// TestRefusalOffersAnotherAccount: the provider would let the same one in again.
func TestRefusalOffersAnotherAccount(t *testing.T) {
	server := idptest.New(t)
	h := newHouse(t, signinConfig(oidcProvider(server, "company", "allowedUsers: [bob@example.com]"), ""), server.Client())
	p := h.person(t, server.Visit)
	v := p.follow(t, p.asks(t, notes, nil))
	if v.status != http.StatusForbidden || !v.says("You signed in as <bdi>ada@example.com</bdi>, but this account may not use this server.") || !v.says("this account is not among those that may enter") {
		t.Fatalf("ada reads %d %s", v.status, v.body)
	}
	server.SignIn(idptest.User{Sub: "2", Email: "bob@example.com"})
	got := p.redeem(t, notes, p.tryAgain(t, v))
	if user, _ := p.whoami(t, notes, got.Access); user != "company:2" {
		t.Errorf("the token is of %q", user)
	}
	if got := server.Prompts(); !slices.Equal(got, []string{"", "login"}) {
		t.Errorf("the provider was asked for %q, want that the second time asks for another account", got)
	}
}

func TestProviderThatIsDownAtTheStartIsAWarning(t *testing.T) {
	server := idptest.New(t)
	server.Fail(idptest.Discovery, idptest.Broken)
	h := newHouse(t, signinConfig(oidcProvider(server, "company", "allowAnyone: true"), ""), server.Client())
	h.prepare(t.Context(), h.site.Load().providers)
	if log := h.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "provider=company") {
		t.Errorf("the log says\n%s", log)
	}
	p := h.person(t, server.Visit)
	if v := p.follow(t, p.asks(t, notes, nil)); v.status != http.StatusServiceUnavailable {
		t.Errorf("a sign-in meanwhile is answered by %d %q", v.status, v.title())
	}
	server.Fail(idptest.Discovery, idptest.None)
	p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
}
