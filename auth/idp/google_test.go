package idp_test

import (
	"slices"
	"testing"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/auth/idp/idptest"
)

func google(c idp.Config) idp.Config {
	c.Name, c.ClientID, c.ClientSecret = "google", idptest.ClientID, idptest.ClientSecret
	return c
}

func TestGoogleSignIn(t *testing.T) {
	account := func(email string, hd any) idptest.User {
		return idptest.User{Sub: "108", Email: email, Claims: map[string]any{"hd": hd}}
	}
	company := idp.Config{AllowedEmailDomains: []string{"example.com"}}
	anyDomain := idp.Config{AllowedEmailDomains: []string{".*"}}
	for name, tc := range map[string]struct {
		config idp.Config
		user   idptest.User
		want   want
	}{
		"S10 an account of the Workspace":          {company, idptest.GoogleAda, want{}},
		"S10 the hd in capitals":                   {company, account("ada@example.com", "Example.com"), want{}},
		"S10 the address, but no hd":               {company, account("ada@example.com", nil), want{refused: true}},
		"S10 the address, but the hd of another":   {company, account("ada@example.com", "evil.example"), want{refused: true}},
		"S10 the hd, but another address":          {company, account("ada@evil.example", "example.com"), want{refused: true}},
		"S10 hd is not a domain":                   {anyDomain, account("ada@example.com", "x@y"), want{refused: true}},
		"a further domain of a Workspace that may": {idp.Config{AllowedEmailDomains: []string{"example.com", "example.org"}}, account("ada@example.org", "example.com"), want{}},
		"Gmail needs no hd":                        {idp.Config{AllowedEmailDomains: []string{"gmail.com"}}, account("ada@gmail.com", nil), want{}},
		"an account without hd, by name":           {idp.Config{AllowedUsers: []string{"ada@example.com"}}, account("ada@example.com", nil), want{}},
		"another user":                             {idp.Config{AllowedUsers: []string{"bob@example.com"}}, idptest.GoogleAda, want{refused: true}},
		"S10 an address that is not verified":      {idp.Config{AllowAnyone: true}, idptest.User{Sub: "1", Email: "a@example.com", Unverified: true}, want{refused: true}},
		"no address":                               {idp.Config{AllowAnyone: true}, idptest.User{Sub: "1"}, want{refused: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := idptest.NewGoogle(t)
			server.SignIn(tc.user)
			id, err := signIn(t, newProvider(t, google(tc.config), server.Client()), server.Visit)
			tc.want.check(t, id, err)
			if err == nil && (id.Subject != "google:108" || server.Asked(idptest.UserInfo) != 0) {
				t.Errorf("T19: got %+v", id)
			}
		})
	}
}

func TestGoogleErrors(t *testing.T) {
	server := idptest.NewGoogle(t)
	p := newProvider(t, google(idp.Config{AllowAnyone: true}), server.Client())
	server.Deny("access_denied")
	id, err := signIn(t, p, server.Visit)
	want{is: idp.ErrCancelled}.check(t, id, err)
	server.SignIn(idptest.GoogleAda)
	server.Tweak(func(a *idptest.Answer) { a.Claims["iss"] = "accounts.google.com" }) // as Google did for years
	if _, err := signIn(t, p, server.Visit); err != nil {
		t.Error(err)
	}
	server.Tweak(func(a *idptest.Answer) { a.Forged = true })
	id, err = signIn(t, p, server.Visit)
	want{is: idp.ErrInvalid}.check(t, id, err)
}

// workspace is a provider that looks people up.
func workspace(t *testing.T, server *idptest.Google, admin string) *idp.Provider {
	t.Helper()
	return newProvider(t, google(idp.Config{
		AllowedEmailDomains: []string{"example.com"}, AllowedUsers: []string{"ada@gmail.com"}, Workspace: true, WorkspaceAdmin: admin,
	}), server.Client())
}

var employed = idptest.Member{ID: "108", Email: "ada@example.com", Groups: []string{"a@example.com", "b@example.com", "C@Example.com"}}

func TestWorkspaceCredentials(t *testing.T) {
	groups := []string{"a@example.com", "b@example.com", "C@example.com"}
	for name, set := range map[string]func(*testing.T, *idptest.Google){
		"a JSON key": func(t *testing.T, g *idptest.Google) { t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", g.ServiceAccount(t)) },
		"workload identity, no key": func(t *testing.T, g *idptest.Google) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", g.WorkloadIdentity(t))
		},
		"the metadata server of a VM": func(t *testing.T, g *idptest.Google) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
			t.Setenv("HOME", t.TempDir())
			t.Setenv("GCE_METADATA_HOST", g.MetadataServer(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := idptest.NewGoogle(t)
			server.Employ(employed)
			set(t, server)
			p := workspace(t, server, idptest.WorkspaceAdmin)
			for range 2 {
				id, err := signIn(t, p, server.Visit)
				if err != nil || !slices.Equal(id.Groups, groups) {
					t.Fatalf("got %+v, %v", id, err)
				}
			}
		})
	}
	t.Run("without delegation", func(t *testing.T) {
		server := idptest.NewGoogle(t)
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", server.ServiceAccount(t))
		for _, admin := range []string{"", "nobody@example.com"} {
			id, err := signIn(t, workspace(t, server, admin), server.Visit)
			want{is: idp.ErrUnavailable}.check(t, id, err)
		}
		plain := newProvider(t, google(idp.Config{AllowedEmailDomains: []string{"example.com"}}), server.Client())
		if _, err := signIn(t, plain, server.Visit); err != nil {
			t.Errorf("a lookup that nobody asked for: %v", err)
		}
	})
	t.Run("without credentials, later with", func(t *testing.T) {
		server := idptest.NewGoogle(t)
		server.Employ(employed)
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")
		p := workspace(t, server, idptest.WorkspaceAdmin)
		id, err := signIn(t, p, server.Visit)
		want{is: idp.ErrUnavailable}.check(t, id, err)
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", server.ServiceAccount(t))
		if _, err := signIn(t, p, server.Visit); err != nil {
			t.Error(err)
		}
	})
}

func TestWorkspaceMembers(t *testing.T) {
	server := idptest.NewGoogle(t)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", server.ServiceAccount(t))
	p := workspace(t, server, idptest.WorkspaceAdmin)
	server.Employ(employed)
	first, err := signIn(t, p, server.Visit)
	if err != nil {
		t.Fatal(err)
	}
	const users, groups = "/admin/directory/v1/users/108", "/admin/directory/v1/groups"
	for name, tc := range map[string]struct {
		change func()
		want   want
	}{
		"employed":                {func() {}, want{}},
		"suspended":               {func() { server.Employ(idptest.Member{ID: "108", Email: "ada@example.com", Suspended: true}) }, want{refused: true}},
		"archived":                {func() { server.Employ(idptest.Member{ID: "108", Email: "ada@example.com", Archived: true}) }, want{refused: true}},
		"moved to another domain": {func() { server.Employ(idptest.Member{ID: "108", Email: "ada@example.net"}) }, want{refused: true}},
		"deleted":                 {func() { server.Dismiss("108") }, want{refused: true}},
		"users break":             {func() { server.Fail(users, idptest.Broken) }, want{is: idp.ErrUnavailable}},
		"users are limited":       {func() { server.Fail(users, idptest.Limited) }, want{is: idp.ErrUnavailable}},
		"users are withheld":      {func() { server.Fail(users, idptest.Refusing) }, want{is: idp.ErrUnavailable}},
		"users are slow":          {func() { server.Fail(users, idptest.Slow) }, want{is: idp.ErrUnavailable}},
		"groups are not JSON":     {func() { server.Fail(groups, idptest.NotJSON) }, want{is: idp.ErrUnavailable}},
	} {
		t.Run(name, func(t *testing.T) {
			server.Employ(employed)
			tc.change()
			id, err := signIn(t, p, server.Visit)
			tc.want.check(t, id, err)
			again, err := p.Recheck(t.Context(), first)
			tc.want.check(t, again, err)
			server.Fail(users, idptest.None)
			server.Fail(groups, idptest.None)
		})
	}
	server.Say(users, idptest.Canned{Body: `{"id":"999","primaryEmail":"ada@example.com"}`})
	id, err := signIn(t, p, server.Visit) // about another account
	want{is: idp.ErrUnavailable}.check(t, id, err)
	server.SignIn(idptest.User{Sub: "7", Email: "ada@gmail.com"})
	if id, err := signIn(t, p, server.Visit); err != nil || id.Groups != nil {
		t.Errorf("an account outside of the Workspace that a rule names: %+v, %v", id, err)
	}
}
