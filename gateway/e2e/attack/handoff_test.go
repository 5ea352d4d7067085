//go:build e2e

package attack

import (
	"net/http"
	"net/url"
	"strings"
)

// judgeHandoff: where all answers of providers arrive, nothing happens but that
// each goes to the host where its request began.
func (w *world) judgeHandoff(p *prospect, a *answer) {
	if p.r.URL.Host != w.callback || a.to == nil {
		return
	}
	q := a.to.Query()
	s := w.site(a.to.Host)
	if s == nil || a.to.Scheme != "https" || a.to.Path != "/callback" || q.Get("handoff") == "" {
		w.breaks("no redirect that was not registered", "the callback host leads to %s", a.to)
		return
	}
	if a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("Cache-Control") != "no-store" {
		w.breaks("no URL is told of", "the redirect of the callback host has %v", a.header)
	}
	if q.Has("code") || q.Has("state") {
		w.breaks("no URL is told of", "%s has the answer in it", a.to)
	}
	w.handed[q.Get("handoff")] = p.form
	w.secrets = append(w.secrets, q.Get("handoff"))
	w.said["an answer is handed over"]++
}

// intercepts: somebody on the way sees the address by which an answer is handed
// over before the browser is there, and opens it. That spends nothing.
func (w *world) intercepts() {
	t := w.awaitsHandoff()
	if t == nil {
		return
	}
	theirs, err := url.Parse(t.next)
	if err != nil {
		return
	}
	q := theirs.Query()
	answer := w.handed[q.Get("handoff")]
	n := w.states.of[answer.Get("state")]
	switch w.rng.IntN(3) {
	case 0:
		w.attacker.open(t.next, "")
	case 1:
		w.attacker.open(w.anySite().origin+"/callback?"+theirs.RawQuery, "")
	case 2: // with a request of its own
		if id := pick(w, w.requests.keys); id != q.Get("r") {
			q.Set("r", id)
			w.attacker.open("https://"+theirs.Host+"/callback?"+q.Encode(), "")
		}
	}
	w.said["a handoff is intercepted"]++
	live := n != nil && !n.over && n.browser == w.victim && n.site.host == theirs.Host && w.victim.carries(theirs.Host, theirs.Query().Get("r"))
	address := t.next
	t.next = ""
	a := w.victim.open(address, "")
	if live && a.status == http.StatusBadRequest {
		w.breaks("nobody spends what is not theirs", "the victim's answer is gone after somebody else showed its code")
	}
	w.victim.arrive(t, address, a)
}

// awaitsHandoff takes a tab of the victim to where its answer is handed over.
func (w *world) awaitsHandoff() *tab {
	if w.callback == "" {
		return nil
	}
	t := pick(w, w.victim.tabs)
	for range 6 {
		if t == nil || strings.Contains(t.next, "handoff=") || !w.victim.step(t) {
			break
		}
	}
	if t == nil || !strings.Contains(t.next, "handoff=") {
		return nil
	}
	return t
}
