//go:build e2e

package attack

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

const (
	portalSecret  = "a-secret-of-the-portal"
	guestRedirect = "https://guest." + domain + "/cb"
)

// A client is an MCP client. The honest ones are web servers, or programs, that
// keep one session for each browser; the rogue one hands everything to the
// attacker.
type client struct {
	w        *world
	name     string
	redirect string
	honest   bool
	secret   string
	key      *ecdsa.PrivateKey
	ids      map[string]string // by origin
	pending  map[string]*flow  // by state
	began    []*flow           // by the attacker, who knows its verifiers
	held     []*holding
}

// A flow is one authorization that a client began for a browser.
type flow struct {
	client   *client
	site     *site
	browser  *browser
	state    string
	verifier string
	asked    []string
	prompt   string
}

// A holding is the tokens of a session at a client.
type holding struct {
	client          *client
	site            *site
	browser         *browser
	access, refresh string
}

// newClients makes the clients known at every host.
func (w *world) newClients() {
	w.web = w.newClient("web", "https://client."+domain+"/cb", "Notebook", true)
	w.desk = w.newClient("desk", "http://127.0.0.1/cb", "Notebook", true)
	w.keyed, w.mine = w.newKeyed(), w.newMine()
	w.clients = append(w.clients, w.keyed, w.mine)
	w.evil = w.newClient("evil", "https://evil."+domain+"/cb", hostile, false)
	w.guest, _ = w.register(w.rogueSite, map[string]any{"client_name": "Guest", "redirect_uris": []string{guestRedirect}, "token_endpoint_auth_method": "none"})
	w.portal = &client{w: w, name: "portal", redirect: "https://portal." + domain + "/cb", honest: true, secret: portalSecret, ids: map[string]string{}, pending: map[string]*flow{}}
	for _, s := range w.sites {
		w.portal.ids[s.origin] = "portal"
	}
	w.clients = append(w.clients, w.portal)
}

func (w *world) newClient(name, redirect, called string, honest bool) *client {
	w.tb.Helper()
	c := &client{w: w, name: name, redirect: redirect, honest: honest, ids: map[string]string{}, pending: map[string]*flow{}}
	for _, s := range w.sites {
		id, _ := w.register(s, map[string]any{"client_name": called, "redirect_uris": []string{redirect}, "token_endpoint_auth_method": "none",
			"grant_types": []string{"authorization_code", "refresh_token"}})
		if id == "" {
			w.tb.Fatalf("%s is not registered at %s", name, s.name)
		}
		c.ids[s.origin] = id
	}
	w.clients = append(w.clients, c)
	return c
}

// register registers a client, and returns its id and redirect URIs.
func (w *world) register(s *site, metadata map[string]any) (string, []string) {
	body, _ := json.Marshal(metadata)
	a := w.send(w.request(http.MethodPost, s.origin+"/register", string(body), "Content-Type", "application/json"))
	var kept struct {
		ID        string   `json:"client_id"`
		Redirects []string `json:"redirect_uris"`
	}
	_ = json.Unmarshal([]byte(a.body), &kept)
	return kept.ID, kept.Redirects
}

// begin makes the URL with which a flow begins.
func (c *client) begin(s *site, b *browser) (*flow, string) {
	f := &flow{client: c, site: s, browser: b, state: rand.Text(), verifier: oauth2.GenerateVerifier(), asked: some(c.w, s.scopeNames())}
	if c.w.chance(6) {
		f.prompt = pick(c.w, []string{"consent", "login", "select_account"})
	}
	c.pending[f.state] = f
	if b == c.w.attacker {
		c.began = append(c.began, f)
	}
	return f, s.origin + "/authorize?" + f.params().Encode()
}

func (f *flow) params() url.Values {
	v := url.Values{
		"response_type": {"code"}, "client_id": {f.client.ids[f.site.origin]}, "redirect_uri": {f.client.redirect}, "state": {f.state},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(f.verifier)}, "code_challenge_method": {"S256"}, "resource": {f.site.origin + "/mcp"},
	}
	if len(f.asked) > 0 {
		v.Set("scope", strings.Join(append(slices.Clone(f.asked), "offline_access"), " "))
	}
	if f.prompt != "" {
		v.Set("prompt", f.prompt)
	}
	return v
}

// owns says whether an address is the client's.
func (c *client) owns(address string) bool {
	return strings.HasPrefix(address, c.redirect+"?") || c.name == "evil" && strings.Contains(address, "//evil."+domain)
}

// callback is a browser that comes back. An honest client takes nothing that it
// did not ask for in this very browser, and nothing without the right iss.
func (c *client) callback(b *browser, u *url.URL) {
	q := u.Query()
	f := c.pending[q.Get("state")]
	if f == nil || f.browser != b || c.honest && q.Get("iss") != f.site.origin {
		if f != nil && f.browser == b {
			c.w.breaks("every answer names its issuer", "%s gets %v from %s", c.name, q, f.site.name)
		}
		c.w.said["a client refuses a callback"]++
		return
	}
	delete(c.pending, f.state)
	if q.Get("code") == "" {
		c.w.said["a client is told "+q.Get("error")]++
		return
	}
	c.redeem(f, q.Get("code"))
}

// redeem asks for the tokens of a code.
func (c *client) redeem(f *flow, code string) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {f.verifier}, "redirect_uri": {c.redirect}, "resource": {f.site.origin + "/mcp"}}
	c.token(f.site, f.browser, form, code)
}

// token sends a request to the token endpoint, and keeps what it gets.
func (c *client) token(s *site, b *browser, form url.Values, what string) *holding {
	form.Set("client_id", c.ids[s.origin])
	c.proves(s, form)
	h, _ := c.w.exchange(s, form, c, b, what)
	if h == nil {
		return nil
	}
	c.held = append(c.held, h)
	if len(c.held) > 20 {
		c.held = c.held[1:]
	}
	return h
}

// refresh asks for the next tokens of a session.
func (c *client) refresh(h *holding) {
	if h.refresh == "" {
		return
	}
	next, _ := c.w.exchange(h.site, c.refreshForm(h), c, h.browser, h.refresh)
	if next != nil {
		h.access, h.refresh = next.access, next.refresh
	}
}

func (c *client) refreshForm(h *holding) url.Values {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {h.refresh}, "client_id": {c.ids[h.site.origin]}}
	c.proves(h.site, form)
	return form
}

// of are the holdings of a browser's sessions.
func (c *client) of(b *browser) []*holding {
	return slices.DeleteFunc(slices.Clone(c.held), func(h *holding) bool { return h.browser != b })
}

// holdings are all of a browser's, at every client.
func (w *world) holdings(b *browser) []*holding {
	var all []*holding
	for _, c := range w.clients {
		all = append(all, c.of(b)...)
	}
	return all
}

// callBody is a call of a tool.
func callBody(tool string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
}

// call calls a tool with a token.
func (w *world) call(s *site, token, body string, headers ...string) *answer {
	return w.send(w.request(http.MethodPost, s.origin+"/mcp", body, append([]string{"Authorization", "Bearer " + token,
		"Content-Type", "application/json", "Accept", "application/json, text/event-stream"}, headers...)...))
}
