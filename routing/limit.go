package routing

import (
	"path"
	"slices"
	"strings"

	"mcp-oauth2-proxy/routing/mcp"
)

// A Limit pins an argument of a tool to a value; one that ends in a slash
// stands for every path below it.
type Limit struct{ Tool, Argument, Value string }

// A PinnableArgument is one that the operator lets people pin.
type PinnableArgument struct{ Tool, Argument string }

// Pinnable returns the arguments of a tool that people may pin: those that the
// MCP server marks, and those that the operator lists.
func (r *Route) Pinnable(t Tool) []Argument {
	if !r.Enforced {
		return nil
	}
	var out []Argument
	for _, a := range t.Arguments {
		if a.Pinnable || slices.Contains(r.config.Pinnable, PinnableArgument{t.Name, a.Name}) {
			out = append(out, a)
		}
	}
	return out
}

// ValidLimit tells whether a value can be a limit: where it stands for paths
// it must be one that has no other spelling.
func ValidLimit(value string) bool {
	prefix, isPath := strings.CutSuffix(value, "/")
	return !isPath || prefix == "" || canonicalPath(prefix)
}

// canonicalPath tells whether a path has one spelling only, to whoever reads
// it: no way up, nothing doubled, nothing encoded.
func canonicalPath(p string) bool {
	return p != "" && !strings.ContainsAny(p, "\\%\x00?#") && path.Clean("/"+p) == "/"+strings.TrimPrefix(p, "/") && p != "." && p != ".."
}

// allows tells whether an argument's value is within the limit.
func (l Limit) allows(value string) bool {
	if !strings.HasSuffix(l.Value, "/") || value == l.Value {
		return value == l.Value
	}
	rest, below := strings.CutPrefix(value, l.Value)
	return below && canonicalPath(strings.TrimSuffix(rest, "/")) && !strings.HasPrefix(rest, "/")
}

// exceeded returns the first limit that a call is not within. An argument that
// is left out is not: the server would choose its value. Names of tools mind
// case, but a server may not.
func exceeded(limits []Limit, c Call) *Limit {
	if len(limits) == 0 {
		return nil
	}
	name := foldName(c.Tool)
	for i, l := range limits {
		if foldName(l.Tool) != name {
			continue
		}
		if value, ok := mcp.TextOf(c.Arguments, l.Argument); !ok || !l.allows(value) {
			return &limits[i]
		}
	}
	return nil
}
