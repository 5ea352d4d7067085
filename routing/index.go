package routing

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// An index answers which scopes cover a tool.
type index struct {
	scopes map[string][]string // tool → scopes, the least privileged first
	folded map[string]string   // a tool's name without its case → the name
}

func newIndex(scopes []Scope) *index {
	x := &index{scopes: map[string][]string{}, folded: map[string]string{}}
	byPower := slices.Clone(scopes)
	slices.SortStableFunc(byPower, func(a, b Scope) int {
		return cmp.Or(cmp.Compare(len(a.Tools), len(b.Tools)), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range byPower {
		for _, tool := range s.Tools {
			x.scopes[tool] = append(x.scopes[tool], s.Name)
			x.folded[foldName(tool)] = tool
		}
	}
	return x
}

// covering returns the scopes of which any allows the tool. Names mind case,
// but a server may not: a name that differs only so is held to the same scopes.
func (x *index) covering(tool string) []string {
	if scopes, ok := x.scopes[tool]; ok {
		return scopes
	}
	return x.scopes[x.folded[foldName(tool)]]
}

func foldName(tool string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, strings.TrimSpace(tool))
}
