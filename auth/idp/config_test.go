package idp_test

import (
	"strings"
	"testing"

	"mcp-oauth2-proxy/auth/idp"
)

const (
	someHash = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	tenantID = "72f988bf-86f1-41af-91ab-2d7cd011db47"
)

func TestCheck(t *testing.T) {
	client := func(c idp.Config) idp.Config {
		c.ClientID, c.ClientSecret = "id", "secret"
		return c
	}
	local := func(users ...idp.User) idp.Config { return idp.Config{Name: "local", Users: users} }
	for name, tc := range map[string]struct {
		config idp.Config
		keys   []string // of the faults, in order
	}{
		"google":               {client(idp.Config{Name: "google", AllowedEmailDomains: []string{"example.com"}}), nil},
		"github":               {client(idp.Config{Name: "github", Organization: "acme"}), nil},
		"microsoft":            {client(idp.Config{Name: "microsoft", Tenant: tenantID, AllowedGroups: []string{"g"}}), nil},
		"oidc":                 {client(idp.Config{Name: "oidc", IssuerURL: "https://idp.example.com/realms/a", AllowedUsers: []string{"ada"}}), nil},
		"oidc on loopback":     {client(idp.Config{Name: "oidc", IssuerURL: "http://127.0.0.1:9000", AllowAnyone: true}), nil},
		"local":                {local(idp.User{Username: "ada", PasswordHash: someHash}), nil},
		"the loader's default": {client(idp.Config{Name: "google", AllowAnyone: true, GroupsClaim: "groups"}), nil},

		"no name":                {idp.Config{}, []string{"name"}},
		"unknown name":           {idp.Config{Name: "gogle"}, []string{"name"}},
		"id with a colon":        {client(idp.Config{Name: "google", ID: "a:b", AllowAnyone: true}), []string{"id"}},
		"the longest id":         {client(idp.Config{Name: "google", ID: strings.Repeat("a", 63), AllowAnyone: true}), nil},
		"an id too long":         {client(idp.Config{Name: "google", ID: strings.Repeat("a", 64), AllowAnyone: true}), []string{"id"}},
		"nothing set":            {idp.Config{Name: "oidc"}, []string{"clientID", "clientSecret", "issuerURL", "allowedEmailDomains"}},
		"no rule":                {client(idp.Config{Name: "google"}), []string{"allowedEmailDomains"}},
		"issuer in clear":        {client(idp.Config{Name: "oidc", IssuerURL: "http://idp.example.com", AllowAnyone: true}), []string{"issuerURL"}},
		"issuer like loopback":   {client(idp.Config{Name: "oidc", IssuerURL: "http://localhost.evil.com", AllowAnyone: true}), []string{"issuerURL"}},
		"issuer with a query":    {client(idp.Config{Name: "oidc", IssuerURL: "https://idp.example.com/?a=b", AllowAnyone: true}), []string{"issuerURL"}},
		"issuer with a password": {client(idp.Config{Name: "oidc", IssuerURL: "https://u:hunter2@idp.example.com", AllowAnyone: true}), []string{"issuerURL"}},
		"issuer is a word":       {client(idp.Config{Name: "oidc", IssuerURL: "keycloak", AllowAnyone: true}), []string{"issuerURL"}},
		"no tenant":              {client(idp.Config{Name: "microsoft", AllowAnyone: true}), []string{"tenant"}},
		"tenant of everybody":    {client(idp.Config{Name: "microsoft", Tenant: "common", AllowAnyone: true}), []string{"tenant"}},
		"keys of others": {client(idp.Config{Name: "google", AllowAnyone: true, IssuerURL: "https://a.example", Tenant: tenantID, Organization: "acme",
			GroupsClaim: "roles", Users: []idp.User{{}}}), []string{"issuerURL", "tenant", "organization", "groupsClaim", "users"}},
		"workspace elsewhere":    {client(idp.Config{Name: "github", AllowAnyone: true, Workspace: true}), []string{"workspace"}},
		"admin without":          {client(idp.Config{Name: "google", AllowAnyone: true, WorkspaceAdmin: "a@example.com"}), []string{"workspaceAdmin"}},
		"groups nobody tells":    {client(idp.Config{Name: "google", AllowedGroups: []string{"a"}}), []string{"allowedGroups"}},
		"local with a client":    {client(local(idp.User{Username: "ada", PasswordHash: someHash})), []string{"clientID", "clientSecret"}},
		"organization is a path": {client(idp.Config{Name: "github", Organization: "a/../b"}), []string{"organization"}},
		"organization too long":  {client(idp.Config{Name: "github", Organization: strings.Repeat("a", 100)}), []string{"organization"}},
		"longest organization":   {client(idp.Config{Name: "github", Organization: strings.Repeat("a", 99)}), nil},
		"bad expressions":        {client(idp.Config{Name: "google", AllowedEmailDomains: []string{"ok", "(", "a)|(b"}}), []string{"allowedEmailDomains[1]", "allowedEmailDomains[2]"}},
		"empty entries":          {client(idp.Config{Name: "oidc", IssuerURL: "https://a.example", AllowedUsers: []string{""}, AllowedGroups: []string{" "}, Scopes: []string{"a b"}}), []string{"scopes[0]", "allowedUsers[0]", "allowedGroups[0]"}},
		"local without users":    {local(), []string{"users"}},
		"bad users": {local(
			idp.User{Username: "ada", PasswordHash: someHash},
			idp.User{Username: "ada", PasswordHash: "secret"},
			idp.User{PasswordHash: someHash, Email: "not an address"},
			idp.User{Username: "a:b", Groups: []string{"a\nb"}},
		), []string{"users[1].username", "users[1].passwordHash", "users[2].username", "users[2].email", "users[3].username", "users[3].passwordHash", "users[3].groups[0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			faults := tc.config.Check()
			if len(faults) != len(tc.keys) {
				t.Fatalf("got %d faults %v, want %v", len(faults), faults, tc.keys)
			}
			for i, fault := range faults {
				if !strings.HasPrefix(fault.Error(), tc.keys[i]+": ") {
					t.Errorf("got %q, want it to start with %s", fault, tc.keys[i])
				}
				if strings.Contains(fault.Error(), "secret\"") || strings.Contains(fault.Error(), "hunter2") {
					t.Errorf("%q carries a secret", fault)
				}
			}
			if _, err := idp.New(tc.config, idp.Options{}); (err == nil) != (len(tc.keys) == 0) {
				t.Errorf("New: %v", err)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	c := idp.Config{Name: "oidc", IssuerURL: "https://idp.example.com", ClientID: "id", ClientSecret: "s", AllowAnyone: true}
	p, err := idp.New(c, idp.Options{})
	if err != nil || p.ID != "oidc" || p.Name != "idp.example.com" || p.Flow == nil || p.Local != nil {
		t.Errorf("got %+v, %v", p, err)
	}
}
