package routing

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// An index answers which scopes cover a tool, and which definition it has. It
// is made once per version of a catalogue.
type index struct {
	scopes  map[string][]string // tool → scopes, the least privileged first
	covers  map[string][]string // scope → tools
	digests map[string]string   // tool → digest of its definition
	folded  map[string]string   // a tool's name without its case → the name
	pins    pinsOf
}

func newIndex(c Catalogue) *index {
	x := &index{scopes: map[string][]string{}, covers: map[string][]string{}, digests: map[string]string{}, folded: map[string]string{}}
	for _, t := range c.Tools {
		x.digests[t.Name] = t.Digest
		x.folded[foldName(t.Name)] = t.Name
	}
	byPower := slices.Clone(c.Scopes)
	slices.SortStableFunc(byPower, func(a, b Scope) int {
		return cmp.Or(cmp.Compare(len(a.Tools), len(b.Tools)), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range byPower {
		x.covers[s.Name] = s.Tools
		for _, tool := range s.Tools {
			x.scopes[tool] = append(x.scopes[tool], s.Name)
			x.folded[foldName(tool)] = tool
		}
	}
	return x
}

// name returns a tool's name as the catalogue spells it. Names mind case, but a
// server may not: one that differs only so is held to the same rules.
func (x *index) name(tool string) string {
	if _, ok := x.scopes[tool]; ok {
		return tool
	}
	if name, ok := x.folded[foldName(tool)]; ok {
		return name
	}
	return tool
}

// lists tells whether the MCP server has a tool of that name, as name has it.
func (x *index) lists(tool string) bool {
	_, listed := x.digests[tool]
	return listed || len(x.scopes[tool]) > 0
}

// covering returns the scopes of which any allows the tool.
func (x *index) covering(tool string) []string { return x.scopes[x.name(tool)] }

func foldName(tool string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, strings.TrimSpace(tool))
}
