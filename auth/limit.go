package auth

import (
	"net/url"
	"slices"
	"strings"
	"unicode"

	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/web"
)

// How much a person may pin.
const (
	maxLimits = 50
	maxLimit  = 200 // bytes of a value
)

// limitField is the name of the form field that pins an argument.
func limitField(tool, argument string) string {
	return "only:" + url.QueryEscape(tool) + ":" + url.QueryEscape(argument)
}

// offeredLimits are the arguments of a tool that may be pinned. Where the
// gateway does not hold calls to anything, it promises nothing.
func (s *Server) offeredLimits(a *asking, t routing.Tool) []web.Limit {
	var out []web.Limit
	for _, arg := range s.Route.Pinnable(t) {
		l := web.Limit{Field: limitField(t.Name, arg.Name), Argument: arg.Name, Choices: arg.Choices}
		for _, before := range a.before.Limits {
			if before.Tool == t.Name && before.Argument == arg.Name {
				l.Value = before.Value
			}
		}
		out = append(out, l)
	}
	return out
}

// limits reads what a person pinned, of the tools behind the ticked scopes.
func (s *Server) limits(c routing.Catalogue, ticked []string, form url.Values) (out []grants.Limit, problem web.Message) {
	for _, t := range c.Covered(ticked) {
		for _, arg := range s.Route.Pinnable(t) {
			value := strings.TrimSpace(form.Get(limitField(t.Name, arg.Name)))
			if value == "" {
				continue
			}
			if !fitsLimit(value, arg) || len(out) == maxLimits {
				return nil, web.Say(web.LimitUnusable, arg.Name, t.Name)
			}
			out = append(out, grants.Limit{Tool: t.Name, Argument: arg.Name, Value: value})
		}
	}
	return out, web.Message{}
}

func fitsLimit(value string, arg routing.Argument) bool {
	if len(value) > maxLimit || strings.ContainsFunc(value, unicode.IsControl) {
		return false
	}
	if len(arg.Choices) > 0 {
		return slices.Contains(arg.Choices, value)
	}
	return routing.ValidLimit(value)
}

// details are the limits of a grant as its token says them (RFC 9396).
func (s *Server) details(gr grants.Grant) []access.Detail {
	var out []access.Detail
	for _, l := range gr.Limits {
		i := slices.IndexFunc(out, func(d access.Detail) bool { return d.Tool == l.Tool })
		if i < 0 {
			i = len(out)
			out = append(out, access.Detail{Type: access.DetailType, Locations: []string{s.Route.Resource()}, Tool: l.Tool, Arguments: map[string]string{}})
		}
		out[i].Arguments[l.Argument] = l.Value
	}
	return out
}
