package web

import (
	"html/template"
	"net/url"
	"strings"
	"time"
)

// helpers are the functions of the templates in one language.
func (p *Pages) helpers(lang string, texts catalogue, style string) template.FuncMap {
	// Byte for byte what the policy lets in; the template engine would take it apart.
	inlined := template.HTML("<style>" + style + "</style>") //nolint:gosec // our own file, nothing foreign in it
	layout := texts["time"].pieces[0]
	return template.FuncMap{
		"lang":    func() string { return lang },
		"say":     texts.say,
		"count":   texts.count,
		"message": texts.message,
		"style":   func() template.HTML { return inlined },
		"asset":   p.at,
		"when":    func(t time.Time) string { return t.UTC().Format(layout) },

		"name":     func(s string) string { return line(60, s) },
		"address":  func(s string) string { return line(120, s) },
		"text":     func(s string) string { return line(240, s) },
		"long":     func(s string) string { return line(300, s) },
		"bdi":      isolated,
		"strong":   func(s any) template.HTML { return within("strong", isolated(s)) },
		"code":     func(s any) template.HTML { return within("code", isolated(s)) },
		"claim":    claim,
		"claimed":  claimed,
		"host":     host,
		"link":     link,
		"linkHost": linkHost,
		"datetime": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"tick":     tick,
		"visible":  func(s string) string { return visible(120, s) },
		"copy":     func(id, text string) copyView { return copyView{id, text} },
		"choices":  func(request string, c []Choice) choicesView { return choicesView{request, c} },
		"key":      func(parts ...any) string { return keyOf(parts) },
	}
}

// What the templates that several pages share are given.
type (
	copyView    struct{ ID, Text string }
	choicesView struct {
		Request string
		Choices []Choice
	}
)

// isolated is a foreign text that does not turn the direction of ours.
func isolated(s any) template.HTML { return within("bdi", s) }

// within is a text, or markup, in an element.
func within(element string, s any) template.HTML {
	inner, ok := s.(template.HTML)
	if !ok {
		inner = template.HTML(template.HTMLEscaper(s)) //nolint:gosec // it is escaped
	}
	return template.HTML("<"+element+">") + inner + template.HTML("</"+element+">") //nolint:gosec // of our own elements
}

// claimed is a name that somebody gave himself, in quotes.
func claimed(s string) template.HTML {
	return template.HTML(`<bdi class="claim">“` + template.HTMLEscapeString(claim(s)) + `”</bdi>`) //nolint:gosec // it is escaped
}

// keyOf is a key of parts.
func keyOf(parts []any) string {
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(template.HTMLEscaper(part))
	}
	return b.String()
}

// link is a place that a page may lead to: a web address or a path of this
// host. Whatever else it is given, it leads nowhere.
func link(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil, len(s) > 2048:
		return ""
	case u.Scheme == "https" || u.Scheme == "http":
		if u.Host != "" && u.User == nil {
			return s
		}
	case u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.ContainsAny(s, "\\\t\r\n"):
		return s
	}
	return ""
}

// tick is the consent page once more, with other boxes ticked.
func tick(request, wish string) string {
	return "/consent?" + url.Values{"r": {line(64, request)}, "tick": {wish}}.Encode()
}

// linkHost is the host that a link leads to, empty for this one.
func linkHost(s string) string {
	if u, err := url.Parse(link(s)); err == nil {
		return u.Host
	}
	return ""
}
