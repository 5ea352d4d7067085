//go:build e2e

package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// What the attacker does besides using everything as it is meant. None of it
// may work; where the general invariants do not say so, the move itself does.

// seesURL: somebody on the way opens what the victim's browser has opened.
func (w *world) seesURL() {
	address := pick(w, w.seen)
	if address == "" || strings.Contains(address, "/oauth/") {
		return
	}
	t := &tab{next: address}
	for range 1 + w.rng.IntN(3) {
		if !w.attacker.step(t) {
			return
		}
	}
}

// leakedCode is a code that somebody on the way has seen.
func (w *world) leakedCode() string {
	var codes []string
	for _, address := range w.seen {
		if u, err := url.Parse(address); err == nil && u.Path == "/cb" && u.Query().Get("code") != "" {
			codes = append(codes, u.Query().Get("code"))
		}
	}
	return pick(w, codes)
}

// anyCode is one that leaked, one of the attacker's own that nobody has redeemed,
// or any.
func (w *world) anyCode() string {
	if code := w.leakedCode(); code != "" && w.chance(2) {
		return code
	}
	mine := slices.DeleteFunc(slices.Clone(w.codes.keys), func(code string) bool {
		c := w.codes.of[code]
		return c.spent || c.browser != w.attacker
	})
	if len(mine) > 0 && w.chance(2) {
		return pick(w, mine)
	}
	return pick(w, w.codes.keys)
}

// redeems: the attacker shows a code at some token endpoint as some client,
// with its own verifier or the right one, as far as it can know it.
func (w *world) redeems() {
	code := w.anyCode()
	c := w.codes.of[code]
	if c == nil {
		return
	}
	f := w.flowOf(c.request)
	verifier := oauth2.GenerateVerifier()
	if f != nil && c.browser == w.attacker && !w.chance(4) {
		verifier = f.verifier // it began this itself
	}
	s, holder, redirect := c.request.site, c.request.client, c.request.redirect
	switch w.rng.IntN(5) {
	case 0:
		s = w.anySite()
	case 1:
		holder = pick(w, w.clients)
	case 2:
		redirect = "https://evil." + domain + "/cb"
	case 3:
		redirect = ""
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "client_id": {holder.ids[s.origin]}}
	if redirect != "" {
		form.Set("redirect_uri", redirect)
	}
	if w.chance(6) {
		form.Set("resource", w.anySite().origin+"/mcp")
	}
	w.asClient(s, form)
	w.twice(s, form)
}

// asClient authenticates a client, or tries to: what proves the portal is the
// attacker's own where the attacker is the portal's user, or so it hopes.
func (w *world) asClient(s *site, form url.Values) {
	switch form.Get("client_id") {
	case w.keyed.ids[s.origin]:
		w.asKeyed(s, form)
		return
	case "portal":
	default:
		return
	}
	if secret := pick(w, []string{portalSecret, portalSecret, portalSecret, "", "guess", portalSecret + "x"}); secret != "" {
		form.Set("client_secret", secret)
	}
}

// twice redeems, and now and then at the same moment again.
func (w *world) twice(s *site, form url.Values) {
	holder, b := w.evil, w.attacker
	if c := w.codes.of[form.Get("code")]; c != nil && c.browser == w.victim {
		b = w.attacker
	}
	if !w.chance(4) || form.Get("client_assertion") != "" { // which is good once
		_, _ = w.exchange(s, form, holder, b, form.Get("code"))
		return
	}
	w.races(s, form)
}

// races shows the same code several times at once: one of them gets tokens, and
// where another could have, these are ended.
func (w *world) races(s *site, form url.Values) {
	const times = 4
	statuses := make(chan int, times)
	for range times {
		go func() {
			r := w.request(http.MethodPost, s.origin+"/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
			res, err := w.transport.RoundTrip(r)
			if err != nil {
				statuses <- 0
				return
			}
			_ = res.Body.Close()
			statuses <- res.StatusCode
		}()
	}
	good, refused := 0, 0
	for range times {
		switch <-statuses {
		case http.StatusOK:
			good++
		case http.StatusBadRequest:
			refused++
		}
	}
	w.said["a race for a code"]++
	c := w.codes.of[form.Get("code")]
	fits := c.fits(s, form) == "" && ownResource(s, form) && w.proven(s, form)
	switch {
	case good > 1, good == 1 && c.spent:
		w.breaks("no code twice", "%d of %d redemptions at once", good, times)
	case good == 1 && !fits:
		w.breaks("no code in other hands", "a code is redeemed with %s", c.fits(s, form))
	case good == 1:
		c.spent, c.family = true, &family{site: s, clientID: form.Get("client_id"), browser: w.attacker, holder: w.evil, request: c.request, may: c.may}
	}
	if c.spent && fits && refused > 0 { // all but one were replays
		c.family.end()
	}
}

// flowOf finds the flow behind a request; the attacker knows those it began.
func (w *world) flowOf(req *request) *flow {
	for _, c := range w.clients {
		for _, f := range c.began {
			if oauth2.S256ChallengeFromVerifier(f.verifier) == req.challenge {
				return f
			}
		}
	}
	return nil
}

// takesOver: the attacker acts as an honest public client in its own browser,
// and then shows the code at another place.
func (w *world) takesOver() {
	if t := pick(w, w.attacker.tabs); t != nil && strings.Contains(t.next, "/cb?") {
		w.attacker.tabs = slices.DeleteFunc(w.attacker.tabs, func(other *tab) bool { return other == t })
		w.redeems()
	}
}

// refreshesElsewhere shows refresh tokens of its own account as other clients,
// at other hosts, when they are old, and for more scope.
func (w *world) refreshesElsewhere() {
	var tokens []string
	for _, f := range w.families {
		if person, _ := w.personOf(subjectOf(w, f)); person != "victim" {
			tokens = append(append(tokens, f.older...), f.previous, f.current)
		}
	}
	tokens = slices.DeleteFunc(tokens, func(t string) bool { return t == "" })
	token := pick(w, tokens)
	f := w.familyOf(token)
	if f == nil {
		return
	}
	s, id := f.site, f.clientID
	switch w.rng.IntN(4) {
	case 0, 1:
		s = w.anySite()
	case 2:
		id = pick(w, w.clients).ids[s.origin]
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {id}}
	if w.chance(4) {
		form.Set("scope", strings.Join(s.scopeNames(), " "))
	}
	if w.chance(4) {
		form.Set("resource", w.anySite().origin+"/mcp")
	}
	w.asClient(s, form)
	w.refreshesAs(f, s, form)
}

// refreshesAs shows a refresh token of a grant. Where that works, who holds the
// grant goes on with the next.
func (w *world) refreshesAs(f *family, s *site, form url.Values) {
	token := form.Get("refresh_token")
	h, _ := w.exchange(s, form, w.evil, w.attacker, token)
	if h == nil || f.holder == nil {
		return
	}
	for _, own := range f.holder.held {
		if own.refresh == token {
			own.refresh = h.refresh
		}
	}
}

// stolenTokens are what the attacker can know: its own, and what its MCP
// server was sent.
func (w *world) stolenToken() string {
	all := w.rogueSite.upstream.heardTokens()
	for _, h := range w.holdings(w.attacker) {
		all = append(all, h.access)
	}
	return pick(w, all)
}

// showsElsewhere shows a token at every place that takes one.
func (w *world) showsElsewhere() {
	token := w.stolenToken()
	if token == "" {
		return
	}
	s := w.anySite()
	switch w.rng.IntN(3) {
	case 0:
		w.call(s, token, callBody("read"))
	case 1:
		a := w.send(w.request(http.MethodGet, s.origin+"/authenticate", "", "Authorization", "Bearer "+token))
		t := w.tokens[token]
		switch {
		case a.status != http.StatusOK:
		case t == nil || t.site != s:
			w.breaks("no token of another host", "/authenticate of %s takes one of %s", s.name, read(token).Issuer)
		case t.dead.Load():
			w.breaks("no token after its end", "/authenticate of %s takes one whose grant has ended", s.name)
		}
	case 2:
		w.revoke(s, w.evil, token)
	}
}

// forges changes what a token says.
func (w *world) forges() {
	token := w.stolenToken()
	head, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok {
		return
	}
	s := w.anySite()
	b64 := base64.RawURLEncoding
	var said map[string]any
	raw, _ := b64.DecodeString(payload)
	if json.Unmarshal(raw, &said) != nil {
		return
	}
	for name, value := range map[string]any{"sub": "honest:victim", "iss": s.origin, "aud": []string{s.origin}, "scope": strings.Join(s.scopeNames(), " "), "scopes": s.scopeNames()} {
		if name == "iss" || name == "aud" || w.chance(2) {
			said[name] = value
		}
	}
	changed, _ := json.Marshal(said)
	input := head + "." + b64.EncodeToString(changed)
	switch w.rng.IntN(5) {
	case 0:
		input = withAlg(head, "none") + "." + b64.EncodeToString(changed)
		signature = pick(w, []string{"", signature, b64.EncodeToString([]byte("x"))})
	case 1:
		signature = ""
	case 2:
		signature = b64.EncodeToString([]byte(strings.Repeat("\x00", 64)))
	case 3:
		input = withAlg(head, "HS256") + "." + b64.EncodeToString(changed)
		mac := hmac.New(sha256.New, pick(w, w.publicKey(s, head)))
		mac.Write([]byte(input))
		signature = b64.EncodeToString(mac.Sum(nil))
	}
	forged := input + "." + signature
	w.call(s, forged, callBody("wipe"))
	a := w.send(w.request(http.MethodGet, s.origin+"/authenticate", "", "Authorization", "Bearer "+forged))
	if a.status == http.StatusOK {
		w.breaks("no token but ours", "a forged one is good at /authenticate")
	}
}

// withAlg is a header that names another algorithm.
func withAlg(head, alg string) string {
	var said map[string]any
	raw, _ := base64.RawURLEncoding.DecodeString(head)
	_ = json.Unmarshal(raw, &said)
	if said == nil {
		said = map[string]any{}
	}
	said["alg"] = alg
	changed, _ := json.Marshal(said)
	return base64.RawURLEncoding.EncodeToString(changed)
}

// publicKey is the key that a header names, as anybody may read it, in the
// shapes in which a program could take it for a secret.
func (w *world) publicKey(s *site, head string) [][]byte {
	var said struct{ Kid string }
	raw, _ := base64.RawURLEncoding.DecodeString(head)
	_ = json.Unmarshal(raw, &said)
	a := w.send(w.request(http.MethodGet, s.origin+"/openid/v1/jwks", ""))
	var set struct {
		Keys []json.RawMessage
	}
	_ = json.Unmarshal([]byte(a.body), &set)
	shapes := [][]byte{[]byte(a.body)}
	for _, one := range set.Keys {
		var key struct {
			Kid  string
			X, Y string
		}
		if json.Unmarshal(one, &key) != nil || key.Kid != said.Kid {
			continue
		}
		x, _ := base64.RawURLEncoding.DecodeString(key.X)
		y, _ := base64.RawURLEncoding.DecodeString(key.Y)
		point := append(append([]byte{4}, x...), y...)
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			continue
		}
		der, _ := x509.MarshalPKIXPublicKey(public)
		shapes = append(shapes, one, point, der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return shapes
}

// anonymous calls without a token.
func (w *world) anonymous() {
	s := w.anySite()
	r := w.request(pick(w, []string{http.MethodPost, http.MethodGet, http.MethodDelete, "PROPFIND"}), s.origin+"/mcp", callBody("read"), "Content-Type", "application/json")
	if w.chance(2) {
		r.Header.Set("Authorization", pick(w, []string{"Bearer", "Bearer ", "Basic eDp4", "Bearer x", "bearer null"}))
	}
	w.send(r)
}

// spoofs says who it is, and what the request is, in headers.
func (w *world) spoofs() {
	token := w.stolenToken()
	if token == "" {
		return
	}
	headers := []string{"X-Harmless", outsider}
	for range 4 {
		headers = append(headers, pick(w, []string{
			"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X_Forwarded_User", "X-Forwarded_Email", "Remote-User", "X-Remote-User",
			"X-Auth-Request-Email", "X-Real-Ip", "X-Original-Url", "X-Forwarded-Access-Scopes", "Forwarded", "Remote_User", "X-User", "x.forwarded.user", "Proxy-Authorization",
		}), outsider)
	}
	s := w.anySite()
	if w.chance(3) {
		headers = append(headers, "X-Forwarded-Host", w.anySite().host)
	}
	if w.chance(3) {
		headers = append(headers, "Origin", pick(w, []string{evilOrigin, farOrigin, "null", w.anySite().origin}))
	}
	if w.chance(4) {
		headers = append(headers, "Service-Worker", "script")
	}
	if w.chance(3) {
		headers = append(headers, "X-Forwarded-For", "203.0.113.7")
	}
	if w.chance(5) { // another tool than in the body
		headers = append(headers, "Mcp-Method", "tools/call", "Mcp-Name", "wipe")
	}
	if c := pick(w, append(w.attacker.ownCookies("s"), w.attacker.ownCookies("r")...)); c != nil {
		headers = append(headers, "Cookie", "theme=dark; "+c.name+"="+c.value+"; =mcp-oauth2-proxy-s-1=2; other="+outsider)
	}
	if t := w.tokens[token]; t != nil && w.chance(2) {
		s = t.site
	}
	w.call(s, token, callBody("read"), headers...)
}

// namesHost asks one host, and names in a header the one that its token is for.
func (w *world) namesHost() {
	token := w.stolenToken()
	t, s := w.tokens[token], w.anySite()
	if t == nil || t.site == s {
		return
	}
	before := t.site.upstream.count()
	w.call(s, token, callBody("read"), "X-Forwarded-Host", t.site.host, "Forwarded", "host="+t.site.host)
	if t.site.upstream.count() != before {
		w.breaks("no host but the one that was asked", "a call of %s arrives at %s", s.name, t.site.name)
	}
}

// smugglesTools hides a tool from whoever reads the body another way.
func (w *world) smugglesTools() {
	token := w.stolenToken()
	t := w.tokens[token]
	if t == nil {
		return
	}
	read, wipe := callBody("read"), callBody("wipe")
	body := pick(w, []string{
		wipe, read, callBody(unlisted), "[" + read + "," + wipe + "]", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","name":"wipe"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","Name":"wipe"}}`, read + wipe, read + "\n" + wipe,
		`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"wipe"}}`,
		`{"jsonrpc":"2.0","id":1,"Method":"tools/call","method":"ping","params":{"name":"wipe"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wipe"},"params":{"name":"read"}}`,
		"\ufeff" + wipe, strings.Replace(wipe, "wipe", `wip\u0065`, 1),
	})
	headers := pick(w, [][]string{nil, {"Mcp-Method", "ping"}, {"Mcp-Method", "tools/call", "Mcp-Name", "wipe"}, {"Content-Encoding", "gzip"}, {"Content-Type", "text/plain"}, {"X-Http-Method-Override", "GET"}})
	w.call(t.site, token, body, headers...)
}

// strays asks for paths and with methods that are not for it.
func (w *world) strays() {
	token := w.stolenToken()
	t := w.tokens[token]
	if t == nil {
		return
	}
	at := pick(w, []string{
		"/secret", "/mcp/../secret", "/mcp/..%2fsecret", "/mcp%2f..%2fsecret", "//secret", "/mcp/%2e%2e/secret", "/mcp;/../secret", "/MCP", "/mcp\\..\\secret",
		"/token", "/Token", "/consent/x", "/.well-known/oauth-authorization-server/mcp", "/mcp/.well-known/oauth-protected-resource", "/mcp/.well-known/openid-configuration", "/register", "/authorize",
	})
	r := w.request(pick(w, []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodTrace, http.MethodDelete, "PATCH"}), t.site.origin, "", "Authorization", "Bearer "+token)
	r.URL.Opaque = "//" + t.site.host + at
	if !strings.HasPrefix(at, "/") {
		return
	}
	if u, err := url.Parse(at); err == nil {
		r.URL.Path = u.Path
	}
	if r.Method == http.MethodTrace {
		r.URL.Opaque = "//" + t.site.host + "/mcp"
		r.URL.Path = "/mcp"
	}
	w.send(r)
}

// provokes: the rogue MCP server answers the victim's call with what would like
// to be the gateway's.
func (w *world) provokes() {
	if h := pick(w, append(w.heldAt(w.rogueSite, w.victim), w.heldAt(w.rogueSite, w.attacker)...)); h != nil {
		w.rogueSite.upstream.plan(pick(w, []string{"cookie", "headers", "unauthorized"}))
		w.call(h.site, h.access, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Origin", h.site.origin)
		w.rogueSite.upstream.plan("")
	}
}

// changesTool: the rogue MCP server makes another tool of one that people have
// allowed. Whoever is connected there is told so, sooner or later.
func (w *world) changesTool() {
	if w.chance(2) {
		w.rogueSite.upstream.change()
	}
	if h := pick(w, append(w.heldAt(w.rogueSite, w.victim), w.heldAt(w.rogueSite, w.attacker)...)); h != nil {
		w.call(h.site, h.access, listBody)
		w.callsChanged(h)
	}
}

// switchesTool: the rogue MCP server changes it while somebody reads the page.
func (w *world) switchesTool() {
	b := w.anybody()
	_, address := pick(w, []*client{w.web, w.keyed}).begin(w.rogueSite, b)
	t := &tab{next: address}
	for t.form == nil || t.form.path != "/consent" {
		if !b.step(t) {
			return
		}
	}
	w.rogueSite.upstream.change()
	if h := pick(w, w.heldAt(w.rogueSite, w.attacker)); h != nil {
		w.call(h.site, h.access, listBody)
	}
	for range 12 {
		if !b.step(t) {
			break
		}
	}
	if held := w.heldAt(w.rogueSite, b); len(held) > 0 {
		w.callsChanged(held[len(held)-1])
	}
}

const listBody = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`

func (w *world) callsChanged(h *holding) {
	if a := w.call(h.site, h.access, callBody("write")); strings.Contains(a.body, "another one than was consented to") {
		w.said["a tool that has changed is refused"]++
	}
}

// heldAt are the holdings of a browser at a host.
func (w *world) heldAt(s *site, b *browser) []*holding {
	return slices.DeleteFunc(w.holdings(b), func(h *holding) bool { return h.site != s })
}

// asksForItself: clients ask for tokens without a person, which only one client
// of the operator's may.
func (w *world) asksForItself() {
	s, c := w.anySite(), pick(w, w.clients)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ids[s.origin]}}
	c.proves(s, form)
	_, _ = w.exchange(s, form, w.evil, w.attacker, "")
}

// joins: a session of an MCP server that somebody else began.
func (w *world) joins() {
	h := pick(w, slices.DeleteFunc(w.holdings(w.victim), func(h *holding) bool { return h.site == w.rogueSite }))
	own := pick(w, w.holdings(w.attacker))
	if h == nil || own == nil {
		return
	}
	initialize := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`
	a := w.call(h.site, h.access, initialize)
	if id := a.header.Get("Mcp-Session-Id"); id != "" {
		plain, _, _ := strings.Cut(id, ".")
		w.call(own.site, own.access, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Mcp-Session-Id", pick(w, []string{id, plain}))
		w.said["a session of somebody else is tried"]++
	}
}

// sendsForms: a page of the attacker's sends forms of ours in the victim's
// browser.
func (w *world) sendsForms() {
	s, origin := w.anySite(), pick(w, []string{evilOrigin, farOrigin, w.rogueSite.origin, "null"})
	id := pick(w, w.requests.keys)
	if req := w.requests.of[id]; req != nil {
		s = req.site
	}
	if origin == s.origin {
		return
	}
	switch w.rng.IntN(3) {
	case 0:
		form := url.Values{"r": {id}, "decision": {"allow"}, "scope": s.scopeNames()}
		w.victim.do(http.MethodPost, s.origin+"/consent", form, origin)
	case 1:
		w.victim.do(http.MethodPost, s.origin+"/signin", pick(w, []url.Values{{"r": {id}, "provider": {"rogue"}},
			{"r": {id}, "username": {"attacker"}, "password": {accounts["attacker"].password}}}), origin)
	case 2:
		w.victim.do(http.MethodPost, s.origin+"/account", url.Values{"action": {"end-all"}}, origin)
	}
}

// plants: a neighbour's page sets the attacker's cookies for the whole domain,
// and leads the victim to where they would count.
func (w *world) plants() {
	cookies := w.attacker.jar
	if len(cookies) == 0 {
		return
	}
	w.victim.plant(cookies)
	id := pick(w, slices.DeleteFunc(slices.Clone(w.requests.keys), func(id string) bool { return w.requests.of[id].browser != w.attacker }))
	if id == "" {
		return
	}
	t := &tab{next: w.requests.of[id].site.origin + pick(w, []string{"/signin?r=", "/consent?r="}) + id, lure: true}
	w.victim.tabs = append(w.victim.tabs, t)
	for range 4 {
		if !w.victim.step(t) {
			return
		}
	}
}

// renames: the attacker shows what its browser was given under other names, and
// at other hosts.
func (w *world) renames() {
	c := pick(w, w.attacker.ownCookies(pick(w, []string{"r", "s", "r"})))
	if c == nil {
		return
	}
	s := w.anySite()
	if strings.Contains(c.name, "-s-") {
		w.sessionElsewhere(c, s)
		return
	}
	ids := w.requests.keys
	id := pick(w, ids)
	req := w.requests.of[id]
	if req == nil || strings.HasSuffix(c.name, "-"+id) && c.host == req.site.host {
		return
	}
	mark := w.marks[req.site]
	if mark == "" {
		return
	}
	a := w.send(w.request(http.MethodGet, req.site.origin+"/consent?r="+id, "", "Cookie", "__Host-mcp-oauth2-proxy-r-"+mark+"-"+id+"="+c.value))
	if a.status == http.StatusOK || a.to != nil {
		w.breaks("cookies are kept to one browser and host", "one of %s, %s is taken for %s at %s", c.host, c.name, id, req.site.name)
	}
}

// sessionElsewhere: a session is one host's.
func (w *world) sessionElsewhere(c *cookie, s *site) {
	mark := w.marks[s]
	if c.host == s.host || mark == "" || c.host == "" {
		return
	}
	a := w.send(w.request(http.MethodGet, s.origin+"/account", "", "Cookie", "__Host-mcp-oauth2-proxy-s-"+mark+"="+c.value))
	if a.status == http.StatusOK {
		w.breaks("no session of another host", "one of %s opens the account at %s", c.host, s.name)
	}
}

// returns: answers of providers that were not asked for come back, are mixed,
// and come again.
func (w *world) returns() {
	state := pick(w, w.states.keys)
	n := w.states.of[state]
	if n == nil {
		return
	}
	b := n.browser
	if w.chance(4) {
		b = w.anybody()
	}
	// Its own code of the honest provider, asked for with what it was given
	// itself.
	code := "made-up"
	if own := w.states.of[pick(w, []string{state, pick(w, w.states.keys)})]; own.browser == w.attacker && w.chance(2) {
		asks := url.Values{"response_type": {"code"}, "client_id": {idptest.ClientID}, "redirect_uri": {w.callbackOf(n.site)}, "state": {state},
			"nonce": {own.nonce}, "code_challenge": {own.challenge}, "code_challenge_method": {"S256"}}
		if to, err := url.Parse(w.honest.visit(w.honest.Issuer+idptest.Authorize+"?"+asks.Encode(), w.attacker.person)); err == nil {
			code = to.Query().Get("code")
		}
	}
	switch w.rng.IntN(3) {
	case 0: // another secret in the state
		id, _, _ := strings.Cut(state, ".")
		state = id + "." + w.marks[n.site] + "." + oauth2.GenerateVerifier()[:43]
	case 1:
		state = pick(w, w.states.keys)
	}
	answer := url.Values{"state": {state}, "code": {code}, "iss": {pick(w, []*provider{w.honest, w.rogue, n.provider}).Issuer}}
	if w.chance(4) {
		answer.Del("iss")
	}
	t := &tab{next: pick(w, []string{n.site.origin + "/callback", w.callbackOf(n.site)}) + "?" + answer.Encode(), lure: true}
	if b.step(t) && strings.Contains(t.next, "handoff=") {
		b.step(t)
	}
}

// deceives: the attacker signs in as somebody who may not, with an answer that is
// not whole, or by a password.
func (w *world) deceives() {
	c, s := pick(w, []*client{w.web, w.keyed}), w.anySite()
	f, _ := c.begin(s, w.attacker)
	f.prompt = "login"
	t := &tab{next: s.origin + "/authorize?" + f.params().Encode(), by: pick(w, []string{"rogue", "rogue", "honest", "house"})}
	switch t.by {
	case "rogue":
		w.rogue.plan(pick(w, spoils[wholeAnswers:]), false)
	case "honest":
		w.attacker.person = pick(w, []string{"attacker", "stranger", "colleague"})
	}
	for range 12 {
		if u, err := url.Parse(t.next); err == nil && u.Path == "/callback" && w.chance(3) {
			q := u.Query()
			q.Del("iss")
			u.RawQuery = q.Encode()
			t.next = u.String()
		}
		if !w.attacker.step(t) {
			break
		}
	}
	w.rogue.plan("", false)
	w.attacker.person = "attacker"
}

// plots: the rogue provider changes how it answers, and the attacker as whom
// it is known.
func (w *world) plots() {
	w.rogue.plan(pick(w, spoils), w.chance(5))
	w.attacker.person = pick(w, []string{"attacker", "attacker", "attacker", "stranger", "colleague"})
}

// asksBadly sends requests that are not whole.
func (w *world) asksBadly() {
	c, s := pick(w, w.clients), w.anySite()
	f, _ := c.begin(s, w.attacker)
	delete(c.pending, f.state)
	q := f.params()
	extra := ""
	switch w.rng.IntN(9) {
	case 0:
		q.Del("code_challenge")
		q.Del("code_challenge_method")
	case 1:
		q.Set("code_challenge_method", "plain")
		q.Set("code_challenge", f.verifier)
	case 2:
		extra = "&redirect_uri=" + url.QueryEscape("https://evil."+domain+"/cb")
	case 3:
		extra = "&scope=x&state=y"
	case 4:
		q.Set("resource", w.anySite().origin+"/mcp")
	case 5:
		q.Set("client_id", pick(w, []string{c.ids[w.anySite().origin], w.guest}))
		q.Set("redirect_uri", pick(w, []string{c.redirect, guestRedirect}))
	case 6:
		q.Set("redirect_uri", pick(w, []string{"https://evil." + domain + "/cb", c.redirect + "x", c.redirect + "?x=y", strings.ToUpper(c.redirect), "http://127.0.0.1:1/other"}))
	case 7:
		q.Set("prompt", "none")
	case 8:
		q.Set("response_type", pick(w, []string{"token", "code token", ""}))
	}
	b := w.anybody()
	t := &tab{next: s.origin + "/authorize?" + q.Encode() + extra, lure: true}
	for range 1 + w.rng.IntN(6) {
		if !b.step(t) {
			return
		}
	}
}

// registers clients that nobody should have.
func (w *world) registers() {
	s := w.anySite()
	bad := []string{"javascript:alert(1)//x.y/", "javascript:/alert(1)", "data:text/html,x", "data:/text/html,x", "vbscript:/x", "http://evil." + domain + "/cb", "https://evil." + domain + "/cb#f", "https://*.evil." + domain + "/cb",
		"https://user@evil." + domain + "/", "http://127.0.0.1.evil." + domain + "/", "//evil." + domain + "/", "https://evil." + domain + "\\@client." + domain + "/", "file:///etc/passwd", "http://0.0.0.0/"}
	uri := pick(w, bad)
	_, kept := w.register(s, map[string]any{"client_name": hostile, "redirect_uris": []string{uri, "https://evil." + domain + "/cb"}})
	if slices.Contains(kept, uri) {
		w.breaks("no redirect that could harm is registered", "%q is kept", uri)
	}
}
