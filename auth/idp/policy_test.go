package idp_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"mcp-oauth2-proxy/auth/idp"
)

func domains(t testing.TB, patterns ...string) []*regexp.Regexp {
	t.Helper()
	compiled, faults := idp.Domains("allowedEmailDomains", patterns)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return compiled
}

func TestRulesAboutDomains(t *testing.T) {
	for name, tc := range map[string]struct {
		pattern, email string
		admitted       bool
	}{
		"the domain":                            {`example\.com`, "ada@example.com", true},
		"the domain, as it is written":          {`example.com`, "ada@example.com", true},
		"the domain in capitals":                {`Example\.com`, "ada@EXAMPLE.com", true},
		"a plain dot is a dot":                  {`mail.example.com`, "ada@mailxexample.com", false},
		"the whole domain, not its end":         {`example\.com`, "ada@evil-example.com", false},
		"the whole domain, not its begin":       {`example\.com`, "ada@example.com.evil.net", false},
		"no subdomain":                          {`example\.com`, "ada@mail.example.com", false},
		"subdomains, if the rule says so":       {`(.+\.)?example\.com`, "ada@mail.example.com", true},
		"alternatives are whole, too":           {`a\.com|b\.com`, "ada@a.com.evil.net", false},
		"what follows the last @":               {`example\.com`, "ada@example.com@evil.net", false},
		"two @ are no address":                  {`example\.com`, "ada@evil.net@example.com", false},
		"an @ in quotes belongs to the name":    {`example\.com`, `"ada@evil.net"@example.com`, true},
		"quotes that end early":                 {`example\.com`, `"ada"@evil.net"@example.com`, false},
		"no name":                               {`example\.com`, "@example.com", false},
		"no address at all":                     {`.*`, "", false},
		"a space after it":                      {`.*example\.com.*`, "ada@example.com ", false},
		"a line break after it":                 {`example\.com`, "ada@example.com\n", false},
		"a null in it":                          {`.*`, "ada@example.com\x00.evil.net", false},
		"a dot after it":                        {`example\.com\.?`, "ada@example.com.", false},
		"a letter that folds to an ASCII one":   {`kernel\.org`, "ada@\u212aernel.org", false},
		"a lookalike of another script":         {`example\.com`, "ada@ex\u0430mple.com", false},
		"a display name":                        {`example\.com`, "Ada <ada@example.com>", false},
		"a label longer than a domain may have": {`.*`, "ada@" + strings.Repeat("x", 64) + ".com", false},
		"several addresses":                     {`example\.com`, "a@evil.net,ada@example.com", false},
	} {
		t.Run(name, func(t *testing.T) {
			rules := idp.Rules{EmailDomains: domains(t, tc.pattern)}
			err := rules.Admit(idp.Identity{ID: "1", Email: tc.email})
			if (err == nil) != tc.admitted {
				t.Errorf("%q under %q: %v", tc.email, tc.pattern, err)
			}
		})
	}
}

func TestDomainsThatAreNoRules(t *testing.T) {
	for _, pattern := range []string{"", "ada@example.com", "example.com)|(evil.com", "(", "[a"} {
		_, faults := idp.Domains("allow.emailDomains", []string{"fine", pattern})
		if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), "allow.emailDomains[1]: ") {
			t.Errorf("%q: %v", pattern, faults)
		}
	}
}

func TestRulesAdmit(t *testing.T) {
	ada := idp.Identity{
		Provider: "google", ID: "1815", Subject: "google:1815",
		Username: "ada", Email: "ada@example.com", Groups: []string{"analysts", "acme"},
	}
	for name, tc := range map[string]struct {
		rules    idp.Rules
		id       idp.Identity
		admitted bool
	}{
		"nobody by omission":                         {idp.Rules{}, ada, false},
		"anyone, if it is said":                      {idp.Rules{AllowAnyone: true}, ada, true},
		"a user by address":                          {idp.Rules{Users: []string{"ada@example.com"}}, ada, true},
		"a user by address, domain in capitals":      {idp.Rules{Users: []string{"ada@EXAMPLE.com"}}, ada, true},
		"a name in capitals is another":              {idp.Rules{Users: []string{"Ada@example.com"}}, ada, false},
		"a user by login":                            {idp.Rules{Users: []string{"ada"}}, ada, true},
		"a login is exact":                           {idp.Rules{Users: []string{"Ada", "ad", "ada ", "a.a"}}, ada, false},
		"a user by subject":                          {idp.Rules{Users: []string{"google:1815"}}, ada, true},
		"a subject of another provider":              {idp.Rules{Users: []string{"github:1815"}}, ada, false},
		"an id alone could be somebody's login":      {idp.Rules{Users: []string{"1815"}}, ada, false},
		"an empty user matches no missing login":     {idp.Rules{Users: []string{""}}, idp.Identity{ID: "1"}, false},
		"an empty group matches nothing":             {idp.Rules{Groups: []string{""}}, idp.Identity{ID: "1", Groups: []string{""}}, false},
		"a group":                                    {idp.Rules{Groups: []string{"x", "analysts"}}, ada, true},
		"a group is exact":                           {idp.Rules{Groups: []string{"Analysts", "analyst"}}, ada, false},
		"one kind of rule is enough":                 {idp.Rules{Groups: []string{"x"}, Users: []string{"ada"}}, ada, true},
		"the organization alone":                     {idp.Rules{Organization: "acme"}, ada, true},
		"another organization":                       {idp.Rules{Organization: "other"}, ada, false},
		"another organization, anyone":               {idp.Rules{Organization: "other", AllowAnyone: true}, ada, false},
		"another organization, a user by name":       {idp.Rules{Organization: "other", Users: []string{"ada"}}, ada, false},
		"the organization is not enough beside rule": {idp.Rules{Organization: "acme", Groups: []string{"acme/core"}}, ada, false},
		"the organization and a group":               {idp.Rules{Organization: "acme", Groups: []string{"analysts"}}, ada, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.rules.Admit(tc.id)
			if (err == nil) != tc.admitted {
				t.Fatalf("got %v", err)
			}
			var refusal *idp.Refusal
			if err != nil && (!errors.As(err, &refusal) || refusal.Account == "" || refusal.Reason == "") {
				t.Errorf("got %#v, want a refusal with account and reason", err)
			}
		})
	}
	unhosted := ada
	unhosted.Unhosted = true
	if (idp.Rules{EmailDomains: domains(t, ".*")}).Admit(unhosted) == nil {
		t.Error("S10 hd: a domain rule admits an account that the domain does not manage")
	}
	if !(idp.Rules{}).Empty() || (idp.Rules{Organization: "acme"}).Empty() {
		t.Error("Empty is wrong")
	}
}

func FuzzEmailDomainRule(f *testing.F) {
	for _, seed := range []string{
		"ada@example.com", "ada@EXAMPLE.COM", `"a@b"@example.com`, "a@evil.net@example.com", "a@example.com@evil.net",
		"a@example.com\n", "a@ex\u0430mple.com", "@example.com", "a@.example.com", "a@example.com.", "a@xexample.com", "\xff@example.com",
	} {
		f.Add(seed)
	}
	rules := idp.Rules{EmailDomains: domains(f, `example\.com`)}
	f.Fuzz(func(t *testing.T, email string) {
		// Whoever is admitted has exactly that domain after the last @.
		if rules.Admit(idp.Identity{ID: "1", Email: email}) != nil {
			return
		}
		at := strings.LastIndex(email, "@")
		if at < 1 || strings.ToLower(email[at+1:]) != "example.com" || len(email[at+1:]) != len("example.com") {
			t.Errorf("admitted %q", email)
		}
	})
}
