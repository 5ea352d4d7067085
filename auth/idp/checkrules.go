package idp

import (
	"regexp"
	"strings"
	"unicode"
)

// An organization of GitHub: it becomes part of a path.
var validOrganization = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9-_]*\z`)

func (c Config) checkRules(f *faults) {
	domains, bad := Domains("allowedEmailDomains", c.AllowedEmailDomains)
	*f = append(*f, bad...)
	for i, user := range c.AllowedUsers {
		if strings.TrimSpace(user) == "" {
			f.add("allowedUsers[%d]: is empty", i)
		}
	}
	for i, group := range c.AllowedGroups {
		if strings.TrimSpace(group) == "" {
			f.add("allowedGroups[%d]: is empty", i)
		}
	}
	if o := c.Organization; c.Name == nameGitHub && o != "" && (len(o) > maxOrganization || !validOrganization.MatchString(o)) {
		f.add("organization: %q is not the name of a GitHub organization", c.Organization)
	}
	if c.Name == nameGoogle && len(c.AllowedGroups) > 0 && !c.Workspace {
		f.add("allowedGroups: Google tells groups only with workspace: true")
	}
	if len(domains)+len(bad) == 0 && c.rules().Empty() && c.Name != nameLocal {
		f.add("allowedEmailDomains: there is no rule who may enter; set allowedEmailDomains, allowedUsers, allowedGroups%s, or allowAnyone: true",
			map[bool]string{true: ", organization"}[c.Name == nameGitHub])
	}
}

func (c Config) checkUsers(f *faults) {
	if c.Name != nameLocal {
		return
	}
	if len(c.Users) == 0 {
		f.add("users: is empty, so nobody could sign in; hash-password makes the hash of a user's password")
	}
	first := map[string]int{}
	for i, user := range c.Users {
		if earlier, ok := first[user.Username]; ok && user.Username != "" {
			f.add("users[%d].username: %q is users[%d] already", i, user.Username, earlier)
		} else {
			first[user.Username] = i
		}
		user.check(f, i)
	}
}

func (u User) check(f *faults, i int) {
	switch {
	case u.Username == "":
		f.add("users[%d].username: is missing", i)
	case cleanUsername(u.Username) == "":
		f.add("users[%d].username: %q is too long or holds a colon, a space at an end, or a character that cannot be seen", i, u.Username)
	}
	if u.PasswordHash == "" {
		f.add("users[%d].passwordHash: is missing; hash-password makes it", i)
	} else if _, err := parseHash(u.PasswordHash); err != nil {
		f.add("users[%d].passwordHash: %w", i, err)
	}
	if u.Email != "" {
		if _, _, ok := canonicalEmail(u.Email); !ok {
			f.add("users[%d].email: %q is not an e-mail address", i, u.Email)
		}
	}
	for j, group := range u.Groups {
		if cleanText(group) != group || group == "" {
			f.add("users[%d].groups[%d]: %q is empty, too long, or holds a character that cannot be seen", i, j, group)
		}
	}
}

// A name or a group longer than this is not one.
const maxText = 256

// cleanText returns s, or nothing if s is too long or would be read
// differently by a person, a log or a header than it is compared.
func cleanText(s string) string {
	hidden := func(r rune) bool {
		return r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	}
	if len(s) > maxText || strings.TrimSpace(s) != s || strings.ContainsFunc(s, hidden) {
		return ""
	}
	return s
}

// cleanUsername is cleanText without the colon, which sets subjects apart.
func cleanUsername(s string) string {
	if strings.Contains(s, ":") {
		return ""
	}
	return cleanText(s)
}
