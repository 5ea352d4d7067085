package routing

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"mcp-oauth2-proxy/routing/mcp"
)

// What an MCP server may put on a consent page and into a token.
const (
	maxScopes      = 100
	maxScopeName   = 64
	maxToolName    = 256
	maxDescription = 300
	maxDefinitions = 512 << 10 // of all tools together, in bytes
	maxArguments   = 20
	maxChoices     = 50
)

// reserved are scopes that mean something else: OpenID Connect's, and ours.
var reserved = [...]string{"openid", "profile", "email", "address", "phone", "offline_access"}

// clean keeps of what a server says only what is a scope or a tool, with texts
// that cannot pretend to be anything else on a page.
func clean(l *mcp.Listing) Catalogue {
	c := Catalogue{Scopes: []Scope{}, Tools: []Tool{}}
	seen := map[string]bool{}
	for _, s := range l.Scopes {
		if len(c.Scopes) == maxScopes {
			break
		}
		if isScope(s.Name) && !slices.Contains(reserved[:], s.Name) && !seen[s.Name] {
			seen[s.Name] = true
			c.Scopes = append(c.Scopes, Scope{Name: s.Name, Description: text(s.Description), Tools: toolNames(s.Tools)})
		}
	}
	clear(seen)
	room := maxDefinitions
	for _, t := range l.Tools {
		if isToolName(t.Name) && !seen[t.Name] {
			seen[t.Name] = true
			t.Title, t.Description = text(t.Title), text(t.Description)
			t.Arguments = cleanArguments(t.Arguments)
			if room -= size(t.Definition); room < 0 {
				t.Definition = Definition{} // its digest is enough to know that it changed
			}
			c.Tools = append(c.Tools, t)
		}
	}
	return c
}

// isScope is the scope-token of RFC 6749 §3.3, bounded.
func isScope(name string) bool {
	if name == "" || len(name) > maxScopeName {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func isToolName(name string) bool {
	return name != "" && len(name) <= maxToolName && utf8.ValidString(name) && !strings.ContainsFunc(name, hidden)
}

// toolNames returns each name once, in the server's order.
func toolNames(names []string) []string {
	seen := make(map[string]bool, len(names))
	kept := make([]string, 0, len(names))
	for _, n := range names {
		if isToolName(n) && !seen[n] {
			seen[n] = true
			kept = append(kept, n)
		}
	}
	return kept
}

// cleanArguments keeps those whose names and values people can read.
func cleanArguments(in []Argument) []Argument {
	var out []Argument
	for _, a := range in {
		if len(out) == maxArguments {
			break
		}
		if isToolName(a.Name) && len(a.Choices) <= maxChoices && !slices.ContainsFunc(a.Choices, func(s string) bool { return !isToolName(s) }) {
			out = append(out, a)
		}
	}
	return out
}

// text makes a server's words fit to show: one line, bounded, without
// characters that are not seen or that turn the direction of reading.
func text(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case hidden(c) || c == utf8.RuneError:
			return -1
		}
		return c
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= maxDescription {
		return s
	}
	return strings.TrimRight(string([]rune(s)[:maxDescription-1]), " ") + "…"
}

// hidden tells control characters, and those of format: bidirectional marks,
// zero-width ones, tags.
func hidden(c rune) bool {
	return unicode.In(c, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp)
}

func size(d Definition) int { return len(d.Description) + len(d.Schema) + len(d.Annotations) }
