package idp

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Rules say who may enter. The kinds are alternatives: whoever matches one
// rule of any kind is admitted. Organization alone is not: where it is set,
// membership is required of everybody, and suffices if there is no other rule.
// Rules without any rule admit nobody. A provider has Rules, and so may every
// host, to narrow them: then a person has to be admitted by both.
type Rules struct {
	EmailDomains []*regexp.Regexp // against the domain of a verified address; made by Domains
	Users        []string         // e-mail address, login, or "<provider>:<id>"
	Groups       []string
	Organization string // a group that everybody has to be in
	AllowAnyone  bool
}

// Empty tells whether there is no rule at all.
func (r Rules) Empty() bool {
	return !r.AllowAnyone && r.Organization == "" && len(r.EmailDomains)+len(r.Users)+len(r.Groups) == 0
}

// A Refusal says that somebody is known but may not enter. Account is the
// account that was used, Reason a sentence for the person.
type Refusal struct {
	Account string
	Reason  string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%q is refused: %s", r.Account, r.Reason) }

// Admit returns nil if id may enter, and a *Refusal if not.
func (r Rules) Admit(id Identity) error {
	switch {
	case r.Organization != "" && !slices.Contains(id.Groups, r.Organization):
		return &Refusal{id.Account(), "this account is not a member of " + r.Organization}
	case r.AllowAnyone, r.onlyOrganization(), r.user(id), r.domain(id), r.group(id):
		return nil
	case id.Email == "" && len(r.EmailDomains) > 0:
		return &Refusal{id.Account(), "the identity provider gives no verified e-mail address for this account"}
	case id.Unhosted && len(r.EmailDomains) > 0:
		return &Refusal{id.Account(), "this account is not managed by the organization of its e-mail address"}
	}
	return &Refusal{id.Account(), "this account is not among those that may enter"}
}

func (r Rules) onlyOrganization() bool {
	return r.Organization != "" && len(r.EmailDomains)+len(r.Users)+len(r.Groups) == 0
}

// domain judges what follows the last @. The address is read again here,
// because an identity may come from a record that an older program wrote.
func (r Rules) domain(id Identity) bool {
	_, domain, ok := canonicalEmail(id.Email)
	return ok && !id.Unhosted && matchAny(r.EmailDomains, domain)
}

func (r Rules) user(id Identity) bool {
	email, _, _ := canonicalEmail(id.Email)
	return slices.ContainsFunc(r.Users, func(user string) bool {
		switch listed, _, isEmail := canonicalEmail(user); {
		case user == "":
			return false
		case isEmail && listed == email:
			return true
		case strings.Contains(user, ":"): // a login never has one
			return user == id.Provider+":"+id.ID
		}
		return user == id.Username
	})
}

func (r Rules) group(id Identity) bool {
	return slices.ContainsFunc(r.Groups, func(group string) bool {
		return group != "" && slices.Contains(id.Groups, group)
	})
}

func matchAny(patterns []*regexp.Regexp, s string) bool {
	return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(s) })
}

// plainDomain is a pattern in which nobody means a dot to be any character.
var plainDomain = regexp.MustCompile(`\A[A-Za-z0-9.-]+\z`)

// Domains compiles the rules about e-mail domains. A rule is a Go regular
// expression over the whole domain, in any case; one that looks like a domain
// is taken as that domain. The errors name key and index.
func Domains(key string, patterns []string) ([]*regexp.Regexp, []error) {
	var compiled []*regexp.Regexp
	var faults []error
	for i, pattern := range patterns {
		re, err := wholeDomain(pattern)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s[%d]: %w", key, i, err))
			continue
		}
		compiled = append(compiled, re)
	}
	return compiled, faults
}

func wholeDomain(pattern string) (*regexp.Regexp, error) {
	switch {
	case pattern == "":
		return nil, errors.New("is empty; it would match no domain")
	case strings.Contains(pattern, "@"):
		return nil, fmt.Errorf("%q holds an @; the rule is matched against what follows the @", pattern)
	case plainDomain.MatchString(pattern):
		pattern = regexp.QuoteMeta(pattern)
	}
	// By itself first: an unbalanced ")" must not close the group below.
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, fmt.Errorf("%q is not a regular expression: %w", pattern, err)
	}
	return regexp.Compile(`\A(?i:` + pattern + `)\z`)
}
