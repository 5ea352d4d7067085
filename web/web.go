// Package web is what people see: the consent, sign-in, chooser, error,
// connect, account and signed-out pages, in the reader's language.
//
// It promises that a page is whole before its first byte is written, that with
// its stylesheet and scripts it is under 30 kB whatever a client or an MCP
// server says of itself, that nothing they say can change the layout, pose as
// text of ours or reach another page, and that a page asks nothing of any other
// host and needs no script. It does not know sessions or OAuth: pages are
// structs of plain values.
package web

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"net/http"
	"sync"

	"github.com/a-h/templ"
)

// Pages are written in *.templ, from which the *_templ.go are made. Their
// generator is not in go.mod: it would bring ten modules along.

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.1100 generate

//go:embed texts style.css consent.js passkey.js
var files embed.FS

// Page is one of the structs of this package that are shown as a page.
type Page interface {
	// page is the whole document, in the .templ file that is named after the
	// struct. It is never inlined: the compiler would write all of it once more
	// for pointers to the struct, which is 200 kB of the program.
	page(*speaker) templ.Component
}

// Pages renders pages. It may be used by any number of goroutines.
type Pages struct {
	brand    Brand
	style    func() markup
	policy   func() string
	assets   map[string]asset
	speakers map[string]func() (*speaker, error) // by language
}

// New returns the pages of a brand.
func New(b Brand) (*Pages, error) {
	if b.Name == "" {
		b.Name = "MCP access"
	}
	lines, err := terse("style.css", "/*")
	if err != nil {
		return nil, err
	}
	style := sync.OnceValue(func() string { return stylesheet(lines, b.Accent) }) // 1 ms, for the first page
	p := &Pages{
		brand:    b,
		style:    sync.OnceValue(func() markup { return inlined(style()) }),
		policy:   sync.OnceValue(func() string { return policyFor(style()) }),
		speakers: map[string]func() (*speaker, error){},
	}
	if p.assets, err = assetsOf(b); err != nil {
		return nil, err
	}
	for _, lang := range Languages {
		// Its texts are read when somebody asks for the language; they are
		// embedded, so whether they can be read is for tests to say.
		p.speakers[lang] = sync.OnceValues(func() (*speaker, error) {
			texts, err := readTexts(lang)
			return &speaker{texts, p, lang}, err
		})
	}
	return p, nil
}

// usualPage is what most pages fit into.
const usualPage = 16 << 10

// Render returns the page as HTML in one of Languages. It is all there or an
// error: a caller that writes the bytes never shows half a page.
func (p *Pages) Render(lang string, page Page) ([]byte, error) {
	speak, ok := p.speakers[lang]
	if !ok {
		return nil, fmt.Errorf("no page is in %q", lang)
	}
	s, err := speak()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(usualPage)
	if err := page.page(s).Render(context.Background(), &b); err != nil {
		return nil, fmt.Errorf("render %T in %q: %w", page, lang, err)
	}
	return b.Bytes(), nil
}

// Show answers a request with a page, in the language that its browser asks
// for. Nothing is written if the page cannot be rendered.
func (p *Pages) Show(w http.ResponseWriter, r *http.Request, status int, page Page) error {
	body, err := p.Render(Language(r.Header.Get("Accept-Language")), page)
	if err != nil {
		return err
	}
	p.headers(w.Header())
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}
