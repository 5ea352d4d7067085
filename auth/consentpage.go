package auth

import (
	"slices"

	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/web"
)

// consentPage is what is shown. What the client says of itself is a claim.
//
// tick is a wish for all boxes at once: readonly or none.
func (s *Server) consentPage(a *asking, tick string, problem web.Message) web.Consent {
	p := web.Consent{
		Server: s.Route.Name, Host: s.Route.Host, Resource: s.Route.Resource(), Request: a.req.ID, Problem: problem,
		Enforced: s.Route.Enforced, Changes: a.changes, Durations: s.durations(), Duration: longest,
		Client: web.Client{
			Name: a.client.Name, ID: a.client.ID, Host: a.client.Host, Verified: a.client.Kind == clients.KindConfigured,
			RedirectHost: clients.RedirectHost(a.req.RedirectURI), RedirectURI: a.req.RedirectURI,
			LoopbackOnly: clients.LoopbackOnly(a.client.RedirectURIs),
		},
	}
	if a.user != nil {
		p.User = userName(*a.user)
	}
	if s.Route.Pinned {
		p.Seen = a.catalogue.Version()
	}
	asked := a.asked()
	for _, sc := range a.catalogue.Scopes {
		p.Scopes = append(p.Scopes, s.offered(a, sc, asked, tick))
	}
	for _, provider := range s.Providers {
		p.Providers = append(p.Providers, web.Choice{ID: provider.ID, Name: provider.Name})
	}
	return p
}

// offered is one permission on the page. Least is ticked: what was asked for
// and only reads, and what this person allowed this client before.
func (s *Server) offered(a *asking, sc routing.Scope, asked []string, tick string) web.Scope {
	out := web.Scope{
		Name: sc.Name, Description: sc.Description, Asked: slices.Contains(asked, sc.Name),
		ReadOnly: len(sc.Tools) > 0, Covers: a.catalogue.Covers(sc.Name),
	}
	for _, name := range sc.Tools {
		tool, known := toolOf(a.catalogue, name)
		out.ReadOnly = out.ReadOnly && known && tool.ReadOnly
		out.Destructive = out.Destructive || known && tool.Destructive
		out.Tools = append(out.Tools, web.Tool{Name: name, Description: tool.Description, ReadOnly: known && tool.ReadOnly, Destructive: known && tool.Destructive, Limits: s.offeredLimits(a, tool)})
	}
	switch tick {
	case "readonly":
		out.Ticked = out.ReadOnly
	case "none":
	default:
		out.Ticked = out.Asked && out.ReadOnly || a.again && slices.Contains(a.before.Scopes, sc.Name)
	}
	return out
}

func toolOf(c routing.Catalogue, name string) (routing.Tool, bool) {
	i := slices.IndexFunc(c.Tools, func(t routing.Tool) bool { return t.Name == name })
	if i < 0 {
		return routing.Tool{}, false
	}
	return c.Tools[i], true
}
