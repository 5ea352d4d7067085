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
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"sync"
)

//go:embed templates texts style.css consent.js passkey.js
var files embed.FS

const layoutFile = "templates/layout.html" // around all the others

// Page is one of the structs of this package that are shown as a page.
type Page interface {
	// template names the file under templates/ that shows it.
	template() string
}

// Pages renders pages. It may be used by any number of goroutines.
type Pages struct {
	brand  Brand
	views  map[string]view // by language and file
	policy func() string
	assets map[string]asset
}

// A view shows one page in one language. Its templates are parsed when it is
// asked for first, in a millisecond: all of them in all languages were half of a
// program's start. They are embedded, so whether they can be parsed is for tests
// to say.
type view func() (*template.Template, error)

// frame is what the layout is given: the page and what surrounds it.
type frame struct {
	Brand Brand
	Page  Page
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
	p := &Pages{brand: b, views: map[string]view{}, policy: sync.OnceValue(func() string { return policyFor(style()) })}
	if p.assets, err = assetsOf(b); err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	for _, lang := range Languages {
		layout := sync.OnceValues(func() (*template.Template, error) { return p.layout(lang, style()) })
		for _, name := range names {
			if name == layoutFile {
				continue
			}
			p.views[lang+"/"+name] = sync.OnceValues(func() (*template.Template, error) { return parsePage(layout, name) })
		}
	}
	return p, nil
}

// layout is what surrounds every page in a language. Its templates say
// everything through helpers.
func (p *Pages) layout(lang, style string) (*template.Template, error) {
	texts, err := readTexts(lang)
	if err != nil {
		return nil, err
	}
	return template.New("layout.html").Funcs(p.helpers(lang, texts, style)).ParseFS(files, layoutFile)
}

// parsePage puts the template of a page into a layout.
func parsePage(layout view, name string) (*template.Template, error) {
	around, err := layout()
	if err != nil {
		return nil, err
	}
	own, err := around.Clone() // pages that share it must not see each other
	if err != nil {
		return nil, err
	}
	return own.ParseFS(files, name)
}

// Render returns the page as HTML in one of Languages. It is all there or an
// error: a caller that writes the bytes never shows half a page.
func (p *Pages) Render(lang string, page Page) ([]byte, error) {
	parsed, ok := p.views[lang+"/templates/"+page.template()]
	if !ok {
		return nil, fmt.Errorf("no template %q in %q", page.template(), lang)
	}
	t, err := parsed()
	if err != nil {
		return nil, fmt.Errorf("parse %s in %q: %w", page.template(), lang, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, frame{Brand: p.brand, Page: page}); err != nil {
		return nil, fmt.Errorf("render %s: %w", page.template(), err)
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
