package gateway

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// RoundTrip leads every public name to the listener of the fixture, as if the
// TLS of a proxy in front had ended there.
func (f *fixture) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	r.URL.Scheme, r.URL.Host = "http", f.listener.Listener.Addr().String()
	return f.listener.Client().Transport.RoundTrip(r)
}

// An answer is a response that was read, and what was asked for.
type answer struct {
	*http.Response
	body string
	at   *url.URL
}

func send(t testing.TB, c *http.Client, r *http.Request) answer {
	t.Helper()
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(body), r.URL}
}

func newRequest(t testing.TB, method, address, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// ask sends a request as a program does: no cookies, and redirects are shown.
// Headers are name, value, name, value.
func (f *fixture) ask(t testing.TB, method, address, body string, headers ...string) answer {
	t.Helper()
	c := &http.Client{Transport: f, CheckRedirect: asIs}
	return send(t, c, newRequest(t, method, address, body, headers...))
}

func (f *fixture) get(t testing.TB, address string, headers ...string) answer {
	t.Helper()
	return f.ask(t, http.MethodGet, address, "", headers...)
}

func asIs(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// A browser keeps cookies, and says where its forms come from.
type browser struct {
	f       *fixture
	client  *http.Client
	headers []string // sent with everything
}

func (f *fixture) newBrowser(t testing.TB, headers ...string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{f, &http.Client{Transport: f, Jar: jar, CheckRedirect: asIs}, headers}
}

// open goes to an address as a person does, and on through our own redirects.
func (b *browser) open(t testing.TB, address string) answer {
	t.Helper()
	return b.follow(t, b.once(t, address))
}

// once goes to an address and no further.
func (b *browser) once(t testing.TB, address string) answer {
	t.Helper()
	return send(t, b.client, newRequest(t, http.MethodGet, address, "", append([]string{"Accept", "text/html,*/*"}, b.headers...)...))
}

// post sends a form of a page of ours.
func (b *browser) post(t testing.TB, address string, form url.Values, headers ...string) answer {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	all := append([]string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html,*/*"}, b.headers...)
	if len(headers) == 0 {
		headers = []string{"Origin", u.Scheme + "://" + u.Host, "Sec-Fetch-Site", "same-origin"}
	}
	return send(t, b.client, newRequest(t, http.MethodPost, address, form.Encode(), append(all, headers...)...))
}

// follow goes where we send the browser, as long as that is at our own hosts.
// Every redirect there is must be a 303 that nobody keeps (U10, Z16).
func (b *browser) follow(t testing.TB, a answer) answer {
	t.Helper()
	for range 10 {
		if a.StatusCode/100 != 3 {
			return a
		}
		a.wantSeeOther(t)
		to := a.location(t)
		if to.Host != a.at.Host {
			return a
		}
		a = b.once(t, to.String())
	}
	t.Fatalf("%s is sent round in circles", a.at)
	return a
}

func (a answer) wantSeeOther(t testing.TB) {
	t.Helper()
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("U10, Z16: %s is answered with %s, %v; want a 303 that is neither kept nor told of", a.at.Path, a.Status, a.Header)
	}
}

func (a answer) location(t testing.TB) *url.URL {
	t.Helper()
	to, err := a.at.Parse(a.Header.Get("Location"))
	if err != nil || a.Header.Get("Location") == "" {
		t.Fatalf("no redirect: %s %q: %s", a.Status, a.Header.Get("Location"), a.text())
	}
	return to
}

// cookies are the names of the browser's cookies at an origin.
func (b *browser) cookies(t testing.TB, origin string) map[string]string {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range b.client.Jar.Cookies(u) {
		all[c.Name] = c.Value
	}
	return all
}

// A form is the first one on a page, with its fields as the page has them.
type form struct {
	action  string
	values  url.Values // hidden fields, and boxes that are ticked
	boxes   []string   // every checkbox of name scope
	buttons []string   // name=value
}

func (a answer) form(t testing.TB) form {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Data == "form" && attributeOf(n, "method") == "post" {
			return readForm(n)
		}
	}
	t.Fatalf("no form at %s: %s: %s", a.at, a.Status, a.text())
	return form{}
}

func readForm(in *html.Node) form {
	f := form{action: attributeOf(in, "action"), values: url.Values{}}
	for n := range in.Descendants() {
		name, value := attributeOf(n, "name"), attributeOf(n, "value")
		switch {
		case n.Type != html.ElementNode || name == "":
		case n.Data == "button":
			f.buttons = append(f.buttons, name+"="+value)
		case attributeOf(n, "type") == "checkbox":
			f.boxes = append(f.boxes, value)
			if slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "checked" }) {
				f.values.Add(name, value)
			}
		case attributeOf(n, "type") == "hidden":
			f.values.Add(name, value)
		}
	}
	return f
}

func attributeOf(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// text is what a page says, on one line.
func (a answer) text() string {
	doc, err := html.Parse(strings.NewReader(a.body))
	if err != nil || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		return a.body
	}
	var said []string
	for n := range doc.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" {
			said = append(said, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(said, " ")
}

// links are the addresses that a page leads to.
func (a answer) links(t testing.TB) []string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for n := range doc.Descendants() {
		if n.Data == "a" {
			all = append(all, attributeOf(n, "href"))
		}
	}
	return all
}

// submit sends the first form of a page with some fields set: name, value, …
// Values of scope replace what is ticked.
func (b *browser) submit(t testing.TB, page answer, fields ...string) answer {
	t.Helper()
	f := page.form(t)
	for i := 0; i < len(fields); i += 2 {
		if i == 0 || fields[i] != fields[i-2] {
			f.values.Del(fields[i])
		}
		if fields[i+1] != "" {
			f.values.Add(fields[i], fields[i+1])
		}
	}
	to, err := page.at.Parse(f.action)
	if err != nil {
		t.Fatal(err)
	}
	return b.follow(t, b.post(t, to.String(), f.values))
}

// allow ticks the scopes and presses Allow; without scopes it leaves the ticks
// as they are.
func (b *browser) allow(t testing.TB, page answer, scopes ...string) answer {
	t.Helper()
	fields := []string{"decision", "allow"}
	for _, s := range scopes {
		fields = append(fields, "scope", s)
	}
	return b.submit(t, page, fields...)
}

func (b *browser) deny(t testing.TB, page answer) answer {
	t.Helper()
	return b.submit(t, page, "decision", "deny")
}

// signIn fills in the local sign-in.
func (b *browser) signIn(t testing.TB, page answer, username string) answer {
	t.Helper()
	return b.submit(t, page, "username", username, "password", passphrase)
}
