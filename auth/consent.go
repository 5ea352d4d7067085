package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/clients"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/web"

	"github.com/labstack/echo/v4"
)

// asking is an authorization request on the consent page: what was asked, by
// whom, of which MCP server, and what is known of the person.
type asking struct {
	req       grants.Request
	client    *clients.Client
	catalogue routing.Catalogue
	user      *grants.User // nil: nobody is signed in
	before    grants.Consent
	again     bool // the user allowed this client before
}

// pending reads the request that the browser carries under the form or query
// field r.
func (s *Server) pending(c echo.Context, id string) (*asking, error) {
	what, err := s.Browser.carries(c.Request(), id)
	if err != nil {
		return nil, stale(err)
	}
	if what.Request == nil || what.Request.Issuer != s.issuer() || s.Now().Sub(what.Request.Started) >= grants.RequestLife {
		return nil, stale(errors.New("the request was answered, has expired, or is another host's"))
	}
	ctx := c.Request().Context()
	a := &asking{req: *what.Request, catalogue: s.Route.Catalogue(ctx)}
	if a.client, err = s.Clients.Lookup(ctx, s.issuer(), a.req.ClientID); err != nil {
		return nil, ofClients(err)
	}
	// What the client is may have changed since /authorize.
	if _, err := a.client.Redirect(a.req.RedirectURI); err != nil {
		return nil, stale(err)
	}
	if a.user, err = s.signedIn(c); err != nil || a.user == nil {
		return a, err
	}
	a.before, a.again, err = s.Grants.Remembered(ctx, a.user.Subject, s.issuer(), a.client.ID, clients.RedirectHost(a.req.RedirectURI))
	if err != nil {
		return nil, broken("the consent look-up", err)
	}
	return a, nil
}

// signedIn returns who is signed in here and may still enter; nil if nobody.
func (s *Server) signedIn(c echo.Context) (*grants.User, error) {
	session, err := s.session(c)
	if err != nil || session == nil {
		return nil, err
	}
	return &session.User, nil
}

// session is that of the browser, if its user may still enter; nil if there is
// none.
func (s *Server) session(c echo.Context) (*grants.Session, error) {
	secret := s.Browser.session(c.Request())
	if secret == "" {
		return nil, nil
	}
	session, err := s.Grants.Session(c.Request().Context(), secret, s.issuer())
	if errors.Is(err, grants.ErrInvalid) {
		return nil, nil
	}
	if err != nil {
		return nil, broken("the session look-up", err)
	}
	if s.mayEnter(session.User) != nil {
		return nil, nil //nolint:nilerr // the sign-in, which comes next, says why
	}
	return &session, nil
}

// showConsent asks, unless there is no need to (decision by decision: the
// operator configured the client, the operator wants no page for this address,
// or the same person said yes to as much before).
func (s *Server) showConsent(c echo.Context) error {
	a, err := s.pending(c, c.QueryParam("r"))
	if err != nil {
		return err
	}
	if scopes, ok := s.unasked(a); ok {
		return s.approve(c, a, scopes, false)
	}
	if asks(a.req, "none") {
		code := "login_required"
		if a.user != nil {
			code = "consent_required"
		}
		s.Browser.drop(c.Response(), a.req.ID)
		return s.turnAway(a.client, a.req, code, "prompt is none, but somebody must be asked")
	}
	s.Audit.Record(c.Request().Context(), audit.ConsentAsked, s.about(a)...)
	return s.page(c, http.StatusOK, s.consentPage(a, ""))
}

// unasked returns what is granted without a page, and whether that is so.
func (s *Server) unasked(a *asking) ([]string, bool) {
	if asks(a.req, "consent") {
		return nil, false
	}
	asked := a.asked()
	wants := asked
	if len(wants) == 0 {
		wants = a.catalogue.Names()
	}
	if len(wants) == 0 {
		wants = []string{DefaultScope}
	}
	signedIn := a.user != nil || !asks(a.req, "none")
	if a.client.Kind == clients.KindConfigured || matchesAny(s.Consentless, a.req.RedirectURI) {
		return wants, signedIn
	}
	if len(a.catalogue.Names()) > 0 && len(asked) == 0 {
		wants = a.before.Scopes
	}
	// Loopback and private-scheme clients cannot prove who they are.
	provable := strings.HasPrefix(a.req.RedirectURI, "https://") && !clients.LoopbackOnly([]string{a.req.RedirectURI})
	return wants, a.user != nil && a.again && provable && subset(wants, a.before.Scopes) && !asks(a.req, "login") && !asks(a.req, "select_account")
}

func matchesAny(patterns []*regexp.Regexp, s string) bool {
	return slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(s) })
}

func subset(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// asked are the scopes that were asked for and exist; others are ignored.
func (a *asking) asked() []string {
	names := a.catalogue.Names()
	return slices.DeleteFunc(slices.Clone(a.req.Scopes), func(s string) bool { return !slices.Contains(names, s) })
}

// decide takes the answer of the consent page.
func (s *Server) decide(c echo.Context) error {
	raw, err := formBody(c.Request())
	if err != nil {
		return err
	}
	form, err := strictValues(raw, "scope")
	if err != nil {
		return err
	}
	a, err := s.pending(c, form.Get("r"))
	if err != nil {
		return err
	}
	names := a.catalogue.Names()
	ticked := form["scope"]
	switch {
	case form.Get("decision") == "deny":
		return s.deny(c, a)
	case form.Get("decision") != "allow":
		return refusal("invalid_request", "decision must be allow or deny")
	case !subset(ticked, names):
		return s.page(c, http.StatusOK, s.consentPage(a, "What this server offers has changed. Please look again."))
	case len(names) > 0 && len(ticked) == 0:
		return s.page(c, http.StatusOK, s.consentPage(a, "Nothing is ticked. Tick what the app may do, or choose Deny."))
	case len(names) == 0:
		ticked = []string{DefaultScope}
	}
	slices.Sort(ticked)
	return s.approve(c, a, slices.Compact(ticked), true)
}

// deny sends the client away; a person has read where that is.
func (s *Server) deny(c echo.Context, a *asking) error {
	s.Audit.Record(c.Request().Context(), audit.ConsentDenied, s.about(a)...)
	s.Browser.drop(c.Response(), a.req.ID)
	to, err := s.answer(a.req.RedirectURI, a.req.State, url.Values{"error": {"access_denied"}, "error_description": {"the user said no"}})
	if err != nil {
		return err
	}
	return see(c, to)
}

// approve stores the request, now that somebody said yes, and goes on to the
// sign-in. The cookie that leads there is set no sooner.
func (s *Server) approve(c echo.Context, a *asking, scopes []string, shown bool) error {
	if err := s.limit(c, Approvals); err != nil {
		return err
	}
	ctx := c.Request().Context()
	secret := grants.NewSecret()
	approved := grants.Approved{
		Request: a.req, Scopes: scopes, Shown: shown,
		Offline: a.client.May("refresh_token") || mayAskOffline(a.client) && slices.Contains(a.req.Scopes, offlineAccess),
	}
	if err := s.Grants.Approve(ctx, secret, approved); err != nil {
		return broken("the approval", err)
	}
	if err := s.Browser.carry(c.Response(), c.Request(), a.req.ID, carried{Secret: secret}); err != nil {
		return err
	}
	if shown {
		s.Audit.Record(ctx, audit.ConsentGiven, append(s.about(a), audit.Scope(scopes))...)
	}
	if a.user != nil && !asks(a.req, "login") && !asks(a.req, "select_account") {
		return s.finish(c, a.req.ID, secret, *a.user)
	}
	return s.beginSignin(c, a.req.ID, secret, approved)
}

// about are the attributes of an event on a consent page.
func (s *Server) about(a *asking) []slog.Attr {
	attrs := []slog.Attr{audit.Host(s.Route.Host), audit.Client(a.client.ID), audit.Text("redirect_host", clients.RedirectHost(a.req.RedirectURI)), audit.Text("asked", strings.Join(a.req.Scopes, " "))}
	if a.user != nil {
		attrs = append(attrs, audit.Subject(a.user.Subject))
	}
	return attrs
}

// consentPage is what is shown. What the client says of itself is a claim.
func (s *Server) consentPage(a *asking, problem string) web.Consent {
	p := web.Consent{
		Server: s.Route.Name, Host: s.Route.Host, Resource: s.Route.Resource(), Request: a.req.ID, Problem: problem,
		Enforced: s.Route.Enforced,
		Client: web.Client{
			Name: a.client.Name, ID: a.client.ID, Host: a.client.Host, Verified: a.client.Kind == clients.KindConfigured,
			RedirectHost: clients.RedirectHost(a.req.RedirectURI), RedirectURI: a.req.RedirectURI,
			LoopbackOnly: clients.LoopbackOnly(a.client.RedirectURIs),
		},
	}
	if a.user != nil {
		p.User = userName(*a.user)
	}
	asked := a.asked()
	for _, sc := range a.catalogue.Scopes {
		p.Scopes = append(p.Scopes, offered(a, sc, asked))
	}
	for _, provider := range s.Providers {
		p.Providers = append(p.Providers, web.Choice{ID: provider.ID, Name: provider.Name})
	}
	return p
}

// offered is one permission on the page. Least is ticked: what was asked for
// and only reads, and what this person allowed this client before.
func offered(a *asking, sc routing.Scope, asked []string) web.Scope {
	out := web.Scope{
		Name: sc.Name, Description: sc.Description, Asked: slices.Contains(asked, sc.Name),
		ReadOnly: len(sc.Tools) > 0, Covers: a.catalogue.Covers(sc.Name),
	}
	for _, name := range sc.Tools {
		tool, known := toolOf(a.catalogue, name)
		out.ReadOnly = out.ReadOnly && known && tool.ReadOnly
		out.Destructive = out.Destructive || known && tool.Destructive
		out.Tools = append(out.Tools, web.Tool{Name: name, Description: tool.Description, ReadOnly: known && tool.ReadOnly, Destructive: known && tool.Destructive})
	}
	out.Ticked = out.Asked && out.ReadOnly || a.again && slices.Contains(a.before.Scopes, sc.Name)
	return out
}

func toolOf(c routing.Catalogue, name string) (routing.Tool, bool) {
	i := slices.IndexFunc(c.Tools, func(t routing.Tool) bool { return t.Name == name })
	if i < 0 {
		return routing.Tool{}, false
	}
	return c.Tools[i], true
}

// userName is how a person knows their account.
func userName(u grants.User) string {
	for _, name := range []string{u.Email, u.Username, u.Name} {
		if name != "" {
			return name
		}
	}
	return u.Subject
}

// grantFor makes the grant of an approved request, now that the user is known.
func (s *Server) grantFor(ctx context.Context, a grants.Approved, u grants.User) (grants.Grant, error) {
	audience, ok := s.Route.Audience(a.Request.Resource)
	if !ok {
		return grants.Grant{}, stale(errors.New("the resource is no longer at this host"))
	}
	client, err := s.Clients.Lookup(ctx, s.issuer(), a.Request.ClientID)
	if err != nil {
		return grants.Grant{}, ofClients(err)
	}
	now := s.Now()
	lasts := s.RefreshTTL
	if a.Lasts > 0 {
		lasts = min(lasts, a.Lasts)
	}
	return grants.Grant{
		Issuer: s.issuer(), ClientID: client.ID, ClientName: client.Name, RedirectURI: a.Request.RedirectURI,
		User: u, Audience: audience, Scopes: a.Scopes, Offline: a.Offline,
		Given: now.Truncate(time.Second), Ends: now.Add(lasts).Truncate(time.Second),
	}, nil
}
