package mcp

import (
	"maps"
	"slices"
	"strings"
)

// gathered collects the scopes of all pages: a scope may be told on each of
// them, whole or in part.
type gathered struct {
	scopes []Scope
	at     map[string]int
}

// add reads the key "scopes" of a page's _meta, and every vendor's "…/scopes".
func (g *gathered) add(meta map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		if key != "scopes" && !strings.HasSuffix(key, "/scopes") {
			continue
		}
		entries, _ := meta[key].([]any)
		for _, e := range entries {
			if m, ok := e.(map[string]any); ok {
				g.scope(m)
			}
		}
	}
}

func (g *gathered) scope(m map[string]any) {
	name, _ := m["name"].(string)
	if name == "" {
		return
	}
	if g.at == nil {
		g.at = map[string]int{}
	}
	i, known := g.at[name]
	if !known {
		i = len(g.scopes)
		g.at[name] = i
		g.scopes = append(g.scopes, Scope{Name: name})
	}
	s := &g.scopes[i]
	if s.Description == "" {
		s.Description, _ = m["description"].(string)
	}
	tools, _ := m["tools"].([]any)
	for _, t := range tools {
		if t, ok := t.(string); ok {
			s.Tools = append(s.Tools, t)
		}
	}
}
