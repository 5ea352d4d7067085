package idp_test

import (
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/auth/idp/idptest"
)

func gitHub(c idp.Config) idp.Config {
	c.Name, c.ClientID, c.ClientSecret = "github", idptest.ClientID, idptest.ClientSecret
	return c
}

// newGitHubApp is a provider with an app's key in the environment.
func newGitHubApp(t *testing.T, server *idptest.GitHub, c idp.Config, key string) *idp.Provider {
	t.Helper()
	client := server.Client()
	client.Timeout = 500 * time.Millisecond
	p, err := idp.New(gitHub(c), idp.Options{
		Client: client,
		Log:    slog.New(slog.DiscardHandler),
		Getenv: func(name string) string { return map[string]string{"GITHUB_APP_PRIVATE_KEY": key}[name] },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGitHubSignIn(t *testing.T) {
	stranger := idptest.GitHubUser{ID: 7, Login: "stranger"}
	member := idp.Config{Organization: "acme"}
	for name, tc := range map[string]struct {
		config idp.Config
		user   idptest.GitHubUser
		want   want
		groups []string
	}{
		"a member of the organization":                       {member, idptest.Octocat, want{}, []string{"acme", "acme/core", "acme/docs", "acme/web", "acme/ops"}},
		"the organization in capitals":                       {idp.Config{Organization: "ACME", AllowedGroups: []string{"ACME/docs"}}, idptest.Octocat, want{}, []string{"ACME", "ACME/core", "ACME/docs", "ACME/web", "ACME/ops"}},
		"a stranger":                                         {member, stranger, want{refused: true}, nil},
		"invited, not yet there":                             {member, idptest.GitHubUser{ID: 7, Login: "new", Orgs: map[string]string{"acme": "pending"}, Teams: []string{"acme/core"}}, want{refused: true}, nil},
		"a member, but not of the team":                      {idp.Config{Organization: "acme", AllowedGroups: []string{"acme/board"}}, idptest.Octocat, want{refused: true}, []string{"acme", "acme/core", "acme/docs", "acme/web", "acme/ops"}},
		"a team of another organization":                     {idp.Config{AllowedGroups: []string{"other/core"}}, idptest.Octocat, want{}, []string{"acme/core", "other/core", "acme/docs", "acme/web", "acme/ops"}},
		"a login":                                            {idp.Config{AllowedUsers: []string{"octocat"}}, idptest.Octocat, want{}, nil},
		"an account by its number":                           {idp.Config{AllowedUsers: []string{"github:583231"}}, idptest.Octocat, want{}, nil},
		"S10 the verified primary address, on the last page": {idp.Config{AllowedUsers: []string{"octocat@example.com"}}, idptest.Octocat, want{}, nil},
		"S10 not the address that is shown":                  {idp.Config{AllowedUsers: []string{"shown@example.com"}}, idptest.Octocat, want{refused: true}, nil},
		"S10 not an address that is not verified": {idp.Config{AllowedEmailDomains: []string{"example.com"}},
			idptest.GitHubUser{ID: 7, Login: "x", Emails: []idptest.GitHubEmail{{Email: "x@example.com", Primary: true}}}, want{refused: true}, nil},
		"no number": {idp.Config{AllowAnyone: true}, idptest.GitHubUser{Login: "x"}, want{is: idp.ErrInvalid}, nil},
		"no login":  {idp.Config{AllowAnyone: true}, idptest.GitHubUser{ID: 7}, want{is: idp.ErrInvalid}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := idptest.NewGitHub(t)
			server.SignIn(tc.user)
			id, err := signIn(t, newProvider(t, gitHub(tc.config), server.Client()), server.Visit)
			tc.want.check(t, id, err)
			if !slices.Equal(id.Groups, tc.groups) {
				t.Errorf("groups %q, want %q", id.Groups, tc.groups)
			}
			if err == nil && id.Subject != "github:583231" {
				t.Errorf("T19: subject %q", id.Subject)
			}
		})
	}
}

func TestGitHubAsksOnlyForWhatItNeeds(t *testing.T) {
	server := idptest.NewGitHub(t)
	app := newGitHubApp(t, server, idp.Config{Organization: "acme"}, server.InstallApp(t, "acme"))
	for name, tc := range map[string]struct {
		p      *idp.Provider
		scopes string
	}{
		"users":        {newProvider(t, gitHub(idp.Config{AllowedUsers: []string{"a"}}), server.Client()), "read:user user:email"},
		"organization": {newProvider(t, gitHub(idp.Config{Organization: "acme"}), server.Client()), "read:user user:email read:org"},
		"app":          {app, "read:user user:email"},
	} {
		begin, err := tc.p.Flow.Begin(t.Context(), attempt)
		u, _ := url.Parse(begin)
		if q := u.Query(); err != nil || q.Get("scope") != tc.scopes || q.Get("code_challenge_method") != "S256" || u.Host != "github.com" {
			t.Errorf("%s: %s, %v", name, begin, err)
		}
	}
}

func TestGitHubErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*idptest.GitHub)
		want  error
	}{
		"the person cancels":         {func(g *idptest.GitHub) { g.Deny("access_denied") }, idp.ErrCancelled},
		"the app is suspended":       {func(g *idptest.GitHub) { g.Deny("application_suspended") }, idp.ErrInvalid},
		"the token endpoint is slow": {func(g *idptest.GitHub) { g.Fail("/login/oauth/access_token", idptest.Slow) }, idp.ErrUnavailable},
		"the user is not JSON":       {func(g *idptest.GitHub) { g.Fail("/user", idptest.NotJSON) }, idp.ErrUnavailable},
		"the user is huge":           {func(g *idptest.GitHub) { g.Fail("/user", idptest.Huge) }, idp.ErrUnavailable},
		"too many requests":          {func(g *idptest.GitHub) { g.Fail("/user", idptest.Limited) }, idp.ErrUnavailable},
		"the e-mails break":          {func(g *idptest.GitHub) { g.Fail("/user/emails", idptest.Broken) }, idp.ErrUnavailable},
		"the membership breaks":      {func(g *idptest.GitHub) { g.Fail("/user/memberships/orgs/acme", idptest.Limited) }, idp.ErrUnavailable},
		"the teams hang up":          {func(g *idptest.GitHub) { g.Fail("/user/teams", idptest.HangUp) }, idp.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := idptest.NewGitHub(t)
			tc.spoil(server)
			id, err := signIn(t, newProvider(t, gitHub(idp.Config{Organization: "acme"}), server.Client()), server.Visit)
			want{is: tc.want}.check(t, id, err)
		})
	}
}

func TestGitHubStrangeAnswers(t *testing.T) {
	astray := map[string]string{"Link": `<https://elsewhere.example/user/teams?page=2>; rel="next"`}
	for name, tc := range map[string]struct {
		path   string
		canned idptest.Canned
		text   string // of the error
	}{
		"a next page at another host":       {"/user/teams", idptest.Canned{Header: astray, Body: `[]`}, "another host"},
		"a limit that looks like a refusal": {"/user/memberships/orgs/acme", idptest.Canned{Status: 403, Header: map[string]string{"Retry-After": "60"}, Body: `{}`}, "403"},
		"the hourly limit":                  {"/user/memberships/orgs/acme", idptest.Canned{Status: 403, Header: map[string]string{"X-RateLimit-Remaining": "0"}, Body: `{}`}, "403"},
		"a list that goes round in circles": {"/user/teams", idptest.Canned{Header: map[string]string{"Link": `<https://api.github.com/user/teams>; rel="next"`}, Body: `[]`}, "pages"},
	} {
		t.Run(name, func(t *testing.T) {
			server := idptest.NewGitHub(t)
			server.Say(tc.path, tc.canned)
			id, err := signIn(t, newProvider(t, gitHub(idp.Config{Organization: "acme"}), server.Client()), server.Visit)
			want{is: idp.ErrUnavailable}.check(t, id, err)
			if !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want it to say %q", err, tc.text)
			}
		})
	}
}

func TestGitHubLoginThatChangedHands(t *testing.T) {
	server := idptest.NewGitHub(t)
	p := newGitHubApp(t, server, idp.Config{Organization: "acme"}, server.InstallApp(t, "acme"))
	server.Say("/orgs/acme/memberships/octocat", idptest.Canned{Body: `{"state":"active","user":{"id":999,"login":"octocat"}}`})
	id, err := signIn(t, p, server.Visit)
	want{refused: true}.check(t, id, err)
}

func TestGitHubWithholds(t *testing.T) {
	server := idptest.NewGitHub(t)
	server.Fail("/user/memberships/orgs/acme", idptest.Refusing) // the organization does not let OAuth apps in
	id, err := signIn(t, newProvider(t, gitHub(idp.Config{Organization: "acme"}), server.Client()), server.Visit)
	want{refused: true}.check(t, id, err)

	server.Fail("/user/emails", idptest.Unknown) // the app may not read addresses
	id, err = signIn(t, newProvider(t, gitHub(idp.Config{AllowedUsers: []string{"octocat"}}), server.Client()), server.Visit)
	if err != nil || id.Email != "" {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestGitHubCode(t *testing.T) {
	server := idptest.NewGitHub(t)
	p := newProvider(t, gitHub(idp.Config{AllowAnyone: true}), server.Client())
	begin, err := p.Flow.Begin(t.Context(), attempt)
	if err != nil {
		t.Fatal(err)
	}
	query := server.Visit(t, begin)
	if _, err := p.Flow.Finish(t.Context(), attempt, query); err != nil {
		t.Fatal(err)
	}
	_, err = p.Flow.Finish(t.Context(), attempt, query) // replayed: status 200, error=bad_verification_code
	want{is: idp.ErrInvalid}.check(t, idp.Identity{}, err)
	other := attempt
	other.Verifier = "the-verifier-of-somebody-elses-attempt-in-a-tab"
	_, err = p.Flow.Finish(t.Context(), other, server.Visit(t, begin))
	want{is: idp.ErrInvalid}.check(t, idp.Identity{}, err)
	c := gitHub(idp.Config{AllowAnyone: true})
	c.ClientSecret = "wrong"
	_, err = signIn(t, newProvider(t, c, server.Client()), server.Visit)
	want{is: idp.ErrUnavailable}.check(t, idp.Identity{}, err)
}

func TestGitHubApp(t *testing.T) {
	server := idptest.NewGitHub(t)
	pem := server.InstallApp(t, "acme")
	path := filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(path, []byte(pem), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"path": path, "PEM": pem, "PEM on one line": strings.ReplaceAll(pem, "\n", `\n`)} {
		id, err := signIn(t, newGitHubApp(t, server, idp.Config{Organization: "acme"}, key), server.Visit)
		if err != nil || !slices.Equal(id.Groups, []string{"acme", "acme/core", "acme/docs", "acme/web", "acme/ops"}) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	p := newGitHubApp(t, server, idp.Config{Organization: "acme"}, pem)
	before := server.Asked("/app/installations/42/access_tokens")
	for range 3 {
		if _, err := signIn(t, p, server.Visit); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.Asked("/app/installations/42/access_tokens") - before; n != 1 {
		t.Errorf("the app got %d tokens for three sign-ins", n)
	}
	for path, fault := range map[string]idptest.Fault{
		"/orgs/acme/memberships/octocat": idptest.Limited, "/graphql": idptest.NotJSON,
	} {
		server.Fail(path, fault)
		id, err := signIn(t, p, server.Visit)
		want{is: idp.ErrUnavailable}.check(t, id, err)
		server.Fail(path, idptest.None)
	}
	id, err := signIn(t, newGitHubApp(t, server, idp.Config{Organization: "elsewhere"}, pem), server.Visit)
	want{is: idp.ErrUnavailable}.check(t, id, err) // not installed there
}

func TestGitHubRecheck(t *testing.T) {
	server := idptest.NewGitHub(t)
	p := newGitHubApp(t, server, idp.Config{Organization: "acme"}, server.InstallApp(t, "acme"))
	first, err := signIn(t, p, server.Visit)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*idptest.GitHubUser)
		want   want
		login  string
	}{
		"nothing changed":     {func(*idptest.GitHubUser) {}, want{}, "octocat"},
		"the login changed":   {func(u *idptest.GitHubUser) { u.Login = "mona" }, want{}, "mona"},
		"left":                {func(u *idptest.GitHubUser) { u.Orgs = nil }, want{refused: true}, "octocat"},
		"the account is gone": {func(u *idptest.GitHubUser) { u.ID = 1 }, want{refused: true}, ""},
	} {
		user := idptest.Octocat
		tc.change(&user)
		server.SignIn(user)
		now, err := p.Recheck(t.Context(), first)
		tc.want.check(t, now, err)
		if now.Username != tc.login || tc.login != "" && now.Subject != first.Subject {
			t.Errorf("%s: %+v", name, now)
		}
	}
	server.SignIn(idptest.Octocat)
	server.Fail("/user/583231", idptest.Broken)
	now, err := p.Recheck(t.Context(), first)
	want{is: idp.ErrUnavailable}.check(t, now, err)
}

func TestGitHubAppKeyThatIsNone(t *testing.T) {
	for _, value := range []string{"/no/such/file", "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----"} {
		t.Setenv("GITHUB_APP_PRIVATE_KEY", value)
		faults := gitHub(idp.Config{Organization: "acme"}).Check()
		if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), "GITHUB_APP_PRIVATE_KEY: ") || strings.Contains(faults[0].Error(), "c2VjcmV0") {
			t.Errorf("%v", faults)
		}
	}
}
