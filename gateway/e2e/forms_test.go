//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// A visitor goes through the pages as a person without scripts does: follows
// redirects, and sends back the first form of each page.
type visitor struct {
	client *http.Client
	types  map[string]string   // what is typed into which field
	ticks  func(string) bool   // which scopes are ticked; nil: all
	saw    map[string][]string // the values of every field met, by its name
}

// visit goes from the URL to the redirect URI, and returns the query it came
// with.
func (v *visitor) visit(t *testing.T, from, redirect string) url.Values {
	t.Helper()
	v.saw = map[string][]string{}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, from, nil)
	for range 20 {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(req.URL.String(), redirect) {
			return req.URL.Query()
		}
		req, err = v.step(req)
	}
	t.Fatalf("%s never leads to %s", from, redirect)
	return nil
}

// step sends the request and returns the one that follows from its answer.
func (v *visitor) step(req *http.Request) (*http.Request, error) {
	res, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 == 3 {
		to, err := res.Location()
		if err != nil {
			return nil, err
		}
		return http.NewRequestWithContext(req.Context(), http.MethodGet, to.String(), nil)
	}
	page, err := html.Parse(res.Body)
	if err != nil {
		return nil, err
	}
	form := find(page, func(n *html.Node) bool { return n.Data == "form" && strings.EqualFold(attr(n, "method"), "post") })
	if res.StatusCode != http.StatusOK || form == nil {
		return nil, fmt.Errorf("stuck at %s: %s: %s", req.URL, res.Status, words(page))
	}
	return v.fill(req, form)
}

// fill is the form's request, with its fields as this visitor leaves them.
func (v *visitor) fill(from *http.Request, form *html.Node) (*http.Request, error) {
	fields := url.Values{}
	for n := range form.Descendants() {
		name, value := attr(n, "name"), attr(n, "value")
		if n.Type != html.ElementNode || name == "" {
			continue
		}
		v.saw[name] = append(v.saw[name], value)
		typed, known := v.types[name]
		switch {
		case known:
			fields.Set(name, typed)
		case n.Data == "button" && name == "decision":
			fields.Set(name, "allow")
		case attr(n, "type") == "hidden", name == "scope" && (v.ticks == nil || v.ticks(value)):
			fields.Add(name, value)
		}
	}
	to, err := from.URL.Parse(attr(form, "action"))
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(from.Context(), http.MethodPost, to.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	// What every browser sends with a form, and what protects the pages.
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", from.URL.Scheme+"://"+from.URL.Host)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return req, nil
}

func find(in *html.Node, is func(*html.Node) bool) *html.Node {
	for n := range in.Descendants() {
		if n.Type == html.ElementNode && is(n) {
			return n
		}
	}
	return nil
}

func attr(n *html.Node, key string) string {
	if i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key }); i >= 0 {
		return n.Attr[i].Val
	}
	return ""
}

// words is what a page says, for a test's failure.
func words(page *html.Node) string {
	var all []string
	for n := range page.Descendants() {
		if n.Type == html.TextNode {
			all = append(all, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(all, " ")
}
