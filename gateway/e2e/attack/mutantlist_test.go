//go:build e2e

package attack

// An edit replaces a text that is in a file exactly once.
type edit struct{ file, before, after string }

// A mutant is the program without one of its checks. Where two checks guard the
// same thing, and each would do alone, both go at once: to remove one of them
// changes nothing that anybody could see.
type mutant struct {
	name  string
	edits []edit
}

func one(name, file, before, after string) mutant { return mutant{name, []edit{{file, before, after}}} }

// mutants are the checks that guard the invariants, by where they are.
var mutants = []mutant{
	// Cookies and browsers.
	one("cookie: prefix and Secure", "auth/browser.go", `c.Name, c.Secure = "__Host-"+c.Name, true`, ``),
	one("cookie: HttpOnly", "auth/browser.go", `HttpOnly: true, SameSite`, `SameSite`),
	one("cookie: SameSite", "auth/browser.go", `SameSite: http.SameSiteLaxMode`, `SameSite: http.SameSiteNoneMode`),
	{"cookie: its own name and host", []edit{
		{"auth/browser.go", `return []byte(strconv.Itoa(len(b.origin)) + b.origin + name)`, `return []byte(strconv.Itoa(len(name[:0])))`},
		{"auth/consent.go", `what.Request.Issuer != s.issuer() || `, ``},
	}},
	one("form: origin of a consent", "auth/server.go", `r.POST("/consent", s.decide, s.sameOrigin)`, `r.POST("/consent", s.decide)`),
	one("form: origin of a sign-in", "auth/server.go", `r.POST("/signin", s.signin, s.sameOrigin)`, `r.POST("/signin", s.signin)`),
	one("form: origin of an account's", "auth/server.go", `r.POST("/account", s.account, s.sameOrigin)`, `r.POST("/account", s.account)`),

	// The authorization request.
	one("authorize: PKCE", "auth/authorize.go", "case req.CodeChallenge == \"\":\n", "case false:\n").also("auth/authorize.go", `case q.Get("code_challenge_method") != "S256":`, `case req.CodeChallenge != "" && q.Get("code_challenge_method") != "S256":`).also("auth/authorize.go", `case !s256(req.CodeChallenge):`, `case req.CodeChallenge != "" && !s256(req.CodeChallenge):`),
	one("authorize: S256", "auth/authorize.go", `case q.Get("code_challenge_method") != "S256":`, `case false:`),
	one("authorize: a parameter twice", "auth/authorize.go", `case len(values) > 1 && !slices.Contains(repeatable, name):`, `case false:`),
	one("authorize: the resource is here", "auth/authorize.go", "if _, ok := s.Route.Audience(r); !ok {\n\t\t\treturn \"\", \"invalid_target\"", "if _, ok := s.Route.Audience(r); !ok {\n\t\t\treturn \"\", \"\""),
	one("authorize: the redirect URI is registered", "auth/clients/client.go", "\treturn \"\", &Error{Code: InvalidRedirectURI, Description: \"redirect_uri is not one that this client registered\"}", "\treturn uri, nil"),
	one("authorize: no redirect before consent", "auth/authorize.go", `if client.Kind == clients.KindConfigured || !strings.HasPrefix(req.RedirectURI, "https://") {`, `if client != nil {`),
	one("authorize: the client is this host's", "auth/clients/registered.go", "mac.Write([]byte(issuer)) // a URL, so the NUL ends it without doubt\n", "_ = issuer\n"),
	one("authorize: the answer names its issuer", "auth/errors.go", `params.Set("iss", s.issuer())`, ``),

	// Consent.
	one("consent: only what is offered", "auth/consent.go", `case !subset(ticked, names), s.Route.Pinned`, `case s.Route.Pinned`),
	one("consent: not more than before", "auth/consent.go", `provable && subset(wants, a.before.Scopes) &&`, `provable &&`),
	one("consent: a client on the computer proves nothing", "auth/consent.go", `!a.changed && provable &&`, `!a.changed && (provable || true) &&`),
	one("consent: prompt=consent", "auth/consent.go", `if asks(a.req, "consent") {`, `if false {`),
	one("consent: somebody said yes before", "auth/consent.go", `a.user != nil && a.again && left >= 0`, `a.user != nil && left >= 0`).also("auth/consent.go", `provable && subset(wants, a.before.Scopes) &&`, `provable &&`),

	one("consent: changes of tools are shown", "auth/consent.go", `!a.changed && provable`, `provable`),
	one("consent: what was on the page", "auth/consent.go", `s.Route.Pinned && form.Has("seen") && form.Get("seen") != a.catalogue.Version():`, `s.Route.Pinned && form.Get("seen") == "never":`),

	// Clients that are known by a document, or by a key. That it is at an https
	// address is said three times, and to take out all three makes no client.
	one("document: it names itself", "auth/clients/document.go", `if r.text("client_id") != id {`, `if false {`),
	one("document: no name twice", "auth/clients/json.go", `if err != nil || seen[name] {`, `if err != nil {`),
	one("document: its size", "auth/clients/fetch.go", `if int64(len(body)) > limit {`, `if false {`).also("auth/clients/fetch.go", `io.ReadAll(io.LimitReader(res.Body, limit+1))`, `io.ReadAll(res.Body)`),
	one("document: no redirect is followed", "auth/clients/fetch.go", `own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }`, ``),
	one("document: it is there", "auth/clients/fetch.go", `if res.StatusCode != http.StatusOK {`, `if res.StatusCode >= 500 {`),
	one("document: it is JSON", "auth/clients/fetch.go", `if !isJSON(res.Header.Get("Content-Type")) {`, `if false {`),
	one("document: no secret is in it", "auth/clients/document.go", `if _, ok := m[name]; ok {`, `if _, ok := m[name]; ok && false {`),
	one("document: what it says now", "auth/consent.go", `if _, err := a.client.Redirect(a.req.RedirectURI); err != nil {`, `if _, err := a.client.Redirect(a.req.RedirectURI); err != nil && false {`),
	one("document: nobody before its host", "auth/clients/document.go", `if u.User != nil {`, `if false {`),
	one("document: no dots in its path", "auth/clients/document.go", `if segment == "." || segment == ".." {`, `if segment == "never" {`),
	one("document: one spelling of a port", "auth/clients/authority.go", `u.Port() != "" && !isPort(u.Port())`, `u.Port() != "" && u.Port() == "never"`),
	one("client assertion: there is one", "auth/clients/authenticate.go", `err = errors.New("the client has a key and presents no assertion")`, `err = nil`),
	one("client assertion: signature", "auth/clients/assertion.go", `return nil, errors.New("assertion: no key of the client's verifies it")`, `return message.Payload(), nil`),
	one("client assertion: by and about one", "auth/clients/assertion.go", `if cl.iss != c.ID || cl.sub != c.ID {`, `if false {`),
	one("client assertion: for this server", "auth/clients/assertion.go", `if !slices.Contains(ours, aud) {`, `if !slices.Contains(ours, aud) && false {`),
	one("client assertion: once", "auth/clients/assertion.go", `return errors.New("assertion: it was presented before")`, `return nil`),
	one("client assertion: expiry", "auth/clients/assertion.go", `case !now.Before(cl.exp.Add(leeway)):`, `case false:`),

	// The sign-in.
	one("callback: the state is the one that was sent", "auth/grants/request.go", `same := state != "" && a.Attempt.State != "" && subtle.ConstantTimeCompare([]byte(state), []byte(a.Attempt.State)) == 1`, `same := state != "" || subtle.ConstantTimeCompare(nil, nil) == 0`),
	one("callback: a state is spent", "auth/grants/request.go", "\t\ta.Attempt = Attempt{}\n\t\treturn same", "\t\treturn same"),
	one("callback: the answer's issuer", "auth/idp/callback.go", `if issuer != "" && iss != issuer &&`, `if false && iss != issuer &&`),
	one("callback: fresh secrets", "auth/grants/request.go", `return Attempt{provider, prefix + random(), random(), random()}`, `return Attempt{provider, prefix + random(), "nonce-that-is-always-the-same", random()}`),
	one("ID token: nonce", "auth/idp/idtoken.go", `case nonce == "" || token.Nonce == "":`, `case nonce == "never":`).also("auth/idp/idtoken.go", `case subtle.ConstantTimeCompare([]byte(nonce), []byte(token.Nonce)) != 1:`, `case subtle.ConstantTimeCompare(nil, nil) != 1:`),
	one("ID token: audience", "auth/idp/idtoken.go", `&oidc.Config{ClientID: clientID,`, `&oidc.Config{SkipClientIDCheck: true,`),
	one("ID token: issuer", "auth/idp/idtoken.go", `&oidc.Config{ClientID: clientID,`, `&oidc.Config{SkipIssuerCheck: true, ClientID: clientID,`),
	one("ID token: signature", "auth/idp/idtoken.go", `&oidc.Config{ClientID: clientID,`, `&oidc.Config{InsecureSkipSignatureCheck: true, ClientID: clientID,`),
	one("ID token: expiry", "auth/idp/idtoken.go", `&oidc.Config{ClientID: clientID,`, `&oidc.Config{SkipExpiryCheck: true, ClientID: clientID,`),
	one("ID token: authorized party", "auth/idp/idtoken.go", `case azp != "" && azp != clientID:`, `case false:`),
	// Which algorithms may sign one is not to be seen: a provider's keys verify no
	// other than theirs.
	one("ID token: several audiences", "auth/idp/idtoken.go", `case len(token.Audience) > 1 && azp == "":`, `case false:`),
	one("ID token: a subject", "auth/idp/idtoken.go", `case cleanText(c.text("sub")) == "":`, `case false:`),
	one("callback: the answer names somebody", "auth/idp/callback.go", `mustSay := sendsIss && query.Has("code")`, `mustSay := sendsIss && query.Has("never")`),
	one("sign-in: PKCE at the provider", "auth/idp/callback.go", `options := append([]oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.Verifier)}, extra...)`, `options := append([]oauth2.AuthCodeOption{}, extra...)`),
	one("userinfo: the same subject", "auth/idp/oidc.go", `if sub := info.text("sub"); sub == "" || sub != c.text("sub") {`, `if sub := info.text("sub"); sub == "" {`),
	one("identity: the address is verified", "auth/idp/claims.go", `if !c.yes("email_verified") {`, `if false {`),
	one("identity: who may enter", "auth/welcome.go", "	if err := p.Allow(who); err != nil {\n\t\treturn err\n\t}\n", "	_ = p.Allow(who)\n"),
	one("identity: who may enter a host", "auth/welcome.go", "		return err\n\t}\n\treturn s.admit(who)\n", "		return err\n\t}\n\treturn nil\n"),
	one("identity: the whole domain", "auth/idp/policy.go", "return regexp.Compile(`\\A(?i:` + pattern + `)\\z`)", "return regexp.Compile(`(?i:` + pattern + `)`)"),
	one("identity: a name is no address", "auth/idp/claims.go", `if strings.Contains(name, "@") && !sameEmail(name, email) {`, `if strings.Contains(name, "never") {`),
	one("identity: a provider's names are its own", "auth/idp/naming.go", `id.Subject = n.provider + ":" + id.ID`, `id.Subject = id.ID`),
	one("password: it is checked", "auth/idp/local.go", `if !matches || !known {`, `if !matches && !known {`),
	one("password: somebody's", "auth/idp/local.go", `if !matches || !known {`, `if !matches {`),
	one("session: a new one for each sign-in", "auth/welcome.go", "	session, err := s.Grants.SignIn(ctx, s.issuer(), u)\n", "	session, err := s.Browser.session(c.Request()), error(nil)\n\tif session == \"\" {\n\t\tsession, err = s.Grants.SignIn(ctx, s.issuer(), u)\n\t}\n").also("auth/welcome.go", `old != "" {`, `old != "" && old != session {`),
	one("session: the one before ends", "auth/welcome.go", `if err := s.Grants.SignOut(ctx, old); err != nil {`, `if err := error(nil); err != nil {`),
	// That an answer is taken over once, and at one host, changes nothing to see: its
	// state is good once, in one browser, at one host.
	one("handoff: for who began", "auth/handoff.go", "	if _, _, err := s.approved(c, id); err != nil {\n\t\treturn nil, err // before anything is spent\n\t}\n", ""),
	one("session: one host's", "auth/grants/session.go", `if s.Issuer != issuer {`, `if false {`),
	one("session: it ends", "auth/grants/session.go", "	if err := g.sessions.Delete(ctx, secret); err != nil {", "	if err := error(nil); secret == \"\" {"),

	// Codes and refresh tokens.
	one("code: one client's", "auth/grants/code.go", `case c.Grant.ClientID != r.ClientID || c.Grant.Issuer != r.Issuer:`, `case c.Grant.Issuer != r.Issuer:`),
	one("code: one host's", "auth/grants/code.go", `case c.Grant.ClientID != r.ClientID || c.Grant.Issuer != r.Issuer:`, `case c.Grant.ClientID != r.ClientID:`),
	one("code: its redirect URI", "auth/grants/code.go", `case r.RedirectURI != "" && r.RedirectURI != c.Grant.RedirectURI:`, `case false:`),
	one("code: its verifier", "auth/grants/code.go", `case !verifies(c.Challenge, r.Verifier):`, `case false && !verifies(c.Challenge, r.Verifier):`),
	one("code: once", "auth/grants/code.go", "f, token, err = g.refound(ctx, c)", "err = nil"),
	one("code: a replay ends its grant", "auth/grants/code.go", "	if err := g.End(ctx, f.Grant.ID); err != nil {\n\t\treturn err\n\t}\n\treturn &Replay{", "	return &Replay{"),
	one("refresh token: one client's", "auth/grants/family.go", `case f.Grant.ClientID != u.ClientID || f.Grant.Issuer != u.Issuer:`, `case f.Grant.Issuer != u.Issuer:`),
	one("refresh token: one host's", "auth/grants/family.go", `case f.Grant.ClientID != u.ClientID || f.Grant.Issuer != u.Issuer:`, `case f.Grant.ClientID != u.ClientID:`),
	one("refresh token: an old one is refused", "auth/grants/family.go", "			return nil, 0, ErrReplayed\n", "			successor = f.successor(t)\n"),
	one("refresh token: an old one ends the grant", "auth/grants/family.go", "		if err := g.End(ctx, t.grant()); err != nil {\n\t\t\treturn Grant{}, \"\", err\n\t\t}\n", ""),
	one("refresh token: it ends with its grant", "auth/grants/family.go", `case !f.Ended.IsZero():`, `case false:`),
	one("refresh: not more than was granted", "auth/token.go", "	if !subset(asked, granted) {\n", "	if false {\n"),
	// Assertions of an organization.
	one("assertion: signature", "auth/idp/assertion.go", `&oidc.Config{SkipClientIDCheck: true,`, `&oidc.Config{InsecureSkipSignatureCheck: true, SkipClientIDCheck: true,`),
	one("assertion: type", "auth/idp/assertion.go", `if err := checkAssertionType(raw); err != nil {`, `if err := checkAssertionType(raw); err != nil && false {`),
	one("assertion: expiry", "auth/idp/assertion.go", `&oidc.Config{SkipClientIDCheck: true,`, `&oidc.Config{SkipExpiryCheck: true, SkipClientIDCheck: true,`),
	one("assertion: its life", "auth/idp/assertion.go", `case token.Expiry.After(now.Add(maxAssertionLife)):`, `case false:`),
	one("assertion: for this server", "auth/assertion.go", `case a.Audience != s.issuer():`, `case a.Audience == "":`),
	one("assertion: one client's", "auth/assertion.go", `case a.ClientID != client.ID:`, `case a.ClientID == "":`),
	one("assertion: the resource is here", "auth/assertion.go", `if _, ok := s.Route.Audience(r); !ok {`, `if _, ok := s.Route.Audience(r); !ok && r == "" {`),
	one("assertion: who may enter", "auth/assertion.go", `if err := errors.Join(p.Allow(a.Identity), s.admit(a.Identity)); err != nil {`, `if err := errors.Join(p.Allow(a.Identity), s.admit(a.Identity)); err != nil && false {`),
	one("assertion: once", "auth/grants/code.go", `return Grant{}, &Replay{gr.ID, "the assertion"}`, `return gr, nil`),

	one("token: the resource was granted", "auth/token.go", `if !ok || !subset(audience, gr.Audience) && r != "" && !slices.Contains(gr.Audience, strings.TrimSuffix(r, "/")) {`, `if !ok && audience != nil {`),
	one("token: what a client may use", "auth/token.go", `case !client.May(grantType) && (grantType != "refresh_token" || !mayAskOffline(client)):`, `case false:`),
	one("client: its secret", "auth/clients/authenticate.go", `if subtle.ConstantTimeCompare(sum(c.Secret), want) != 1 {`, `if subtle.ConstantTimeCompare(sum(c.Secret), want) > 1 {`).also("auth/clients/authenticate.go", `if c.Secret == "" || len(want) == 0 {`, `if len(want) == 0 {`),
	one("revocation: only one's own", "auth/revoke.go", `if err == nil && t.ClientID == client.ID {`, `if err == nil {`),

	// Access tokens.
	one("access token: one host's", "auth/access/verify.go", "	case t.Issuer != issuer:\n", "	case false:\n").also("auth/access/verify.go", `case !slices.Contains(t.Audience, audience):`, `case !slices.Contains(t.Audience, audience) && false:`),
	one("access token: signature", "auth/access/verify.go", `check.Verify([]byte(input), signature, key.Key); err != nil {`, `check.Verify([]byte(input), signature, key.Key); false && err != nil {`),
	// What else the same keys sign are the heads of the audit log, which say neither
	// for whom nor for what they are. A token of another type comes from a replica
	// of another version, then: the model plays one.
	one("access token: type", "auth/access/verify.go", `typ != Type || h.Kid == ""`, `typ == "never" || h.Kid == ""`),
	// Ours never asks a token for its algorithm: to stop comparing changes nothing
	// to see. These do ask, as others have.
	one("access token: no algorithm", "auth/access/verify.go", ` || (h.Alg != jwa.RS256 && h.Alg != jwa.ES256) {`, ` {`).also("auth/access/verify.go", `sig, h.alg, h.kid); err != nil {`, `sig, h.alg, h.kid); err != nil && h.alg != jwa.NoSignature {`),
	one("access token: algorithm", "auth/access/verify.go", ` || (h.Alg != jwa.RS256 && h.Alg != jwa.ES256) {`, ` {`).also("auth/access/verify.go", `if key.Algorithm != alg {`, `if false {`).also("auth/access/verify.go", `jws.NewVerifier(key.Algorithm)`, `jws.NewVerifier(alg)`).also("auth/access/verify.go", `signature, key.Key); err != nil {`, `signature, secretOf(alg, key.Key)); err != nil {`).also("auth/access/verify.go", "	\"encoding/base64\"\n", "	\"crypto/x509\"\n\t\"encoding/base64\"\n").also("auth/access/verify.go", "// judge says", "func secretOf(alg jwa.SignatureAlgorithm, key any) any {\n\tif alg != jwa.HS256 {\n\t\treturn key\n\t}\n\tder, _ := x509.MarshalPKIXPublicKey(key)\n\treturn der\n}\n\n// judge says"),
	one("access token: expiry", "auth/access/verify.go", `case !now.Before(t.Expiry.Add(Leeway)):`, `case false:`),
	one("access token: not yet", "auth/access/verify.go", `case now.Add(Leeway).Before(t.NotBefore), now.Add(Leeway).Before(t.IssuedAt):`, `case false:`),
	one("access token: what is remembered is judged again", "auth/access/verify.go", `if err := v.judge(&e.token, issuer, audience); err != nil {`, `if err := error(nil); err != nil {`),
	one("access token: it ends with its grant", "auth/access/verify.go", "	case revoked:\n", "	case revoked && false:\n"),
	one("access token: there is one", "gateway/call.go", "	if h.route.Public {\n", "	if h.route.Public || req.Header.Get(\"Authorization\") == \"\" {\n"),

	// What reaches an MCP server.
	one("call: tools within the scopes", "routing/policy.go", `case len(scopes) > 0 && !slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(has, s) }):`, `case false:`),
	one("call: tools that no scope covers", "routing/policy.go", `case len(scopes) == 0 && j.deny:`, `case false:`),
	one("call: a tool that has changed", "routing/policy.go", `case j.pinned != nil && j.pinned.changed(j.index, c.Tool, len(scopes) > 0):`, `case false:`),
	one("call: arguments within the limits", "routing/policy.go", `if l := exceeded(j.granted.Limits, c); l != nil {`, `if l := exceeded(j.granted.Limits, c); l != nil && false {`),
	one("call: one reading of a limit", "routing/limit.go", `return below && canonicalPath(strings.TrimSuffix(rest, "/")) && !strings.HasPrefix(rest, "/")`, `return below && rest != ""`),
	one("call: a header that says otherwise", "routing/policy.go", "	if err := mcp.Agree(req.Header, calls); err != nil {\n\t\treturn err\n\t}\n", ""),
	one("call: the address of a header", "gateway/handler.go", "	if !s.trusts(a) {\n\t\treturn a\n\t}\n", ""),
	one("call: a key twice", "routing/mcp/scan.go", `if !s.keys.add(&names, key) {`, `if false && !s.keys.add(&names, key) {`),
	one("call: another origin", "gateway/handler.go", `!s.origins.allow(req.Header.Get("Origin"), route.Origin) {`, `false {`),
	one("call: a service worker", "gateway/handler.go", `if req.Header.Get("Service-Worker") == "script" {`, `if false {`),
	one("call: the host of a header", "gateway/handler.go", `len(forwarded) == 1 && s.trusts(peer(r)) {`, `len(forwarded) == 1 {`),
	one("call: paths that are listed", "routing/route.go", "	for _, listed := range r.config.Paths {\n\t\tif below(plain, listed) {\n\t\t\treturn true\n\t\t}\n\t}\n\treturn false", "	return true"),
	one("call: one reading of a path", "routing/route.go", "	if clean := path.Clean(\"/\" + plain); clean != plain && clean+\"/\" != plain {\n", "	if clean := path.Clean(\"/\" + plain); clean == \"never\" {\n").also("routing/route.go", "	if strings.Count(plain, \"/\") != strings.Count(p, \"/\") {\n", "	if false {\n"),
	one("call: our own paths", "gateway/call.go", `if auth.Owns(req.URL.Path) {`, `if false && auth.Owns(req.URL.Path) {`),
	one("call: TRACE", "routing/proxy.go", `case req.Method == http.MethodTrace || req.Method == http.MethodConnect:`, `case req.Method == http.MethodConnect:`),
	one("call: somebody else's session", "routing/session.go", `return id, hmac.Equal(tag[:], []byte(seen[end+1:]))`, `return id, hmac.Equal(tag[:], tag[:])`),
	one("call: headers of identity", "routing/headers.go", "		if !r.foreign(name) {\n", "		if true || !r.foreign(name) {\n"),
	one("call: headers in disguise", "routing/headers.go", "			c, odd = '-', true\n", "			odd = true\n"),
	one("call: our cookies", "routing/headers.go", "	r.dropCookies(h)\n", ""),
	one("call: a token where none belongs", "routing/headers.go", `if r.config.Authorization == "none" && !r.Public {`, `if false {`),

	// What an MCP server answers.
	one("answer: our cookies", "routing/answer.go", `cookies = slices.DeleteFunc(cookies, r.ownSetCookie)`, `cookies = slices.DeleteFunc(cookies, func(string) bool { return false })`),
	one("answer: headers that speak for us", "routing/answer.go", "		if r.kept(name) {\n", "		if false && r.kept(name) {\n"),
	one("answer: sandbox", "routing/answer.go", `append(h["Content-Security-Policy"], "sandbox")`, `h["Content-Security-Policy"]`),
	one("answer: nosniff", "routing/answer.go", `h["X-Content-Type-Options"] = nosniff`, `_ = nosniff`),
	one("answer: a 401 of the MCP server", "routing/exchange.go", `if res.StatusCode == http.StatusUnauthorized && !x.route.Public {`, `if false {`).also("routing/answer.go", "		if r.kept(name) {\n", "		if false && r.kept(name) {\n"),

	// What people see, and what strangers name.
	one("page: escaping", "web/markup.go", `html.EscapeString(s)`, `html.UnescapeString(s)`),
	one("page: characters that are not seen", "web/text.go", `case invisible(r):`, `case false:`).also("routing/clean.go", `case hidden(c) || c == utf8.RuneError:`, `case c == utf8.RuneError:`),
	one("page: policy", "web/headers.go", `h.Set("Content-Security-Policy", p.policy())`, ``),
	one("page: frames", "web/headers.go", `h.Set("X-Frame-Options", "DENY")`, ``),
	one("page: sharing", "gateway/cors.go", `case kindPage, kindForwardAuth:`, `case kindForwardAuth:`).also("gateway/cors.go", `case kindMetadata:`, `case kindMetadata, kindPage:`),
	one("redirect: nobody is told of the URL", "auth/server.go", `h.Set("Referrer-Policy", "no-referrer")`, ``),
	one("registration: redirect URIs that harm", "auth/clients/redirect.go", `case neverSchemes[u.Scheme]:`, `case false:`).also("auth/clients/redirect.go", `return errors.New("its scheme is not one that is known to belong to an MCP client")`, `return nil`),
	one("fetch: special-use addresses", "auth/clients/addresses.go", `network != "tcp4" && network != "tcp6" || !public(to.Addr())`, `network != "tcp4" && network != "tcp6" || !to.IsValid()`),
	one("fetch: private addresses", "auth/clients/addresses.go", `	netip.MustParsePrefix("10.0.0.0/8"), `, ``),
	one("fetch: link-local addresses", "auth/clients/addresses.go", `	netip.MustParsePrefix("169.254.0.0/16"), `, ``),
	one("fetch: IPv6 addresses", "auth/clients/addresses.go", `if addr.Is6() && !globalIPv6.Contains(addr.WithZone("")) {`, `if false {`),
}

// also adds an edit.
func (m mutant) also(file, before, after string) mutant {
	m.edits = append(m.edits, edit{file, before, after})
	return m
}
