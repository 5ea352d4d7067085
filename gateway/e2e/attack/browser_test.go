//go:build e2e

package attack

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// A browser keeps cookies by the rules of RFC 6265bis, says where its requests
// come from, and has tabs. One person sits in front of it, who has an account
// at both providers.
type browser struct {
	w      *world
	name   string // of the person
	person string // whom the providers see; the attacker's changes
	jar    map[string]*cookie
	tabs   []*tab

	signedIn map[*site]string // the subject
}

// A cookie of the gateway's; a domain one is sent to every host here.
type cookie struct {
	name, value, host string // host is empty for a domain cookie
	sameSite          http.SameSite
}

// A tab is somewhere on the way through a flow.
type tab struct {
	next string // the URL to open
	at   string // the URL of the page
	form *form
	lure bool   // somebody else's link began it
	by   string // the provider at which its person will sign in; empty: any
}

// A form is the first of a page that is posted.
type form struct {
	path    string
	hidden  url.Values
	boxes   []string // of scope
	choices []string // of provider
	limits  []string // fields that hold a tool to an argument
	asks    bool     // for a name and a password
	text    string   // of the page
}

func newBrowser(w *world, name string) *browser {
	return &browser{w: w, name: name, person: name, jar: map[string]*cookie{}, signedIn: map[*site]string{}}
}

// origin of a page that sends a request.
const (
	evilOrigin = "https://evil." + domain // a neighbour: same site, another origin
	farOrigin  = "https://evil.invalid"
)

// cookies are what goes along. A form of another site takes none that are Lax.
func (b *browser) cookies(host, method, origin string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(b.jar)) {
		c := b.jar[key]
		far := origin == farOrigin && method == http.MethodPost && c.sameSite != http.SameSiteNoneMode
		if (c.host == host || c.host == "") && !far {
			out = append(out, c.name+"="+c.value)
		}
	}
	return strings.Join(out, "; ")
}

// keep stores a cookie as a browser does: the prefix is a promise. A neighbour
// of the gateway may only set one for the whole domain.
func (b *browser) keep(c *http.Cookie, host string) {
	if strings.HasPrefix(c.Name, "__Host-") && (!c.Secure || c.Path != "/" || c.Domain != "") {
		return
	}
	k := &cookie{name: c.Name, value: c.Value, host: host, sameSite: c.SameSite}
	if c.Domain != "" {
		k.host = ""
	}
	key := k.host + " " + k.name
	if c.MaxAge < 0 {
		delete(b.jar, key)
		return
	}
	b.jar[key] = k
}

// open navigates to an address of the gateway.
func (b *browser) open(address, origin string) *answer {
	return b.do(http.MethodGet, address, nil, origin)
}

// do sends a request as a page of origin makes it; an empty one is a link that
// somebody typed.
func (b *browser) do(method, address string, data url.Values, origin string) *answer {
	r := b.w.request(method, address, data.Encode(), "Accept", "text/html,*/*", "User-Agent", b.name)
	if r.URL.Host == "" {
		return &answer{header: http.Header{}}
	}
	own := "https://" + r.URL.Host
	switch origin {
	case "":
		r.Header.Set("Sec-Fetch-Site", "none")
	case own:
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	case farOrigin:
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	default:
		r.Header.Set("Sec-Fetch-Site", "same-site")
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
	}
	if c := b.cookies(r.URL.Host, method, origin); c != "" {
		r.Header.Set("Cookie", c)
	}
	before := b.w.outcome(r, b)
	a := b.w.send(r)
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		b.keep(c, r.URL.Host)
		if s := b.w.site(r.URL.Host); s != nil && strings.Contains(c.Name, "mcp-oauth2-proxy-r-") {
			_, rest, _ := strings.Cut(c.Name, "-r-")
			b.w.marks[s], _, _ = strings.Cut(rest, "-")
		}
		if c.Value != "" {
			b.w.secrets = append(b.w.secrets, c.Value)
		}
	}
	b.w.judge(before, a)
	return a
}

// step goes on in a tab, and says whether there is more to do in it.
func (b *browser) step(t *tab) bool {
	switch {
	case t.next != "":
		return b.navigate(t)
	case t.form != nil:
		return b.submit(t)
	}
	return false
}

func (b *browser) navigate(t *tab) bool {
	address := t.next
	t.next, t.form = "", nil
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return false
	}
	if b.name == "victim" && !t.lure {
		b.w.seen = append(b.w.seen, address)
	}
	if b.w.site(u.Host) != nil || u.Host == b.w.callback {
		return b.arrive(t, address, b.open(address, ""))
	}
	for _, p := range []*provider{b.w.honest, b.w.rogue} {
		if strings.HasPrefix(address, p.Issuer+"/") {
			b.w.said["at the "+p.name+" provider"]++
			t.next = p.visit(address, b.person)
			return t.next != ""
		}
	}
	for _, c := range b.w.clients {
		if c.owns(address) {
			c.callback(b, u)
			return false
		}
	}
	return false
}

// arrive reads an answer of the gateway.
func (b *browser) arrive(t *tab, address string, a *answer) bool {
	t.at = address
	if a.to != nil && a.status/100 == 3 {
		t.next = a.to.String()
		return true
	}
	if a.status == http.StatusOK || a.status == http.StatusUnauthorized {
		t.form = readForm(a.body)
	}
	return t.form != nil
}

// submit fills the form in as its person would: the victim allows what it began
// itself with a client that is not the attacker's, and never more than it wants.
func (b *browser) submit(t *tab) bool {
	f, data := t.form, maps.Clone(t.form.hidden)
	u, err := url.Parse(t.at)
	if err != nil {
		return false
	}
	switch f.path {
	case "/consent":
		b.decide(t, data)
	case "/signin":
		if f.asks {
			b.signsIn(data)
			break
		}
		data.Set("provider", pick(b.w, f.choices))
		if b.name == "victim" && b.w.rng.IntN(3) > 0 {
			data.Set("provider", "honest")
		}
		if t.by != "" {
			data.Set("provider", t.by)
		}
	default:
		return false
	}
	t.form = nil
	origin := "https://" + u.Host
	return b.arrive(t, origin+f.path, b.do(http.MethodPost, origin+f.path, data, origin))
}

func (b *browser) decide(t *tab, data url.Values) {
	f := t.form
	limits := b.w.chance(2) && len(f.limits) > 0
	for _, field := range f.limits {
		if limits {
			data.Set(field, limitedTo)
		}
	}
	if req := b.w.requests.of[data.Get("r")]; req != nil {
		req.edition, req.limited = editionOn(f.text), limits
	}
	data.Set("decision", "deny")
	honest := !strings.Contains(f.text, "evil."+domain)
	if b.name == "victim" && (!honest || t.lure && b.w.chance(2)) || b.w.chance(8) {
		return
	}
	data.Set("decision", "allow")
	data["scope"] = some(b.w, f.boxes)
	if len(data["scope"]) == 0 {
		data["scope"] = f.boxes[:min(1, len(f.boxes))]
	}
	if b.name == "attacker" && b.w.chance(6) { // a box that was not there
		data["scope"] = append(data["scope"], pick(b.w, []string{"admin", "offline_access", "tasks:all", "notes:all notes:write"}))
	}
}

// plant sets cookies for the whole domain, as a neighbour's page may.
func (b *browser) plant(cookies map[string]*cookie) {
	for _, key := range slices.Sorted(maps.Keys(cookies)) {
		c := cookies[key]
		b.keep(&http.Cookie{Name: c.name, Value: c.value, Domain: domain, Path: "/", Secure: true, SameSite: http.SameSiteLaxMode}, "evil")
	}
}

// ownCookies are the browser's of one kind, "r" for requests and "s" for sessions.
func (b *browser) ownCookies(kind string) []*cookie {
	var out []*cookie
	for _, key := range slices.Sorted(maps.Keys(b.jar)) {
		if strings.Contains(b.jar[key].name, "mcp-oauth2-proxy-"+kind+"-") {
			out = append(out, b.jar[key])
		}
	}
	return out
}

// carries says whether the browser was given a request at a host.
func (b *browser) carries(host, id string) bool {
	return slices.ContainsFunc(b.ownCookies("r"), func(c *cookie) bool { return c.host == host && strings.HasSuffix(c.name, "-"+id) })
}

func readForm(body string) *form {
	page, err := html.Parse(strings.NewReader(body))
	if err != nil {
		return nil
	}
	found := find(page, func(n *html.Node) bool { return n.Data == "form" && strings.EqualFold(attr(n, "method"), "post") })
	if found == nil {
		return nil
	}
	f := &form{path: attr(found, "action"), hidden: url.Values{}, text: body}
	walk(found, func(n *html.Node) {
		name, value := attr(n, "name"), attr(n, "value")
		switch {
		case n.Data == "input" && attr(n, "type") == "hidden":
			f.hidden.Add(name, value)
		case n.Data == "input" && name == "scope":
			f.boxes = append(f.boxes, value)
		case n.Data == "input" && strings.HasPrefix(name, "only:"):
			f.limits = append(f.limits, name)
		case n.Data == "input" && attr(n, "type") == "password":
			f.asks = true
		case n.Data == "button" && name == "provider":
			f.choices = append(f.choices, value)
		}
	})
	return f
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func walk(n *html.Node, fn func(*html.Node)) {
	if n.Type == html.ElementNode {
		fn(n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, fn)
	}
}

func find(n *html.Node, ok func(*html.Node) bool) (found *html.Node) {
	walk(n, func(n *html.Node) {
		if found == nil && ok(n) {
			found = n
		}
	})
	return found
}

func (b *browser) String() string { return fmt.Sprintf("the %s's browser", b.name) }
