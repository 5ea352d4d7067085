package web

import (
	"slices"
	"strings"
)

// What a page shows at most of the lists that an MCP server sends. Scopes over
// the limit are not offered: nobody allows what they were not shown.
const (
	maxScopes = 200
	maxTools  = 40

	maxPinnable = 5
	flatList    = 12 // more scopes than this, and those not asked for are folded
)

// Offered are the scopes to show in the open.
func (c Consent) Offered() []Scope {
	first, _ := c.split()
	return first
}

// Folded are the scopes that the client did not ask for, where there are so
// many that they would bury the others.
func (c Consent) Folded() []Scope {
	_, rest := c.split()
	return rest
}

func (c Consent) split() (first, rest []Scope) {
	all := make([]Scope, 0, len(c.Scopes))
	for _, s := range c.Scopes {
		if usable(s.Name) && len(all) < maxScopes {
			all = append(all, s)
		}
	}
	if len(all) <= flatList {
		return all, nil
	}
	for _, s := range all {
		if s.Asked || s.Ticked {
			first = append(first, s)
		} else {
			rest = append(rest, s.brief())
		}
	}
	if len(first) == 0 {
		return all, nil
	}
	return first, rest
}

// brief is the scope with less of what its server says of it.
func (s Scope) brief() Scope {
	s.Description = line(100, s.Description)
	s.Tools = slices.Clone(s.Tools) // the caller's stay as they are
	for i := range s.Tools {
		s.Tools[i].Description = ""
	}
	return s
}

// Mixed says that some of the scopes were asked for and others not, so that
// the difference is worth a mark.
func (c Consent) Mixed() bool {
	asked := 0
	for _, s := range c.Scopes {
		if s.Asked {
			asked++
		}
	}
	return asked > 0 && asked < len(c.Scopes)
}

// usable is RFC 6749's scope-token, of a length a person can read. Only such a
// name can stand in a token, so nothing else is offered.
func usable(name string) bool {
	if name == "" || len(name) > 128 {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r >= 0x7f })
}

// Included are the scopes this one covers, as the page names them.
func (s Scope) Included() []string {
	var names []string
	for _, name := range s.Covers {
		if usable(name) && len(names) < maxTools {
			names = append(names, name)
		}
	}
	return names
}

// Shown are the tools that the page names.
func (s Scope) Shown() []Tool { return s.Tools[:min(len(s.Tools), maxTools)] }

// Pinnable are the arguments of the tool that a person may pin.
func (t Tool) Pinnable() []Limit { return t.Limits[:min(len(t.Limits), maxPinnable)] }

// More is how many tools are not named.
func (s Scope) More() int { return len(s.Tools) - len(s.Shown()) }

// Vouched says that the client's name is not its own claim: the operator wrote it.
func (c Consent) Vouched() bool { return c.Client.Verified && c.Client.Host == "" }
