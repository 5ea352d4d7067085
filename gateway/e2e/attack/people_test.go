//go:build e2e

package attack

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// What people and honest clients do by themselves, whoever they are.

func (w *world) anybody() *browser { return pick(w, []*browser{w.victim, w.attacker}) }

// begin: somebody connects a client to an MCP server.
func (w *world) begin() {
	b := w.anybody()
	if len(b.tabs) > 5 {
		b.tabs = b.tabs[1:]
	}
	c := pick(w, []*client{w.web, w.web, w.desk, w.portal, w.keyed})
	if b == w.attacker && w.chance(3) {
		c = pick(w, []*client{w.evil, w.mine})
	}
	_, address := c.begin(w.anySite(), b)
	b.tabs = append(b.tabs, &tab{next: address})
}

// goOn: somebody goes on in one of their tabs, mostly the last.
func (w *world) goOn() {
	b := w.anybody()
	if len(b.tabs) == 0 {
		return
	}
	t := b.tabs[len(b.tabs)-1]
	if w.chance(4) {
		t = pick(w, b.tabs)
	}
	for range 1 + w.rng.IntN(4) {
		if !b.step(t) {
			b.tabs = slices.DeleteFunc(b.tabs, func(other *tab) bool { return other == t })
			return
		}
		if w.breach() != nil {
			return
		}
	}
}

// goBack: somebody reloads the page they are on, or goes back to it.
func (w *world) goBack() {
	b := w.anybody()
	if t := pick(w, b.tabs); t != nil && t.at != "" {
		b.tabs = append(b.tabs, &tab{next: t.at, lure: t.lure})
	}
}

// use: a client calls a tool for somebody.
func (w *world) use() {
	if h := pick(w, w.holdings(w.anybody())); h != nil {
		a := w.call(h.site, h.access, callBody(pick(w, []string{"read", "write", "wipe", unlisted})))
		if a.status == http.StatusOK {
			w.said["a tool is called"]++
		}
	}
}

// refreshes: a client refreshes a session.
func (w *world) refreshes() {
	if h := pick(w, w.holdings(w.anybody())); h != nil {
		h.client.refresh(h)
	}
}

// disconnects: a client revokes its tokens.
func (w *world) disconnects() {
	h := pick(w, w.holdings(w.anybody()))
	if h == nil || !w.chance(3) {
		return
	}
	w.revoke(h.site, h.client, pick(w, []string{h.access, h.refresh}))
}

// revoke sends a token to be ended, and notes what ends.
func (w *world) revoke(s *site, c *client, token string) {
	clientID := c.ids[s.origin]
	form := url.Values{"client_id": {clientID}, "token": {token}}
	c.proves(s, form)
	proven := w.proven(s, form)
	a := w.post(s.origin+"/revoke", form)
	if a.status != http.StatusOK || !proven {
		return
	}
	f := w.familyOf(token)
	w.mu.Lock()
	if t := w.tokens[token]; t != nil {
		f = t.family
	}
	w.mu.Unlock()
	if f == nil || f.site != s || f.ended {
		return
	}
	if f.clientID == clientID {
		f.end()
		w.said["a client ends a grant"]++
		return
	}
	w.stillWorks(f, "another client revokes")
}

// stillWorks calls with the tokens of a grant that nobody may have ended.
func (w *world) stillWorks(f *family, what string) {
	for token, t := range w.tokens {
		if t.family == f && !f.ended {
			if a := w.call(f.site, token, `{"jsonrpc":"2.0","id":1,"method":"ping"}`); a.status == http.StatusUnauthorized {
				w.breaks("nobody ends what is not theirs", "%s: the grant %s of %s: %s", what, read(token).Grant, read(token).Subject, a.body)
			}
			return
		}
	}
}

// visitAccount: somebody looks at their connections.
func (w *world) visitAccount() {
	b := w.anybody()
	b.tabs = append(b.tabs, &tab{next: w.anySite().origin + "/account"})
}

// acts: somebody ends connections, or signs out. What ends is theirs.
func (w *world) acts() {
	b, s := w.anybody(), w.anySite()
	if !w.chance(2) {
		return
	}
	if at := pick(w, slices.DeleteFunc(slices.Clone(w.families), func(f *family) bool { return f.ended || f.browser != b })); at != nil {
		s = at.site // where there is something to end
	}
	action := pick(w, []string{"end-all", "sign-out", "end-all", "sign-in"})
	session := slices.Clone(b.ownCookies("s"))
	a := b.do(http.MethodPost, s.origin+"/account", url.Values{"action": {action}}, s.origin)
	if a.status != http.StatusOK {
		return
	}
	if action == "sign-out" {
		w.replaySession(b, s, session)
		return
	}
	if action == "end-all" {
		w.judgeEnding(b, s)
	}
}

// judgeEnding: a person ends all of their own connections, and nobody else's.
func (w *world) judgeEnding(b *browser, s *site) {
	for _, f := range w.families {
		switch sub := subjectOf(w, f); {
		case f.site != s || f.ended:
		case sub == b.signedIn[s]:
			f.end()
			delete(w.ticked, w.tickKey(sub, f.clientID, s)) // and what was said is forgotten
			w.said["a person ends a grant"]++
		default:
			w.stillWorks(f, b.name+" ends connections")
		}
	}
}

// subjectOf is whose grant it is.
func subjectOf(w *world, f *family) string {
	for token, t := range w.tokens {
		if t.family == f {
			return read(token).Subject
		}
	}
	return ""
}

// replaySession: a session that was ended opens nothing.
func (w *world) replaySession(b *browser, s *site, session []*cookie) {
	for _, c := range session {
		if c.host != s.host {
			continue
		}
		a := w.send(w.request(http.MethodGet, s.origin+"/account", "", "Cookie", c.name+"="+c.value, "Accept", "text/html"))
		if a.status == http.StatusOK {
			w.breaks("no session after its end", "%s has signed out, and the cookie opens /account", b)
		}
	}
}

// lures: the attacker gets the victim to follow a link.
func (w *world) lures() {
	var address string
	switch w.rng.IntN(4) {
	case 0:
		_, address = pick(w, []*client{w.evil, w.mine}).begin(w.anySite(), w.attacker)
	case 1: // an honest client's, but the attacker's session there
		_, address = pick(w, []*client{w.web, w.desk, w.portal, w.keyed}).begin(w.anySite(), w.attacker)
	case 2:
		if t := pick(w, w.attacker.tabs); t != nil {
			address = strings.TrimSpace(t.next + t.at)
			if t.next != "" {
				address = t.next
			}
		}
	case 3: // with an address of the attacker's put in
		f, _ := pick(w, []*client{w.web, w.portal, w.keyed}).begin(w.anySite(), w.attacker)
		q := f.params()
		q.Set("redirect_uri", pick(w, []string{"https://evil." + domain + "/cb", f.client.redirect + ".evil." + domain, f.client.redirect + "/../../evil", "https://client." + domain + "@evil." + domain + "/cb"}))
		address = f.site.origin + "/authorize?" + q.Encode()
	}
	if address == "" {
		return
	}
	t := &tab{next: address, lure: true}
	w.victim.tabs = append(w.victim.tabs, t)
	for range w.rng.IntN(6) {
		if !w.victim.step(t) {
			return
		}
	}
}
