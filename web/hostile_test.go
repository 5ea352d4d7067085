package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// poison is put into every text of every page.
const poison = "\u202e</title></style></script><script src=//evil.example></script><img src=x onerror=alert(1)>\"' onfocus=alert(1) x=\"{{.}}\u0000"

// fill sets every string below v, and gives every list two elements.
func fill(v reflect.Value, text string) {
	switch v.Type() {
	case reflect.TypeFor[Message]():
		v.Set(reflect.ValueOf(Say(LimitUnusable, text, text)))
		return
	case reflect.TypeFor[Key]():
		v.SetString(string(PartInput))
		return
	case reflect.TypeFor[Fault]():
		v.SetString(string(FaultNotAllowed))
		return
	case reflect.TypeFor[ChangeKind]():
		v.SetString(string(ToolNew))
		return
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	default:
		panic("no such field expected: " + v.Kind().String())
	}
}

func filled(text string) map[string]Page {
	all := map[string]Page{}
	for _, page := range []Page{&Consent{}, &Signin{}, &Choose{}, &Error{}, &Connect{}, &Account{}, &SignedOut{}} {
		v := reflect.ValueOf(page).Elem()
		fill(v, text)
		all[v.Type().Name()] = page
	}
	return all
}

func TestNothingForeignBecomesMarkup(t *testing.T) {
	p := pages(t)
	for name, page := range filled(poison) {
		t.Run("S3 "+name, func(t *testing.T) {
			got, err := p.Render("en", page)
			if err != nil {
				t.Fatal(err)
			}
			for n := range parse(t, got).Descendants() {
				if n.Type != html.ElementNode {
					continue
				}
				if n.Data == "img" && attr(n, "class") != "logo" || n.Data == "script" && !strings.HasPrefix(attr(n, "src"), AssetPath) {
					t.Errorf("element <%s> came in", n.Data)
				}
				for _, a := range n.Attr {
					if strings.HasPrefix(a.Key, "on") || strings.Contains(a.Val, "evil") && a.Key != "value" && a.Key != "data-ask" {
						t.Errorf("<%s> got the attribute %s=%q", n.Data, a.Key, a.Val)
					}
				}
			}
		})
	}
}

// In an attribute, a text stays that text, and a link goes where it went.
func TestAttributesHoldWhatTheyWereGiven(t *testing.T) {
	p := pages(t)
	const text = `"' onfocus=alert(1) x="><img src=x>&amp;&quot;`
	show := func(page Page) []byte {
		t.Helper()
		got, err := p.Render("en", page)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	var values []string
	for _, input := range elements(t, show(Signin{Username: text, Password: text, Request: text, Passkey: text}), "input") {
		if name := attr(input, "name"); name == "username" || name == "password" || name == "r" {
			values = append(values, attr(input, "value"))
		}
	}
	if want := []string{text, text, text, text}; !slices.Equal(values, want) { // r is in two forms
		t.Errorf("S3 %q, want %q", values, want)
	}
	for _, tc := range []struct{ link, want string }{
		{"https://claude.ai/cb?error=a&state=%22&amp;x='", "https://claude.ai/cb?error=a&state=%22&amp;x='"},
		{"/signin?r=a&b=1", "/signin?r=a&b=1"},
		{"javascript:alert(1)", ""}, {"JaVaScRiPt://a/%0aalert(1)", ""}, {"data:text/html,x", ""}, {"vbscript:x", ""},
		{`https://a.example/" onfocus="alert(1)`, ""}, {"//evil.example/", ""}, {text, ""},
	} {
		page := show(Error{Link: tc.link, Retry: tc.link})
		links := elements(t, page, "a")
		if wants := 2; (tc.want != "" || len(links) > 0) && len(links) != wants {
			t.Errorf("S3 %q: %d links", tc.link, len(links))
		}
		for _, a := range links {
			if attr(a, "href") != tc.want || len(a.Attr) > 3 {
				t.Errorf("S3 %q became %v", tc.link, a.Attr)
			}
		}
	}
	if page := show(Consent{Request: `r&tick=all"><b>`, Scopes: []Scope{{Name: "a"}}}); !strings.Contains(string(page), `href="/consent?r=r%26tick%3Dall%22%3E%3Cb%3E&amp;tick=none"`) {
		t.Errorf("S3 the link that ticks: %s", page)
	}
}

// Whatever templ offers to go around its escaping is used nowhere, and markup is
// made where it is said to be.
func TestMarkupIsMadeInOneRoom(t *testing.T) {
	names, err := filepath.Glob("*.*")
	if err != nil {
		t.Fatal(err)
	}
	around := regexp.MustCompile(`\bmarkup\{|templ\.(Raw|Safe\w+|JS\w*|FromGoHTML)\b|\bstyle=|\son\w+=|<script>`)
	for _, name := range names {
		kind := filepath.Ext(name)
		if kind != ".go" && kind != ".templ" || strings.HasSuffix(name, "_test.go") || name == "markup.go" || name == "texts.go" {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := around.Find(source); found != nil {
			t.Errorf("S3 %s has %s", name, found)
		}
	}
}

// whole is what a browser loads for a page.
func whole(t testing.TB, p *Pages, page []byte) int {
	t.Helper()
	n := len(page)
	for _, script := range elements(t, page, "script") {
		name, _, _ := strings.Cut(strings.TrimPrefix(attr(script, "src"), AssetPath), "?")
		body, ok := p.Asset(name, http.Header{})
		if !ok {
			t.Errorf("%s is not served", name)
		}
		n += len(body)
	}
	return n
}

// longs are texts that are long in every way there is: characters, bytes, and
// what they become in markup.
var longs = map[string]string{
	"letters": strings.Repeat("long ", 200), "quotes": strings.Repeat(`"&<`, 300), "emoji": strings.Repeat("🦊", 400),
	"towers": strings.Repeat("Z\u0301\u0301\u0301\u0301", 200), "hidden": strings.Repeat("\u202e\u200b", 300), "kanji": strings.Repeat("漢字", 300),
}

func TestAHostilePageIsUnder30kBInEveryLanguage(t *testing.T) {
	p := brandedPages(t)
	for name, text := range longs {
		for kind, page := range crowded(text) {
			most := 0
			for _, lang := range Languages {
				got, err := p.Render(lang, page)
				if err != nil {
					t.Fatal(err)
				}
				n := whole(t, p, got)
				most = max(most, n)
				if n >= maxPage {
					t.Errorf("%s of %s in %s: %d bytes", kind, name, lang, n)
				}
			}
			t.Logf("%s of %s: at most %d bytes", kind, name, most)
		}
	}
}

// crowded are pages with more of everything than anybody has.
func crowded(text string) map[string]Page {
	all := filled(text)
	consent := *all["Consent"].(*Consent) //nolint:forcetypeassert // it is what filled makes
	consent.Request, consent.Seen, consent.Duration = "r-1", "v1", "max"
	for i := range consent.Durations {
		consent.Durations[i].ID = "1h"
	}
	plain := consent
	plain.Changes = nil
	for _, c := range []*Consent{&consent, &plain} {
		c.Scopes = nil
		for i := range 200 {
			c.Scopes = append(c.Scopes, Scope{Name: "scope-" + strconv.Itoa(i) + strings.Repeat("x", i%110), Description: text, Asked: i%3 == 0, Ticked: i%5 == 0,
				Destructive: i%2 == 0, Tools: slices.Repeat([]Tool{{Name: text, Description: text}}, 50), Covers: slices.Repeat([]string{"scope-1"}, 100)})
		}
	}
	consent.Changes = slices.Repeat(consent.Changes, 20)
	account := *all["Account"].(*Account) //nolint:forcetypeassert // the same
	for i := range account.Connections {
		account.Connections[i].Grant, account.Connections[i].Scopes = "g1", slices.Repeat([]string{text}, 100)
	}
	for i := range account.Passkeys.List {
		account.Passkeys.List[i].ID = strings.Repeat("k", 43)
	}
	account.From, account.Connections, account.Attempts = 0, slices.Repeat(account.Connections, 250), slices.Repeat(account.Attempts, 50)
	account.Passkeys.Ask, account.Passkeys.List = strings.Repeat("x", 3000), slices.Repeat(account.Passkeys.List, 10)
	keyless := account
	keyless.Passkeys = nil
	delete(all, "Signin") // its fields go back as they came, and are bounded where they are made
	delete(all, "Choose")
	all["Consent"], all["Consent without changes"], all["Account"], all["Account without passkeys"] = consent, plain, account, keyless
	return all
}

func TestAllOfManyScopesIsOffered(t *testing.T) {
	var c Consent
	for i := range 100 { // the most that routing takes of a server
		c.Scopes = append(c.Scopes, Scope{Name: "toolbox:permission_" + strconv.Itoa(i), Description: strings.Repeat("It is described at length. ", 20), Asked: i < 10, Tools: make([]Tool, 10)})
	}
	m := c.menu()
	if m.First.Len() != 10 || m.Rest.Len() != 90 || m.Withheld != 0 {
		t.Errorf("%d asked for, %d others, %d withheld", m.First.Len(), m.Rest.Len(), m.Withheld)
	}
	if len(m.First.Each) != 10 || !strings.HasPrefix(m.First.Each[0].Description, "It is described") {
		t.Error("what was asked for is not described")
	}
	t.Run("all of them asked for", func(t *testing.T) {
		for i := range c.Scopes {
			c.Scopes[i].Asked = true
		}
		if m := c.menu(); m.First.Len() != 100 || m.Withheld != 0 {
			t.Errorf("%d, %d withheld", m.First.Len(), m.Withheld)
		}
	})
	t.Run("and of few, everything that is said", func(t *testing.T) {
		s := Scope{Name: "a", Description: strings.Repeat("d", 240), Covers: slices.Repeat([]string{"b"}, 40), Tools: []Tool{{Name: "t", Description: strings.Repeat("d", 240)}}}
		v := Consent{Scopes: []Scope{s}}.menu().First.Each[0]
		if v.Description != s.Description || v.Tools[0].Description != s.Description || len(v.Covers) != 40 {
			t.Errorf("%+v", v)
		}
	})
}

func TestWhatDoesNotFitIsNotOfferedAndCounted(t *testing.T) {
	c := Consent{}
	for range 10_000 {
		c.Scopes = append(c.Scopes, Scope{Name: "a", Tools: make([]Tool, 100)})
	}
	c.Scopes = append(c.Scopes, Scope{Name: "asked", Asked: true})
	m := c.menu()
	if m.First.Each[0].Name != "asked" || m.Withheld == 0 || m.First.Len()+m.Rest.Len()+m.Withheld != len(c.Scopes) {
		t.Errorf("%d first, %d rest, %d withheld", m.First.Len(), m.Rest.Len(), m.Withheld)
	}
	for _, name := range []string{"", "two words", "quo\"te", "back\\slash", "uml\u00e4ut", "line\nend", strings.Repeat("x", 129)} {
		if usable(name) {
			t.Errorf("%q is offered, but can stand in no token", name)
		}
	}
}

// A limit that somebody set holds as long as its field comes back.
func TestAPinnedValueIsNeverLeftOut(t *testing.T) {
	c := Consent{}
	for i := range 100 {
		s := Scope{Name: "scope-" + strconv.Itoa(i), Description: strings.Repeat("d", 300), Asked: true, Tools: slices.Repeat([]Tool{{Name: "other", Description: strings.Repeat("d", 300)}}, 20)}
		if i == 7 {
			s.Tools = append(s.Tools, Tool{Name: "pinned", Limits: []Limit{{Field: "only:pinned:repo", Value: "me/notes"}}})
		}
		c.Scopes = append(c.Scopes, s)
	}
	got, err := pages(t).Render("en", c)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), `name="only:pinned:repo" value="me/notes"`) {
		t.Error("the pinned value is gone")
	}
}

func TestHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Language", "fr")
	if err := pages(t).Show(w, r, http.StatusTeapot, SignedOut{}); err != nil || w.Code != http.StatusTeapot || !strings.Contains(w.Body.String(), `<html lang="fr">`) {
		t.Fatalf("%v, %d, %s", err, w.Code, w.Body)
	}
	h := w.Header()
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"Content-Type": "text/html; charset=utf-8", "Cross-Origin-Resource-Policy": "same-origin", "Vary": "Accept-Language",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("S13 %s: %q, want %q", name, got, want)
		}
	}
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("S3, S13: policy %q lacks %s", csp, want)
		}
	}
	if strings.Contains(csp, "form-action") || strings.Contains(csp, "unsafe") {
		t.Errorf("S12: policy %q", csp)
	}
}
