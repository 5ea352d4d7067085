// Package web is what people see: the consent, sign-in, chooser, error,
// connect, account and notice pages.
//
// It promises that a page is whole before its first byte is written, that
// nothing a client or an MCP server says of itself can change the layout, pose
// as text of ours or reach another page, and that a page asks nothing of any
// other host and needs no script. It does not know HTTP requests, sessions or
// OAuth: pages are structs of plain values.
package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
)

//go:embed templates style.css consent.js passkey.js
var files embed.FS

// Page is one of the structs of this package that are shown as a page.
type Page interface {
	// template names the file under templates/ that shows it.
	template() string
}

// Brand is what the operator calls the whole installation.
type Brand struct {
	// Name is shown at the head of every page; empty: MCP access.
	Name string
}

// Pages renders pages. It may be used by any number of goroutines.
type Pages struct {
	brand Brand
	views map[string]*template.Template
}

// frame is what the layout is given: the page and what surrounds it.
type frame struct {
	Brand string
	Page  Page
}

// New parses the embedded templates.
func New(b Brand) (*Pages, error) {
	if b.Name == "" {
		b.Name = "MCP access"
	}
	layout, err := template.New("layout.html").Funcs(helpers()).ParseFS(files, "templates/layout.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	p := &Pages{brand: b, views: map[string]*template.Template{}}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	for _, name := range names {
		if name == "templates/layout.html" {
			continue
		}
		view, err := template.Must(layout.Clone()).ParseFS(files, name)
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", name, err)
		}
		p.views[name] = view
	}
	return p, nil
}

// Render returns the page as HTML. It is all there or an error: a caller that
// writes the bytes never shows half a page.
func (p *Pages) Render(page Page) ([]byte, error) {
	view, ok := p.views["templates/"+page.template()]
	if !ok {
		return nil, fmt.Errorf("no template %q", page.template())
	}
	var b bytes.Buffer
	if err := view.Execute(&b, frame{Brand: p.brand.Name, Page: page}); err != nil {
		return nil, fmt.Errorf("render %s: %w", page.template(), err)
	}
	return b.Bytes(), nil
}

// The scripts. Only passkeys do not work without theirs.
const (
	consentScript = "consent.js"
	passkeyScript = "passkey.js"
)

// AssetPath is where the files of Asset are expected on every host.
const AssetPath = "/consent/assets/"

// Asset returns a file that pages load from AssetPath.
func (p *Pages) Asset(name string) (body []byte, contentType string, ok bool) {
	if name != consentScript && name != passkeyScript {
		return nil, "", false
	}
	body, err := files.ReadFile(name)
	return body, "text/javascript; charset=utf-8", err == nil
}
