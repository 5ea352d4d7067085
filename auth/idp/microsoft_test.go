package idp_test

import (
	"slices"
	"strings"
	"testing"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/auth/idp/idptest"
)

func entra(c idp.Config) idp.Config {
	c.Name, c.ClientID, c.ClientSecret, c.Tenant = "microsoft", idptest.ClientID, idptest.ClientSecret, idptest.Tenant
	return c
}

func TestMicrosoftSignIn(t *testing.T) {
	claim := func(name string, value any) func(*idptest.Microsoft) {
		return func(m *idptest.Microsoft) { m.Tweak(func(a *idptest.Answer) { a.Claims[name] = value }) }
	}
	none := func(*idptest.Microsoft) {}
	anyone := idp.Config{AllowAnyone: true}
	domain := idp.Config{AllowedEmailDomains: []string{"contoso.example"}}
	for name, tc := range map[string]struct {
		config idp.Config
		change func(*idptest.Microsoft)
		want   want
		email  string
	}{
		"anyone of the tenant": {anyone, none, want{}, ""},
		"a group":              {idp.Config{AllowedGroups: []string{"6a1f"}}, none, want{}, ""},
		"another group":        {idp.Config{AllowedGroups: []string{"6a1e"}}, none, want{refused: true}, ""},
		"a login":              {idp.Config{AllowedUsers: []string{"ada@contoso.example"}}, none, want{}, ""},
		"an address that the tenant does not own":  {domain, none, want{refused: true}, ""},
		"the same, said so":                        {domain, claim("xms_edov", false), want{refused: true}, ""},
		"an address of the tenant's own domain":    {domain, claim("xms_edov", true), want{}, "ada@contoso.example"},
		"the same, as a number":                    {domain, claim("xms_edov", 1), want{}, "ada@contoso.example"},
		"the same, as a string":                    {domain, claim("xms_edov", "1"), want{}, "ada@contoso.example"},
		"email_verified is nothing Microsoft says": {domain, claim("email_verified", true), want{refused: true}, ""},
		"another tenant":                           {anyone, claim("tid", "9188040d-6c67-4c5b-b112-36a304b66dad"), want{is: idp.ErrInvalid}, ""},
		"no tenant":                                {anyone, claim("tid", nil), want{is: idp.ErrInvalid}, ""},
		"no object id":                             {anyone, claim("oid", ""), want{is: idp.ErrInvalid}, ""},
		"an object id that is none":                {anyone, claim("oid", "ada"), want{is: idp.ErrInvalid}, ""},
		"S10 iss of another tenant":                {anyone, claim("iss", "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"), want{is: idp.ErrInvalid}, ""},
		"the person cancels":                       {anyone, func(m *idptest.Microsoft) { m.Deny("access_denied") }, want{is: idp.ErrCancelled}, ""},
		"the token endpoint breaks":                {anyone, func(m *idptest.Microsoft) { m.Fail(idptest.Token, idptest.Broken) }, want{is: idp.ErrUnavailable}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := idptest.NewMicrosoft(t)
			tc.change(server)
			id, err := signIn(t, newProvider(t, entra(tc.config), server.Client()), server.Visit)
			tc.want.check(t, id, err)
			if id.Email != tc.email && err == nil {
				t.Errorf("e-mail %q, want %q", id.Email, tc.email)
			}
			if err == nil && (id.Subject != "microsoft:"+idptest.AdaOID || id.Username != "ada@contoso.example") {
				t.Errorf("T19: got %+v", id)
			}
		})
	}
}

func TestMicrosoftGroupsOverflow(t *testing.T) {
	const graph = "/v1.0/me/transitiveMemberOf"
	server := idptest.NewMicrosoft(t)
	p := newProvider(t, entra(idp.Config{AllowedGroups: []string{"g5"}}), server.Client())
	server.Overflow("g1", "g2", "g3", "g4", "g5")
	id, err := signIn(t, p, server.Visit)
	if err != nil || !slices.Equal(id.Groups, []string{"g1", "g2", "g3", "g4", "g5"}) {
		t.Errorf("got %+v, %v", id, err)
	}
	astray := newMicrosoftAstray(t)
	id, err = signIn(t, newProvider(t, entra(idp.Config{AllowAnyone: true}), astray.Client()), astray.Visit)
	want{is: idp.ErrUnavailable}.check(t, id, err)
	if !strings.Contains(err.Error(), "another host") {
		t.Errorf("the token may have gone elsewhere: %v", err)
	}
	for _, fault := range []idptest.Fault{
		idptest.Broken, idptest.Limited, idptest.NotJSON, idptest.Huge, idptest.Slow, idptest.Refusing,
	} {
		server.Fail(graph, fault)
		id, err := signIn(t, p, server.Visit)
		want{is: idp.ErrUnavailable}.check(t, id, err)
	}
}

func newMicrosoftAstray(t *testing.T) *idptest.Microsoft {
	t.Helper()
	server := idptest.NewMicrosoft(t)
	server.Overflow("g1")
	server.Say("/v1.0/me/transitiveMemberOf", idptest.Canned{Body: `{"value":[],"@odata.nextLink":"https://elsewhere.example/v1.0/me"}`})
	return server
}
