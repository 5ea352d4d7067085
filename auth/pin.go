package auth

import (
	"context"
	"errors"

	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// pin names the definitions of the tools behind scopes; empty where they are
// not pinned.
func (s *Server) pin(c routing.Catalogue, scopes []string) string {
	if !s.Route.Pinned {
		return ""
	}
	return c.Pin(scopes)
}

// keepPin keeps what a pin of scopes stands for.
func (s *Server) keepPin(ctx context.Context, c routing.Catalogue, scopes []string, pin string) error {
	var defs []grants.Definition
	for _, t := range c.Covered(scopes) {
		defs = append(defs, grants.Definition{
			Tool: t.Name, Digest: t.Digest,
			Description: t.Definition.Description, Schema: t.Definition.Schema, Annotations: t.Definition.Annotations,
		})
	}
	if err := s.Grants.Pin(ctx, pin, defs); err != nil {
		return broken("the sign-in", err)
	}
	return nil
}

// changes tells how the tools behind an earlier consent have changed, and
// whether they did: what they were may be forgotten.
func (s *Server) changes(ctx context.Context, c routing.Catalogue, before grants.Consent) ([]web.Change, bool, error) {
	if !s.Route.Pinned || before.Pin == "" || c.Pin(before.Scopes) == before.Pin {
		return nil, false, nil
	}
	was, err := s.Grants.Pinned(ctx, before.Pin)
	if err != nil {
		return nil, false, broken("the consent look-up", err)
	}
	if was == nil {
		return nil, true, nil
	}
	var out []web.Change
	old := map[string]grants.Definition{}
	for _, d := range was {
		old[d.Tool] = d
	}
	for _, t := range c.Covered(before.Scopes) {
		d, known := old[t.Name]
		delete(old, t.Name)
		if !known || d.Digest != t.Digest {
			out = append(out, change(d, known, t))
		}
	}
	for _, d := range was {
		if _, left := old[d.Tool]; left {
			out = append(out, web.Change{Tool: d.Tool, Kind: web.ToolGone})
		}
	}
	return out, true, nil
}

// change is one tool then and now.
func change(d grants.Definition, known bool, t routing.Tool) web.Change {
	ch := web.Change{Tool: t.Name}
	switch {
	case !known || d.Digest == "" && t.Digest != "":
		ch.Kind = web.ToolNew
	case t.Digest == "":
		ch.Kind = web.ToolGone
		return ch
	default:
		ch.Kind = web.ToolChanged
	}
	for _, p := range []web.Part{
		{Name: web.PartDescription, Before: d.Description, After: t.Definition.Description},
		{Name: web.PartInput, Before: d.Schema, After: t.Definition.Schema},
		{Name: web.PartAnnotations, Before: d.Annotations, After: t.Definition.Annotations},
	} {
		if p.Before != p.After {
			ch.Parts = append(ch.Parts, p)
		}
	}
	return ch
}

// settle keeps the tools that an approved request was about, or says that it
// must be asked again, now that it is known who signed in: the tools are others by now, or they have changed
// since this person last said yes and were not shown as changed, because nobody
// was signed in then, or somebody else.
func (s *Server) settle(ctx context.Context, a grants.Approved, u grants.User) (again bool, err error) {
	if a.Account || a.Pin == "" {
		return false, nil
	}
	c := s.Route.Catalogue(ctx)
	if c.Pin(a.Scopes) != a.Pin {
		return true, nil
	}
	if a.ShownTo == u.Subject {
		return false, s.keepPin(ctx, c, a.Scopes, a.Pin)
	}
	asked := &asking{req: a.Request, catalogue: c, user: &u}
	if asked.client, err = s.Clients.Lookup(ctx, s.issuer(), a.Request.ClientID); err != nil {
		return false, ofClients(err)
	}
	if err := s.recall(ctx, asked); err != nil {
		return false, err
	}
	if len(asked.changes) > 0 {
		return true, nil
	}
	return false, s.keepPin(ctx, c, a.Scopes, a.Pin)
}

// askAgain shows the consent page once more for a request that was approved;
// the approval is spent.
func (s *Server) askAgain(c echo.Context, secret string, a grants.Approved) error {
	if s.Now().Sub(a.Request.Started) >= grants.RequestLife {
		return stale(errors.New("the tools have changed, and there is no time left to ask again"))
	}
	s.Grants.Drop(c.Request().Context(), secret)
	if err := s.Browser.carry(c.Response(), c.Request(), a.Request.ID, carried{Request: &a.Request}); err != nil {
		return err
	}
	return see(c, "/consent?r="+a.Request.ID)
}
