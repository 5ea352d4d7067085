package idp

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A regular expression that counts to so many is as many times as large, and it is
// made in every start.
const (
	maxID           = 63
	maxOrganization = 99
)

var (
	validID = regexp.MustCompile(`\A[a-z0-9][a-z0-9._-]*\z`)
	guid    = regexp.MustCompile(`\A[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\z`)
)

// Check returns every fault of c; each text starts with the key that fixes it.
func (c Config) Check() []error { return c.check(os.Getenv) }

func (c Config) check(getenv func(string) string) []error {
	names := []string{nameGoogle, nameGitHub, nameOIDC, nameMicrosoft, nameLocal}
	if !slices.Contains(names, c.Name) {
		return []error{fmt.Errorf("name: %q is not one of %s", c.Name, strings.Join(names, ", "))}
	}
	var f faults
	if c.ID != "" && (len(c.ID) > maxID || !validID.MatchString(c.ID)) {
		f.add("id: %q is not a short name of lower-case letters, digits, dots, hyphens and underscores", c.ID)
	}
	c.checkClient(&f)
	c.checkIssuer(&f)
	c.checkOnlyFor(&f)
	c.checkScopes(&f)
	c.checkRules(&f)
	c.checkUsers(&f)
	if c.Name == nameGitHub {
		if _, err := appKey(getenv); err != nil {
			f.add("%w", err)
		}
	}
	return f
}

type faults []error

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

func (c Config) checkClient(f *faults) {
	if c.Name == nameLocal {
		return
	}
	if c.ClientID == "" {
		f.add("clientID: is missing; %s gives it when the gateway is registered there", c.defaultName())
	}
	if c.ClientSecret == "" {
		f.add("clientSecret: is missing (or clientSecretFile)")
	}
}

func (c Config) checkIssuer(f *faults) {
	if c.Name == nameMicrosoft {
		// With a name or "common" the issuer in the tokens differs from the one
		// that was asked for, and whoever owns a tenant could sign in.
		if !guid.MatchString(c.Tenant) {
			f.add("tenant: %q is not the directory (tenant) ID, which looks like 72f988bf-86f1-41af-91ab-2d7cd011db47", c.Tenant)
		}
	}
	if c.Name != nameOIDC {
		return
	}
	if err := checkIssuerURL(c.IssuerURL); err != nil {
		f.add("issuerURL: %w", err)
	}
}

func checkIssuerURL(issuer string) error {
	if issuer == "" {
		return errors.New("is missing; it is the issuer of the OpenID provider, as its discovery document spells it")
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%q is not a URL", issuer)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		return fmt.Errorf("%s://%s… holds credentials, a query or a fragment, which an issuer has not", u.Scheme, u.Host)
	case !secureURL(u):
		return fmt.Errorf("%q is not https, which is needed beyond loopback", issuer)
	}
	return nil
}

// checkOnlyFor refuses what would have no effect: who wrote it relies on it.
func (c Config) checkOnlyFor(f *faults) {
	for _, key := range []struct {
		name string
		set  bool
		only []string
	}{
		{"issuerURL", c.IssuerURL != "", []string{nameOIDC}},
		{"tenant", c.Tenant != "", []string{nameMicrosoft}},
		{"organization", c.Organization != "", []string{nameGitHub}},
		{"workspace", c.Workspace, []string{nameGoogle}},
		{"workspaceAdmin", c.WorkspaceAdmin != "", []string{nameGoogle}},
		{"groupsClaim", c.GroupsClaim != "" && c.GroupsClaim != defaultGroupsClaim, []string{nameOIDC}},
		{"users", len(c.Users) > 0, []string{nameLocal}},
		{"clientID", c.ClientID != "", []string{nameGoogle, nameGitHub, nameOIDC, nameMicrosoft}},
		{"clientSecret", c.ClientSecret != "", []string{nameGoogle, nameGitHub, nameOIDC, nameMicrosoft}},
		{"scopes", len(c.Scopes) > 0, []string{nameGoogle, nameGitHub, nameOIDC, nameMicrosoft}},
	} {
		if key.set && !slices.Contains(key.only, c.Name) {
			f.add("%s: is only for %s, not for %s", key.name, strings.Join(key.only, ", "), c.Name)
		}
	}
	if c.WorkspaceAdmin == "" {
		return
	}
	if _, _, ok := canonicalEmail(c.WorkspaceAdmin); !ok {
		f.add("workspaceAdmin: %q is not an e-mail address", c.WorkspaceAdmin)
	}
	if !c.Workspace {
		f.add("workspaceAdmin: has no effect without workspace: true")
	}
}

func (c Config) checkScopes(f *faults) {
	for i, scope := range c.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			f.add("scopes[%d]: %q is not one scope", i, scope)
		}
	}
}
