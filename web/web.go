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
)

//go:embed templates texts style.css consent.js passkey.js
var files embed.FS

// Page is one of the structs of this package that are shown as a page.
type Page interface {
	// template names the file under templates/ that shows it.
	template() string
}

// Pages renders pages. It may be used by any number of goroutines.
type Pages struct {
	brand  Brand
	views  map[string]*template.Template // by language and file
	policy string
	assets map[string]asset
}

// frame is what the layout is given: the page and what surrounds it.
type frame struct {
	Brand Brand
	Page  Page
}

// New parses the embedded templates, once for each language.
func New(b Brand) (*Pages, error) {
	if b.Name == "" {
		b.Name = "MCP access"
	}
	style, err := stylesheet(b)
	if err != nil {
		return nil, err
	}
	p := &Pages{brand: b, views: map[string]*template.Template{}, policy: policyFor(style)}
	if p.assets, err = assetsOf(b); err != nil {
		return nil, err
	}
	for _, lang := range Languages {
		texts, err := readTexts(lang)
		if err != nil {
			return nil, err
		}
		if err := p.parse(lang, p.helpers(lang, texts, style)); err != nil {
			return nil, fmt.Errorf("pages in %s: %w", lang, err)
		}
	}
	return p, nil
}

// parse reads the templates, which say everything through helpers.
func (p *Pages) parse(lang string, helpers template.FuncMap) error {
	layout, err := template.New("layout.html").Funcs(helpers).ParseFS(files, "templates/layout.html")
	if err != nil {
		return fmt.Errorf("parse layout: %w", err)
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return fmt.Errorf("list templates: %w", err)
	}
	for _, name := range names {
		if name == "templates/layout.html" {
			continue
		}
		view, err := template.Must(layout.Clone()).ParseFS(files, name)
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		p.views[lang+"/"+name] = view
	}
	return nil
}

// Render returns the page as HTML in one of Languages. It is all there or an
// error: a caller that writes the bytes never shows half a page.
func (p *Pages) Render(lang string, page Page) ([]byte, error) {
	view, ok := p.views[lang+"/templates/"+page.template()]
	if !ok {
		return nil, fmt.Errorf("no template %q in %q", page.template(), lang)
	}
	var b bytes.Buffer
	if err := view.Execute(&b, frame{Brand: p.brand, Page: page}); err != nil {
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
