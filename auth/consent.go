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
	again     bool         // the user allowed this client before
	changes   []web.Change // of tools, since then
	changed   bool         // something did, be there more to say of it or not
}

// agreed is what a person, or the operator's configuration, said yes to.
type agreed struct {
	scopes []string
	shown  bool
	lasts  time.Duration
	pin    string
	limits []grants.Limit
}

// pending reads the request that the browser carries under the form or query
// field r.
func (s *Server) pending(c echo.Context, id string) (*asking, error) {
	belongs(c, id)
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
	return a, s.recall(ctx, a)
}

// recall finds what the user said before to the same client, and how the tools
// behind it have changed since.
func (s *Server) recall(ctx context.Context, a *asking) error {
	var err error
	a.before, a.again, err = s.Grants.Remembered(ctx, a.user.Subject, s.issuer(), a.client.ID, clients.RedirectHost(a.req.RedirectURI))
	if err != nil {
		return broken("the consent look-up", err)
	}
	a.changes, a.changed, err = s.changes(ctx, a.catalogue, a.before)
	return err
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
	tick := c.QueryParam("tick")
	if yes, ok := s.unasked(a); ok && tick == "" {
		return s.approve(c, a, yes)
	}
	if asks(a.req, "none") {
		code := "login_required"
		if a.user != nil {
			code = "consent_required"
		}
		s.Browser.drop(c.Response(), a.req.ID)
		return s.turnAway(a.client, a.req, code, "prompt is none, but somebody must be asked")
	}
	if tick == "" {
		s.Audit.Record(c.Request().Context(), audit.ConsentAsked, s.about(a)...)
		s.note(c, Step{Name: StepConsent, What: "the consent page was shown"})
	}
	return s.page(c, http.StatusOK, s.consentPage(a, tick, web.Message{}))
}

// unasked returns what is granted without a page, and whether that is so.
//
// Tools are pinned only where a person was shown them: the operator who leaves
// the page out vouches for the server.
func (s *Server) unasked(a *asking) (agreed, bool) {
	if asks(a.req, "consent") {
		return agreed{}, false
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
		return agreed{scopes: wants}, signedIn
	}
	if len(a.catalogue.Names()) > 0 && len(asked) == 0 {
		wants = a.before.Scopes
	}
	// Loopback and private-scheme clients cannot prove who they are.
	provable := strings.HasPrefix(a.req.RedirectURI, "https://") && !clients.LoopbackOnly([]string{a.req.RedirectURI})
	left := a.before.Left(s.Now())
	yes := agreed{scopes: wants, lasts: left, pin: s.pin(a.catalogue, wants), limits: a.before.Limits}
	return yes, a.user != nil && a.again && left >= 0 && !a.changed && provable && subset(wants, a.before.Scopes) &&
		!asks(a.req, "login") && !asks(a.req, "select_account")
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
	form, err := strictForm(c.Request(), "scope")
	if err != nil {
		return err
	}
	a, err := s.pending(c, form.Get("r"))
	if err != nil {
		return err
	}
	switch form.Get("decision") {
	case "deny":
		return s.deny(c, a)
	case "allow":
		return s.allow(c, a, form)
	}
	return refusal("invalid_request", "decision must be allow or deny")
}

// allow takes a yes, if it is one to what is there.
func (s *Server) allow(c echo.Context, a *asking, form url.Values) error {
	names := a.catalogue.Names()
	ticked := form["scope"]
	lasts, ok := duration(form.Get("duration"))
	limits, problem := s.limits(a.catalogue, ticked, form)
	switch {
	case !ok:
		return refusal("invalid_request", "duration must be 1h, 1d, 30d or max")
	case !subset(ticked, names), s.Route.Pinned && form.Has("seen") && form.Get("seen") != a.catalogue.Version():
		problem = web.Say(web.OfferChanged)
	case len(names) > 0 && len(ticked) == 0:
		problem = web.Say(web.NothingTicked)
	case len(names) == 0:
		ticked = []string{DefaultScope}
	}
	if problem.Key != "" {
		return s.page(c, http.StatusOK, s.consentPage(a, "", problem))
	}
	slices.Sort(ticked)
	ticked = slices.Compact(ticked)
	return s.approve(c, a, agreed{scopes: ticked, shown: true, lasts: lasts, pin: s.pin(a.catalogue, ticked), limits: limits})
}

// deny sends the client away; a person has read where that is.
func (s *Server) deny(c echo.Context, a *asking) error {
	s.Meter.Consent(ConsentDenied)
	s.Audit.Record(c.Request().Context(), audit.ConsentDenied, s.about(a)...)
	s.note(c, Step{Name: StepConsent, What: "the person said no", Error: refusal("access_denied", "the user said no")})
	s.Browser.drop(c.Response(), a.req.ID)
	to, err := s.answer(a.req.RedirectURI, a.req.State, url.Values{"error": {"access_denied"}, "error_description": {"the user said no"}})
	if err != nil {
		return err
	}
	return see(c, to)
}

// approve stores the request, now that somebody said yes, and goes on to the
// sign-in. The cookie that leads there is set no sooner.
func (s *Server) approve(c echo.Context, a *asking, yes agreed) error {
	if err := s.limit(c, Approvals); err != nil {
		return err
	}
	ctx := c.Request().Context()
	secret := grants.NewSecret()
	approved := grants.Approved{
		Request: a.req, Scopes: yes.scopes, Shown: yes.shown, Lasts: yes.lasts, Pin: yes.pin, Limits: yes.limits,
		Offline: a.client.May("refresh_token") || mayAskOffline(a.client) && slices.Contains(a.req.Scopes, offlineAccess),
	}
	if a.user != nil {
		approved.ShownTo = a.user.Subject
	}
	if err := s.Grants.Approve(ctx, secret, approved); err != nil {
		return broken("the approval", err)
	}
	if err := s.Browser.carry(c.Response(), c.Request(), a.req.ID, carried{Secret: secret}); err != nil {
		return err
	}
	s.note(c, Step{Name: StepConsent, What: said(yes), Approved: true})
	if yes.shown {
		s.Meter.Consent(ConsentGiven)
		s.Audit.Record(ctx, audit.ConsentGiven, append(s.about(a), audit.Scope(yes.scopes))...)
	} else {
		s.Meter.Consent(ConsentUnasked)
	}
	if a.user != nil && !asks(a.req, "login") && !asks(a.req, "select_account") {
		return s.finish(c, a.req.ID, secret, *a.user)
	}
	return s.beginSignin(c, a.req.ID, secret, approved)
}

// said is a yes in words.
func said(yes agreed) string {
	if yes.shown {
		return "the person allowed " + orNothing(yes.scopes)
	}
	return "nobody had to be asked; granted was " + orNothing(yes.scopes)
}

// about are the attributes of an event on a consent page.
func (s *Server) about(a *asking) []slog.Attr {
	attrs := []slog.Attr{audit.Host(s.Route.Host), audit.Client(a.client.ID), audit.Text("redirect_host", clients.RedirectHost(a.req.RedirectURI)), audit.Text("asked", strings.Join(a.req.Scopes, " "))}
	if a.user != nil {
		attrs = append(attrs, audit.Subject(a.user.Subject))
	}
	return attrs
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
		Ref: Reference(a.Request.ID), User: u, Audience: audience, Scopes: a.Scopes, Pin: a.Pin, Limits: a.Limits, Offline: a.Offline,
		Given: now.Truncate(time.Second), Ends: now.Add(lasts).Truncate(time.Second),
	}, nil
}
