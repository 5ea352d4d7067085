package routing

import (
	"slices"

	"mcp-oauth2-proxy/routing/mcp"
)

// A Scope is a permission an MCP server declares, and the tools it covers.
type Scope = mcp.Scope

// A Tool is what an MCP server says of one of its tools.
type Tool = mcp.Tool

// A Definition is what a model is told of a tool.
type Definition = mcp.Definition

// An Argument is one of text that a tool takes.
type Argument = mcp.Argument

// A Catalogue is what an MCP server advertises, cleaned and bounded: names that
// are scopes, texts that are safe to show, in the server's order.
type Catalogue struct {
	Scopes []Scope `json:"scopes"`
	Tools  []Tool  `json:"tools"`
}

// Names returns the names of all scopes.
func (c Catalogue) Names() []string {
	names := make([]string, len(c.Scopes))
	for i, s := range c.Scopes {
		names[i] = s.Name
	}
	return names
}

// Tool returns the name of a tool as the MCP server spells it, and whether it
// lists that tool, as far as it was asked. It asks nobody.
func (r *Route) Tool(name string) (string, bool) {
	x := r.catalogue.held.Load().index
	name = x.name(name)
	return name, x.lists(name)
}

// Covers returns the scopes that a broader one includes: those whose tools are
// some, but not all, of its own.
func (c Catalogue) Covers(scope string) []string {
	i := slices.IndexFunc(c.Scopes, func(s Scope) bool { return s.Name == scope })
	if i < 0 {
		return nil
	}
	has := make(map[string]bool, len(c.Scopes[i].Tools))
	for _, t := range c.Scopes[i].Tools {
		has[t] = true
	}
	var covered []string
	for _, s := range c.Scopes {
		if properSubset(s.Tools, has) {
			covered = append(covered, s.Name)
		}
	}
	return covered
}

// properSubset needs tools to be free of duplicates, as clean leaves them.
func properSubset(tools []string, of map[string]bool) bool {
	if len(tools) == 0 || len(tools) >= len(of) {
		return false
	}
	return !slices.ContainsFunc(tools, func(t string) bool { return !of[t] })
}
