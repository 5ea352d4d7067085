package web

import (
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// poison is put into every text of every page.
const poison = "\u202e</title></style></script><script src=//evil.example></script><img src=x onerror=alert(1)>\"' onfocus=alert(1) x=\"{{.}}\u0000"

// fill sets every string below v, and gives every list two elements.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(400)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	default:
		panic("no such field expected: " + v.Kind().String())
	}
}

func filled(text string) map[string]Page {
	all := map[string]Page{}
	for _, page := range []Page{&Consent{}, &Signin{}, &Choose{}, &Error{}, &Connect{}, &Account{}, &Notice{}} {
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
			got, err := p.Render(page)
			if err != nil {
				t.Fatal(err)
			}
			for n := range parse(t, got).Descendants() {
				if n.Type != html.ElementNode {
					continue
				}
				if n.Data == "img" || n.Data == "script" && !strings.HasPrefix(attr(n, "src"), AssetPath) {
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

func TestLongTextsAreCutOnEveryPage(t *testing.T) {
	p := pages(t)
	for name, page := range filled(strings.Repeat("long ", 2000)) {
		t.Run(name, func(t *testing.T) {
			got, err := p.Render(page)
			if err != nil {
				t.Fatal(err)
			}
			// Values that go back as they came are ours, and bounded where they are made.
			shown := regexp.MustCompile(` (value|data-ask)="[^"]*"`).ReplaceAll(got, nil)
			if len(shown) > 30_000 {
				t.Errorf("%d bytes", len(shown))
			}
		})
	}
}

func TestTheCatalogueIsBounded(t *testing.T) {
	c := Consent{}
	for range 10_000 {
		c.Scopes = append(c.Scopes, Scope{Name: "a", Tools: make([]Tool, 100)})
	}
	c.Scopes = append(c.Scopes, Scope{Name: "asked", Asked: true})
	if n := len(c.Offered()) + len(c.Folded()); n > maxScopes {
		t.Errorf("%d scopes", n)
	}
	if s := c.Scopes[0]; len(s.Shown()) != maxTools || s.More() != 100-maxTools {
		t.Errorf("%d tools shown, %d more", len(s.Shown()), s.More())
	}
	for _, name := range []string{"", "two words", "quo\"te", "back\\slash", "uml\u00e4ut", "line\nend", strings.Repeat("x", 129)} {
		if usable(name) {
			t.Errorf("%q is offered, but can stand in no token", name)
		}
	}
}

func TestHeaders(t *testing.T) {
	h := http.Header{}
	Headers(h)
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"Content-Type": "text/html; charset=utf-8", "Cross-Origin-Resource-Policy": "same-origin",
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
