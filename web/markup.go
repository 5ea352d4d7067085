package web

import (
	"context"
	"html"
	"io"
)

// A markup is HTML that goes onto a page as it is, or why there is none. Here
// and in texts.go is all that makes one: of literals of ours, and of what has
// been escaped.
type markup struct {
	html string
	err  error
}

// What stands between things that templ would join.
var (
	space   = markup{html: " "}
	between = markup{html: " · "}
)

// Render is how templ puts markup onto a page.
func (m markup) Render(_ context.Context, w io.Writer) error {
	if m.err != nil {
		return m.err
	}
	_, err := io.WriteString(w, m.html)
	return err
}

// text is a text, ours or foreign, that becomes no markup.
func text(s string) markup { return markup{html: html.EscapeString(s)} }

// within is markup in an element of ours.
func within(element string, m markup) markup {
	return markup{"<" + element + ">" + m.html + "</" + element + ">", m.err}
}

// bdi is a foreign text that does not turn the direction of ours.
func bdi(s string) markup { return within("bdi", text(s)) }

func strong(s string) markup { return within("strong", bdi(s)) }

func code(s string) markup { return within("code", bdi(s)) }

// claimed is a name that somebody gave himself, in quotes.
func claimed(s string) markup {
	return markup{html: `<bdi class="claim">“` + text(claim(s)).html + `”</bdi>`}
}

// icon is one of the symbols of the layout. It is written here because templ
// would close its <use> with another tag, once for every tool on a page.
func icon(symbol string) markup {
	return markup{html: `<svg aria-hidden="true"><use href="#` + text(symbol).html + `"/></svg>`}
}

// inlined is a stylesheet of ours, byte for byte what the policy lets in.
func inlined(style string) markup { return within("style", markup{html: style}) }
