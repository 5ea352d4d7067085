package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/auth/idp/idptest"
)

// A signin is one kind of provider for the table below: how it is configured,
// who comes, and how it lets them in, turns them away, or fails.
type signin struct {
	config  string // with %s for the rule
	rule    string // that lets the person in
	client  *http.Client
	visit   func(testing.TB, string) url.Values
	user    string // what tokens call them
	account string // what a refusal calls them

	denies   func() // from now on the provider itself keeps the person out; nil: only rules do
	fails    func() // from now on the provider does not answer
	mends    func() // it answers again
	rechecks bool   // the provider is asked at a refresh
}

const idpClient = "clientID: " + idptest.ClientID + ", clientSecret: " + idptest.ClientSecret

func googleSignin(t *testing.T) signin {
	g := idptest.NewGoogle(t)
	return signin{
		config: "{name: google, " + idpClient + ", %s}", rule: "allowedEmailDomains: [example.com]",
		client: g.Client(), visit: g.Visit, user: "google:108", account: "ada@example.com",
		fails: func() { g.Fail(idptest.Token, idptest.Broken) }, mends: func() { g.Fail(idptest.Token, idptest.None) },
	}
}

func workspaceSignin(t *testing.T) signin {
	g := idptest.NewGoogle(t)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", g.ServiceAccount(t))
	member := idptest.Member{ID: "108", Email: "ada@example.com", Groups: []string{"a@example.com", "b@example.com", "c@example.com"}}
	g.Employ(member)
	directory := "/admin/directory/v1/users/108"
	return signin{
		config: "{name: google, workspace: true, workspaceAdmin: " + idptest.WorkspaceAdmin + ", " + idpClient + ", %s}",
		rule:   "allowedGroups: [c@example.com]", // on the second page
		client: g.Client(), visit: g.Visit, user: "google:108", account: "ada@example.com", rechecks: true,
		denies: func() {
			gone := member
			gone.Suspended = true
			g.Employ(gone)
		},
		fails: func() { g.Fail(directory, idptest.Broken) }, mends: func() { g.Fail(directory, idptest.None) },
	}
}

func gitHubSignin(t *testing.T) signin {
	t.Setenv("GITHUB_APP_PRIVATE_KEY", "")
	g := idptest.NewGitHub(t)
	left := idptest.Octocat
	left.Orgs = nil
	return signin{
		config: "{name: github, " + idpClient + ", %s}", rule: "organization: acme",
		client: g.Client(), visit: g.Visit, user: "github:583231", account: "octocat@example.com",
		denies: func() { g.SignIn(left) },
		fails:  func() { g.Fail("/user", idptest.Broken) }, mends: func() { g.Fail("/user", idptest.None) },
	}
}

func gitHubAppSignin(t *testing.T) signin {
	g := idptest.NewGitHub(t)
	t.Setenv("GITHUB_APP_PRIVATE_KEY", g.InstallApp(t, "acme"))
	left := idptest.Octocat
	left.Orgs = nil
	member := "/orgs/acme/memberships/octocat"
	return signin{
		config: "{name: github, " + idpClient + ", %s}", rule: "organization: acme, allowedGroups: [acme/ops]",
		client: g.Client(), visit: g.Visit, user: "github:583231", account: "octocat@example.com", rechecks: true,
		denies: func() { g.SignIn(left) },
		fails:  func() { g.Fail(member, idptest.Limited) }, mends: func() { g.Fail(member, idptest.None) },
	}
}

func microsoftSignin(t *testing.T) signin {
	m := idptest.NewMicrosoft(t)
	return signin{
		config: "{name: microsoft, tenant: " + idptest.Tenant + ", " + idpClient + ", %s}", rule: "allowedGroups: [6a1f]",
		client: m.Client(), visit: m.Visit, user: "microsoft:" + idptest.AdaOID, account: "ada@contoso.example",
		fails: func() { m.Fail(idptest.Keys, idptest.NotJSON) }, mends: func() { m.Fail(idptest.Keys, idptest.None) },
	}
}

func openIDSignin(t *testing.T) signin {
	p := idptest.New(t)
	return signin{
		config: "{name: oidc, id: company, issuerURL: " + p.Issuer + ", " + idpClient + ", %s}", rule: "allowedUsers: [ada@example.com]",
		client: p.Client(), visit: p.Visit, user: "company:1815", account: "ada@example.com",
		fails: func() { p.Fail(idptest.Token, idptest.HangUp) }, mends: func() { p.Fail(idptest.Token, idptest.None) },
	}
}

// TestSignIn is every provider, letting in, turning away and failing, at the
// first sign-in and at a refresh.
func TestSignIn(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T) signin{
		"Google": googleSignin, "Google Workspace": workspaceSignin, "GitHub": gitHubSignin, "GitHub with an app's key": gitHubAppSignin,
		"Microsoft": microsoftSignin, "OpenID": openIDSignin,
	} {
		t.Run(name+", allowed", func(t *testing.T) { prepare(t).allowed(t) })
		t.Run(name+", turned away by a rule", func(t *testing.T) { prepare(t).deniedByRule(t) })
		t.Run(name+", turned away by the provider", func(t *testing.T) { prepare(t).deniedByProvider(t) })
		t.Run(name+", cancelled", func(t *testing.T) { prepare(t).cancelled(t) })
		t.Run(name+", failing", func(t *testing.T) { prepare(t).failing(t) })
		t.Run(name+", refreshed by who is turned away by a rule", func(t *testing.T) { prepare(t).refreshDeniedByRule(t) })
		t.Run(name+", refreshed by who is turned away by the provider", func(t *testing.T) { prepare(t).refreshDeniedByProvider(t) })
		t.Run(name+", refreshed while it fails", func(t *testing.T) { prepare(t).refreshFailing(t) })
	}
}

func (s signin) house(t *testing.T) (*house, *person) {
	t.Helper()
	h := newHouse(t, signinConfig(fmt.Sprintf(s.config, s.rule), ""), s.client)
	return h, h.person(t, s.visit)
}

// elsewhere is a configuration whose rule lets nobody in whom we know.
func (s signin) elsewhere() string {
	return signinConfig(fmt.Sprintf(s.config, "allowedUsers: [bob@elsewhere.example]"), "")
}

func (s signin) allowed(t *testing.T) {
	h, p := s.house(t)
	got := p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
	if user, status := p.whoami(t, notes, got.Access); user != s.user || status != http.StatusOK {
		t.Errorf("the token is of %q (%d), want %q", user, status, s.user)
	}
	again := p.refresh(t, notes, got.Refresh)
	if again.status != http.StatusOK || again.Access == "" || again.Refresh == got.Refresh {
		t.Errorf("the refresh buys %+v", again)
	}
	if h.audit.count("signin_ok") != 1 || h.audit.count("token_refreshed") != 1 {
		t.Errorf("the audit log has\n%s", h.audit)
	}
}

// refusedBy: the page says who was refused, and nothing was granted.
func (s signin) refusedPage(t *testing.T, h *house, p *person, v view, status int, title string, says ...string) {
	t.Helper()
	if v.status != status || v.title() != title {
		t.Errorf("the page is %d %q, want %d %q\n%s", v.status, v.title(), status, title, h.log)
	}
	for _, text := range append(says, `<a class="button go" href="/signin?r=`) {
		if !v.says(text) {
			t.Errorf("the page does not say %q", text)
		}
	}
	if h.audit.count("signin_refused") != 1 || h.audit.count("signin_ok")+h.audit.count("code_issued")+h.audit.count("token_issued") != 0 {
		t.Errorf("the audit log has\n%s", h.audit)
	}
	if v := p.get(t, notes+"/account"); v.to == "" {
		t.Error("the browser is signed in all the same")
	}
}

func (s signin) deniedByRule(t *testing.T) {
	h := newHouse(t, s.elsewhere(), s.client)
	p := h.person(t, s.visit)
	v := p.follow(t, p.asks(t, notes, nil))
	s.refusedPage(t, h, p, v, http.StatusForbidden, "This account may not enter", s.account, "Use another account")
}

func (s signin) deniedByProvider(t *testing.T) {
	if s.denies == nil {
		t.Log("it knows nobody whom it would turn away: its rules do")
		return
	}
	h, p := s.house(t)
	s.denies()
	v := p.follow(t, p.asks(t, notes, nil))
	s.refusedPage(t, h, p, v, http.StatusForbidden, "This account may not enter", s.account, "Use another account")
}

func (s signin) cancelled(t *testing.T) {
	h, p := s.house(t)
	p.visit = func(_ testing.TB, begin string) url.Values {
		u, _ := url.Parse(begin)
		return url.Values{"state": {u.Query().Get("state")}, "error": {"access_denied"}}
	}
	v := p.follow(t, p.asks(t, notes, nil))
	s.refusedPage(t, h, p, v, http.StatusForbidden, "The sign-in was cancelled")
}

// failing: whoever tries again, when the provider has recovered, gets in.
func (s signin) failing(t *testing.T) {
	h, p := s.house(t)
	s.fails()
	v := p.follow(t, p.asks(t, notes, nil))
	s.refusedPage(t, h, p, v, http.StatusServiceUnavailable, "The sign-in is not available now")
	s.mends()
	p.redeem(t, notes, p.tryAgain(t, v))
}

// tryAgain takes the link of an error page, and the first choice that follows.
func (p *person) tryAgain(t *testing.T, v view) view {
	t.Helper()
	_, rest, _ := strings.Cut(v.body, `<a class="button go" href="`)
	path, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("there is no way to try again at %q", v.title())
	}
	v = p.follow(t, p.get(t, v.at.Scheme+"://"+v.at.Host+path))
	if provider := v.field("provider"); provider != "" {
		v = p.follow(t, p.post(t, v.at.Scheme+"://"+v.at.Host+"/signin", url.Values{"r": {v.field("r")}, "provider": {provider}}))
	}
	return v
}

// shutOut: a refresh is invalid_grant, and the grant has ended.
func shutOut(t *testing.T, h *house, p *person, first tokenAnswer) {
	t.Helper()
	if got := p.refresh(t, notes, first.Refresh); got.status != http.StatusBadRequest || got.Error != "invalid_grant" {
		t.Errorf("the refresh buys %+v, want invalid_grant", got)
	}
	if _, status := p.whoami(t, notes, first.Access); status != http.StatusUnauthorized {
		t.Errorf("the access token still works: %d", status)
	}
	if h.audit.count("grant_ended") != 1 {
		t.Errorf("the audit log has\n%s", h.audit)
	}
}

func (s signin) refreshDeniedByRule(t *testing.T) {
	h, p := s.house(t)
	first := p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
	h.reload(t, s.elsewhere())
	shutOut(t, h, p, first)
	if v := p.get(t, notes+"/account"); v.to == "" {
		t.Error("the session is still good")
	}
}

func (s signin) refreshDeniedByProvider(t *testing.T) {
	if s.denies == nil {
		t.Log("it knows nobody whom it would turn away: its rules do")
		return
	}
	h, p := s.house(t)
	first := p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
	s.denies()
	if s.rechecks {
		shutOut(t, h, p, first)
	} else if got := p.refresh(t, notes, first.Refresh); got.status != http.StatusOK {
		t.Errorf("the provider cannot be asked without the person, and the refresh is %+v", got)
	}
}

// refreshFailing: nobody is shut out because a provider is down. Where it has to
// be asked the client comes back later with the same token.
func (s signin) refreshFailing(t *testing.T) {
	h, p := s.house(t)
	first := p.redeem(t, notes, p.follow(t, p.asks(t, notes, nil)))
	s.fails()
	got := p.refresh(t, notes, first.Refresh)
	if s.rechecks {
		if got.status != http.StatusServiceUnavailable || got.Error != "temporarily_unavailable" {
			t.Errorf("the refresh is %+v", got)
		}
		s.mends()
		got = p.refresh(t, notes, first.Refresh)
	}
	if got.status != http.StatusOK || h.audit.count("grant_ended") != 0 {
		t.Errorf("the refresh is %+v", got)
	}
}

// hash is what hash-password makes of a password.
func hash(t *testing.T, password string) string {
	t.Helper()
	h, err := idp.HashPassword([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func localSignin(t *testing.T, users ...string) string {
	t.Helper()
	var list []string
	for _, user := range users {
		list = append(list, fmt.Sprintf("{username: %s, passwordHash: '%s', email: %s@example.com, groups: [staff]}", user, hash(t, "the password of "+user), user))
	}
	return "{name: local, users: [" + strings.Join(list, ", ") + "]}"
}

// signsIn fills in the local form.
func (p *person) signsIn(t *testing.T, form view, username, password string) view {
	t.Helper()
	return p.follow(t, p.post(t, form.at.Scheme+"://"+form.at.Host+"/signin", url.Values{
		"r": {form.field("r")}, "username": {username}, "password": {password},
	}))
}

func TestLocalSignIn(t *testing.T) {
	both := localSignin(t, "ada", "bob")
	h := newHouse(t, signinConfig(both, ""), nil)
	p := h.person(t, nil)
	form := p.follow(t, p.asks(t, notes, nil))
	for _, tc := range [][2]string{{"ada", "wrong"}, {"nobody", "the password of ada"}} {
		v := p.signsIn(t, form, tc[0], tc[1])
		if v.status != http.StatusUnauthorized || !v.says("The username or the password is wrong.") || v.field("username") != tc[0] {
			t.Errorf("%v is answered by %d %q", tc, v.status, v.title())
		}
	}
	if h.audit.count("signin_refused") != 2 || strings.Contains(h.audit.String()+h.log.String(), "the password of") {
		t.Errorf("the audit log has\n%s", h.audit)
	}
	first := p.redeem(t, notes, p.signsIn(t, form, "ada", "the password of ada"))
	if user, _ := p.whoami(t, notes, first.Access); user != "local:ada" {
		t.Errorf("the token is of %q", user)
	}
	if got := p.refresh(t, notes, first.Refresh); got.status != http.StatusOK {
		t.Errorf("the refresh is %+v", got)
	} else {
		first = got
	}
	h.reload(t, signinConfig(strings.Replace(both, "username: ada,", "username: eve,", 1), ""))
	shutOut(t, h, p, first)
}

func TestHostNarrowsWhoMayEnter(t *testing.T) {
	config := strings.Replace(signinConfig(localSignin(t, "ada", "bob"), ""), "name: Notes", "name: Notes, allow: {users: [bob@example.com]}", 1)
	h := newHouse(t, config, nil)
	ada, bob := h.person(t, nil), h.person(t, nil)
	v := ada.signsIn(t, ada.follow(t, ada.asks(t, notes, nil)), "ada", "the password of ada")
	signin{}.refusedPage(t, h, ada, v, http.StatusForbidden, "This account may not enter", "ada@example.com", "Use another account")
	first := bob.redeem(t, notes, bob.signsIn(t, bob.follow(t, bob.asks(t, notes, nil)), "bob", "the password of bob"))
	ada.redeem(t, tasks, ada.signsIn(t, ada.follow(t, ada.asks(t, tasks, nil)), "ada", "the password of ada"))
	h.reload(t, strings.Replace(config, "bob@example.com]}", "carol@example.com]}", 1))
	shutOut(t, h, bob, first)
}

func TestAttemptsAreLimitedPerUserAndAddress(t *testing.T) {
	h := newHouse(t, strings.Replace(signinConfig(localSignin(t, "ada", "bob"), ""), "server: {", "server: {trustedProxies: [127.0.0.1/32], ", 1), nil)
	from := func(address string) *person {
		p := h.person(t, nil)
		p.client.Transport = addressed{p.client.Transport, address}
		return p
	}
	try := func(p *person, username, password string) int {
		return p.signsIn(t, p.follow(t, p.asks(t, notes, nil)), username, password).status
	}
	known := from("198.51.100.1")
	if got := try(known, "ada", "the password of ada"); got != http.StatusSeeOther {
		t.Fatalf("ada does not get in: %d", got)
	}
	// One address guesses: at several users, the limit is 3.
	guesser := from("203.0.113.1")
	for i, user := range []string{"bob", "nobody", "carol"} {
		if got := try(guesser, user, "wrong"); got != http.StatusUnauthorized {
			t.Errorf("guess %d is answered by %d", i, got)
		}
	}
	if got := try(guesser, "ada", "the password of ada"); got != http.StatusTooManyRequests {
		t.Errorf("one guess too many from an address is answered by %d", got)
	}
	// Many addresses guess at one user, who may exist or not.
	exhaust := func(user string) (guesses int) { // ten times what one address may, and what grows back meanwhile
		for guesses < 100 && try(from(fmt.Sprintf("203.0.113.%d", 100+guesses)), user, "wrong") == http.StatusUnauthorized {
			guesses++
		}
		return guesses
	}
	for _, user := range []string{"ada", "nobody-at-all"} {
		if n := exhaust(user); n < 30 || n == 100 {
			t.Errorf("%d guesses at %s", n, user)
		}
	}
	if got := try(from("203.0.113.30"), "bob", "the password of bob"); got != http.StatusSeeOther {
		t.Errorf("another user is locked out: %d", got)
	}
	// Ada's own browser still knows her, and only her.
	known.post(t, notes+"/account", url.Values{"action": {"sign-out"}})
	if got := try(known, "ada", "the password of ada"); got != http.StatusSeeOther {
		t.Errorf("ada is locked out of her own browser: %d", got)
	}
	known.post(t, notes+"/account", url.Values{"action": {"sign-out"}})
	exhaust("nobody-at-all")
	if got := try(known, "nobody-at-all", "wrong"); got != http.StatusTooManyRequests {
		t.Errorf("ada's browser may guess at others: %d", got)
	}
	h.late.Store(int64(time.Minute))
	if got := try(from("203.0.113.40"), "ada", "the password of ada"); got != http.StatusSeeOther {
		t.Errorf("a minute later ada is still locked out: %d", got)
	}
	if n := h.audit.count("limit_exceeded"); n != 5 {
		t.Errorf("%d limits were exceeded in the audit log, want 5", n)
	}
}

// addressed says, as a trusted proxy, where a request comes from.
type addressed struct {
	http.RoundTripper
	address string
}

// RoundTrip implements http.RoundTripper.
func (a addressed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", a.address)
	return a.RoundTripper.RoundTrip(r)
}
