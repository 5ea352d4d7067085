//go:build e2e

package attack

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/oauth2"
)

// What the world remembers of what was asked, sent and granted, to tell what
// should be possible from what is.

// A request is an authorization request that the gateway took.
type request struct {
	id, clientID, redirect, challenge string
	client                            *client // nil: somebody's who is not here
	site                              *site
	browser                           *browser
	asked                             []string
	prompt                            string
	shown                             bool // its person pressed Allow on a page
	ticked                            []string
	edition                           int  // of the tools on the page
	limited                           bool // its person held a tool to an argument
}

// An attempt is a sign-in under way at a provider.
type attempt struct {
	request          string
	browser          *browser
	site             *site
	provider         *provider
	nonce, challenge string
	over             bool // spent, or replaced by another
}

type codeState struct {
	request *request
	browser *browser
	verify  string   // the challenge
	may     []string // the scopes that its person has allowed so far
	edition int      // of the tools that it is for; -1: whatever they are
	limited bool
	spent   bool
	family  *family
}

type tokenState struct {
	site   *site
	family *family
	dead   atomic.Bool
}

// A family is a grant with its tokens.
type family struct {
	site              *site
	clientID          string
	browser           *browser // of the session that got it
	holder            *client
	request           *request
	may               []string // of the code
	edition           int      // of the code
	limited           bool
	current, previous string
	older             []string
	ended             bool
	access            []*tokenState
}

// end notes that nothing of a family may work anymore.
func (f *family) end() {
	f.ended = true
	for _, t := range f.access {
		t.dead.Store(true)
	}
}

// A prospect is what a request of a browser may lead to, said before it is sent.
type prospect struct {
	r       *http.Request
	b       *browser
	site    *site
	form    url.Values // query or body
	request *request
	carried bool     // the browser was given the request
	attempt *attempt // for which an answer of a provider would be good
	hits    int      // at the providers' token endpoints so far
}

func (w *world) outcome(r *http.Request, b *browser) *prospect {
	p := &prospect{r: r, b: b, site: w.site(r.URL.Host), form: r.URL.Query(), hits: len(w.honest.redeemed()) + len(w.rogue.redeemed())}
	if r.GetBody != nil {
		if body, err := r.GetBody(); err == nil {
			var text strings.Builder
			buf := make([]byte, 8<<10)
			n, _ := body.Read(buf)
			text.Write(buf[:n])
			if form, err := url.ParseQuery(text.String()); err == nil && n > 0 {
				p.form = form
			}
		}
	}
	id := p.form.Get("r")
	if r.URL.Path == "/callback" {
		if answer := w.handed[p.form.Get("handoff")]; answer != nil {
			p.form = answer
		}
		state := p.form.Get("state")
		id, _, _ = strings.Cut(state, ".")
		if a := w.states.of[state]; a != nil && !a.over && a.browser == b && a.site == p.site {
			p.attempt = a
		}
	}
	p.request, p.carried = w.requests.of[id], b.carries(r.URL.Host, id)
	return p
}

// judge compares an answer with what the request could lead to.
func (w *world) judge(p *prospect, a *answer) {
	if p.site == nil {
		w.judgeHandoff(p, a)
		return
	}
	w.judgeOrigin(p, a)
	switch p.r.URL.Path {
	case "/authorize":
		w.judgeAuthorize(p, a)
	case "/consent":
		w.judgeConsent(p, a)
	case "/callback":
		w.judgeCallback(p, a)
	}
	w.judgeSession(p, a)
	if a.to == nil {
		return
	}
	if code := a.to.Query().Get("code"); code != "" && a.to.Host != p.site.host {
		w.judgeCode(p, code)
	}
	if a.to.Path == "/consent" && p.request != nil { // its person is asked again
		p.request.shown, p.request.ticked = false, nil
	}
	for _, provider := range []*provider{w.honest, w.rogue} {
		if strings.HasPrefix(a.to.String(), provider.Issuer) {
			w.judgeAttempt(p, provider, a.to.Query())
		}
	}
}

// judgeOrigin: a form counts only where our own page sent it.
func (w *world) judgeOrigin(p *prospect, a *answer) {
	origin := p.r.Header.Get("Origin")
	if p.r.Method == http.MethodPost && origin != p.site.origin && a.status != http.StatusForbidden && a.status != 0 {
		w.breaks("no form of another page", "%s takes a form of %s: %d", p.r.URL.Path, origin, a.status)
	}
}

// judgeAuthorize: what is taken is whole.
func (w *world) judgeAuthorize(p *prospect, a *answer) {
	if a.to == nil || a.to.Path != "/consent" || a.to.Host != p.site.host {
		return
	}
	q := p.form
	req := &request{
		id: a.to.Query().Get("r"), clientID: q.Get("client_id"), redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"),
		site: p.site, browser: p.b, asked: strings.Fields(q.Get("scope")), prompt: q.Get("prompt"),
	}
	for _, c := range w.clients {
		if c.ids[p.site.origin] == req.clientID {
			req.client = c
		}
	}
	if w.requests.of[req.id] != nil {
		w.breaks("every request has its own name", "%s is given twice", req.id)
	}
	w.requests.put(req.id, req)
	for name, values := range q {
		if len(values) > 1 && name != "resource" {
			w.breaks("no request that is not whole", "%s is there twice", name)
		}
	}
	resource := q.Get("resource")
	switch {
	case len(req.challenge) != 43 || q.Get("code_challenge_method") != "S256":
		w.breaks("no request without PKCE", "challenge %q, method %q", req.challenge, q.Get("code_challenge_method"))
	case resource != "" && resource != p.site.origin && !strings.HasPrefix(resource, p.site.origin+"/"):
		w.breaks("no request for another host", "%s takes a request for %s", p.site.name, resource)
	case q.Get("response_type") != "code":
		w.breaks("no request that is not whole", "response_type is %q", q.Get("response_type"))
	case w.registered(req.clientID, p.site) == nil:
		w.breaks("no client of another host", "%s takes %s, which is not known there", p.site.name, req.clientID)
	case req.redirect != "" && !w.mayReturn(req.clientID, p.site, req.redirect):
		w.breaks("no redirect that was not registered", "%s is taken for %s", req.redirect, req.clientID)
	}
}

// judgeConsent: a page is there for the browser that began, at its host, and a
// yes is its person's.
func (w *world) judgeConsent(p *prospect, a *answer) {
	taken := a.status == http.StatusOK || a.to != nil
	if !taken || a.status == http.StatusForbidden {
		return
	}
	switch {
	case p.request == nil:
		w.breaks("no consent of another browser", "a request that was never made is on the page")
	case p.request.browser != p.b:
		w.breaks("no consent of another browser", "%s answers for the request of %s", p.b, p.request.browser)
	case p.request.site != p.site:
		w.breaks("no consent of another host", "%s shows the request of %s", p.site.name, p.request.site.name)
	case !w.mayReturn(p.request.clientID, p.site, p.request.redirect):
		w.breaks("no redirect that was not registered", "%s is on the page, and its client does not name it anymore", p.request.redirect)
	case p.r.Method == http.MethodPost && p.form.Get("decision") == "allow" && a.to != nil:
		p.request.shown = true
		scopes := p.form["scope"]
		for _, s := range scopes {
			if p.site.scopes[s] == nil {
				w.breaks("no scope that is not offered", "%q is ticked and taken", s)
			}
		}
		p.request.ticked = scopes
	}
}

func (w *world) tickKey(subject, clientID string, s *site) string {
	return subject + " " + clientID + " " + s.name
}

// judgeCallback: an answer of a provider counts once, in the browser that was
// sent there.
func (w *world) judgeCallback(p *prospect, a *answer) {
	hit := len(w.honest.redeemed())+len(w.rogue.redeemed()) > p.hits
	if p.attempt == nil && hit {
		w.breaks("no state twice or in another browser", "%s brings a state that is spent or not its own, and the code is redeemed", p.b)
	}
	if p.attempt != nil && a.status != 0 {
		p.attempt.over = true
	}
}

// judgeSession: somebody is signed in only by an answer of a provider that is
// whole.
func (w *world) judgeSession(p *prospect, a *answer) {
	spoiled := w.rogue.spoiled()
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if !strings.Contains(c.Name, "mcp-oauth2-proxy-s-") || c.Value == "" {
			continue
		}
		w.judgeFresh(p, c)
		if p.r.URL.Path == "/signin" && p.carried && p.form.Has("username") {
			w.judgePassword(p)
			continue
		}
		if p.r.URL.Path != "/callback" || p.attempt == nil {
			w.breaks("no session without a sign-in", "%s begins one for %s", p.r.URL.Path, p.b)
			continue
		}
		if p.form.Get("iss") == "" {
			w.breaks("no sign-in by an answer that names nobody", "%s is signed in", p.b)
		}
		who := p.attempt.provider.whose(p.form.Get("code"))
		p.b.signedIn[p.site] = p.attempt.provider.name + ":" + who
		switch {
		case spoiled != "":
			w.breaks("no sign-in by a bad answer: "+spoiled, "%s is signed in", p.b)
		case p.attempt.provider == w.honest && (who == "stranger" || who == "colleague" && p.site.strict):
			w.breaks("nobody enters who may not", "the %s is signed in at %s", who, p.site.name)
		}
	}
}

// judgeCode: a code is issued where its request began, after the page if there
// had to be one.
func (w *world) judgeCode(p *prospect, code string) {
	w.secrets = append(w.secrets, code)
	req := p.request
	if req == nil {
		w.breaks("no code without a request", "%s is sent one", p.b)
		return
	}
	if req.browser != p.b {
		w.breaks("no request in another browser", "what %s began ends in %s", req.browser, p.b)
	}
	if req.client == nil { // the guest: nobody is there to redeem it
		return
	}
	key := w.tickKey(p.b.signedIn[p.site], req.clientID, req.site)
	if req.shown { // from now on it is remembered
		w.ticked[key] = append(w.ticked[key], req.ticked...)
		w.editions[key], w.limits[key] = req.edition, req.limited
	}
	edition, limited := w.editions[key], w.limits[key]
	if req.client == w.portal && !req.shown {
		edition, limited = -1, false
	}
	asksAgain := slices.Contains(strings.Fields(req.prompt), "consent")
	switch {
	case req.shown:
	case asksAgain:
		w.breaks("no grant without the page", "prompt=consent, and nobody was asked")
	case req.client == w.desk:
		w.breaks("no grant without the page", "a client on the computer is believed to be who it says")
	case req.client == w.portal:
	case len(w.ticked[key]) == 0:
		w.breaks("no grant without the page", "%s of %s was never allowed", req.client.name, p.b)
	}
	if w.codes.of[code] != nil {
		w.breaks("every code is new", "a code is issued twice")
	}
	w.codes.put(code, &codeState{request: req, browser: p.b, verify: req.challenge, may: w.allowed(p.b.signedIn[p.site], req), edition: edition, limited: limited})
	w.said["a code is issued"]++
}

// judgeAttempt: whoever is sent to a provider takes fresh secrets along.
func (w *world) judgeAttempt(p *prospect, at *provider, q url.Values) {
	id, _, _ := strings.Cut(q.Get("state"), ".")
	n := &attempt{request: id, browser: p.b, site: p.site, provider: at, nonce: q.Get("nonce"), challenge: q.Get("code_challenge")}
	if n.nonce == "" || n.challenge == "" || q.Get("code_challenge_method") != "S256" {
		w.breaks("every sign-in has fresh secrets", "nonce %q, challenge %q", n.nonce, n.challenge)
	}
	for state, old := range w.states.of {
		if old.nonce == n.nonce || old.challenge == n.challenge || state == q.Get("state") {
			w.breaks("every sign-in has fresh secrets", "state, nonce or challenge of %s come again", state)
		}
		if old.request == id {
			old.over = true
		}
	}
	w.states.put(q.Get("state"), n)
}

// exchange sends a form to the token endpoint and judges what comes of it. The
// holder is who gets the tokens: a client, in the session of a browser.
func (w *world) exchange(s *site, form url.Values, holder *client, b *browser, shown string) (*holding, *answer) {
	proven := w.proven(s, form)
	a := w.post(s.origin+"/token", form)
	w.secrets = append(w.secrets, shown, form.Get("client_assertion"))
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Scope   string `json:"scope"`
	}
	if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &got) != nil || got.Access == "" {
		// Where a document could not be fetched, nobody was refused.
		if proven && ownResource(s, form) && a.status == http.StatusBadRequest {
			w.refused(s, form)
		}
		return nil, a
	}
	if !proven {
		w.breaks("no client without its secret", "%s: %q %q", form.Get("client_id"), form.Get("client_secret"), form.Get("client_assertion"))
	}
	if !ownResource(s, form) {
		w.breaks("no token for another host", "%s gives one for %s", s.name, form.Get("resource"))
	}
	var f *family
	switch form.Get("grant_type") {
	case "authorization_code":
		f = w.judgeRedemption(s, form, holder, b)
	case "refresh_token":
		f = w.judgeRefresh(s, form, got.Refresh)
	case jwtBearer:
		f = w.judgeAssertion(s, form)
	}
	if f == nil {
		w.breaks("no token for nothing", "%s gives tokens for %v", s.name, form.Get("grant_type"))
		return nil, a
	}
	w.secrets = append(w.secrets, got.Access, got.Refresh)
	if got.Refresh != f.current && got.Refresh != "" {
		if f.previous != "" {
			f.older = append(f.older, f.previous)
		}
		f.previous, f.current = f.current, got.Refresh
	}
	t := &tokenState{site: s, family: f}
	f.access = append(f.access, t)
	w.mu.Lock()
	w.tokens[got.Access] = t
	w.mu.Unlock()
	w.judgeToken(s, form, holder, b, got.Access, got.Scope, f)
	w.said["tokens are issued"]++
	return &holding{client: holder, site: s, browser: b, access: got.Access, refresh: got.Refresh}, a
}

// ownResource says whether a form asks for nothing that is elsewhere.
func ownResource(s *site, form url.Values) bool {
	resource := form.Get("resource")
	return resource == "" || strings.HasPrefix(resource, s.origin+"/")
}

// fits says whether a redemption is the one that a code was issued for.
func (c *codeState) fits(s *site, form url.Values) string {
	redirect := form.Get("redirect_uri")
	switch {
	case c.request.clientID != form.Get("client_id"):
		return "another client"
	case c.request.site != s:
		return "another host"
	case oauth2.S256ChallengeFromVerifier(form.Get("code_verifier")) != c.verify:
		return "another verifier"
	case redirect != "" && redirect != c.request.redirect:
		return "another redirect URI"
	}
	return ""
}

func (w *world) judgeRedemption(s *site, form url.Values, holder *client, b *browser) *family {
	c := w.codes.of[form.Get("code")]
	if c == nil {
		w.breaks("no token for nothing", "a code that was never issued is redeemed")
		return nil
	}
	if why := c.fits(s, form); why != "" {
		w.breaks("no code in other hands", "a code is redeemed with %s", why)
	}
	if c.spent {
		w.breaks("no code twice", "a code is redeemed again")
	}
	c.spent = true
	c.family = &family{site: s, clientID: form.Get("client_id"), browser: b, holder: holder, request: c.request, may: c.may, edition: c.edition, limited: c.limited}
	w.families = append(w.families, c.family)
	return c.family
}

func (w *world) judgeRefresh(s *site, form url.Values, next string) *family {
	shown := form.Get("refresh_token")
	f := w.familyOf(shown)
	switch {
	case f == nil:
		return nil
	case f.site != s || f.clientID != form.Get("client_id"):
		w.breaks("no refresh token in other hands", "one of %s at %s refreshes at %s for another", f.clientID, f.site.name, s.name)
	case f.ended:
		w.breaks("no token after its end", "a refresh token works after its grant has ended")
	case shown == f.previous && next != f.current:
		w.breaks("no refresh token twice", "it has two successors")
	case slices.Contains(f.older, shown):
		w.breaks("no refresh token twice", "an old one works")
	}
	return f
}

func (w *world) familyOf(refresh string) *family {
	for _, f := range w.families {
		if refresh != "" && (f.current == refresh || f.previous == refresh || slices.Contains(f.older, refresh)) {
			return f
		}
	}
	return nil
}

// refused draws the consequences of a refusal: whoever shows a spent code or
// an old refresh token as its client would ends what came of it.
func (w *world) refused(s *site, form url.Values) {
	switch form.Get("grant_type") {
	case "authorization_code":
		if c := w.codes.of[form.Get("code")]; c != nil && c.spent && c.fits(s, form) == "" {
			c.family.end()
			w.said["a replay ends a grant"]++
		}
	case "refresh_token":
		f := w.familyOf(form.Get("refresh_token"))
		if f != nil && f.site == s && f.clientID == form.Get("client_id") && slices.Contains(f.older, form.Get("refresh_token")) && form.Get("scope") == "" {
			f.end()
			w.said["a replay ends a grant"]++
		}
	}
}

// judgeToken: who may hold it, for whom, for what.
func (w *world) judgeToken(s *site, form url.Values, holder *client, b *browser, access, scope string, f *family) {
	c := read(access)
	person, known := w.personOf(c.Subject)
	switch {
	case !known:
		w.breaks("nobody enters who may not", "a token for %q", c.Subject)
	case person == "victim" && (holder == nil || !holder.honest || b != w.victim):
		w.breaks("no token of the victim in other hands", "%s holds one of %q in %s", holder.name, c.Subject, b)
	case person == "attacker" && b == w.victim:
		w.breaks("nobody works in an account that is not theirs", "the victim's session holds a token of %q", c.Subject)
	case c.Issuer != s.origin || c.ClientID != form.Get("client_id") || c.Scope != scope || !slices.Equal(strings.Fields(scope), c.Scopes):
		w.breaks("a token says what was granted", "%+v, %q", c, scope)
	}
	for _, aud := range c.Audience {
		if aud != s.origin && !strings.HasPrefix(aud, s.origin+"/") {
			w.breaks("no token for another host", "%s issues one for %s", s.name, aud)
		}
	}
	for _, granted := range c.Scopes {
		if !slices.Contains(f.may, granted) {
			w.breaks("no scope that was not ticked", "%s is granted %s, and ticked were %v", f.request.client.name, granted, f.may)
		}
	}
}

// allowed are the scopes that a request of an account may be granted.
func (w *world) allowed(subject string, req *request) []string {
	if req.client != w.portal || req.shown {
		return slices.Clone(w.ticked[w.tickKey(subject, req.clientID, req.site)])
	}
	asked := slices.DeleteFunc(slices.Clone(req.asked), func(s string) bool { return req.site.scopes[s] == nil })
	if len(asked) == 0 {
		return req.site.scopeNames()
	}
	return asked
}

// personOf tells whose an account is. In the rogue provider's anybody may be
// anybody.
func (w *world) personOf(subject string) (person string, known bool) {
	switch {
	case subject == "honest:victim", subject == "house:victim":
		return "victim", true
	case subject == "honest:attacker", subject == "house:attacker", subject == "honest:colleague":
		return "attacker", true
	case strings.HasPrefix(subject, "rogue:"):
		return "", true
	}
	return "", false
}
