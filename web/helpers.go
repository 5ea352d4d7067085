package web

import (
	"html/template"
	"net/url"
	"strings"
	"time"
)

// helpers are the functions of the templates.
func helpers() template.FuncMap {
	return template.FuncMap{
		"style":    inlined,
		"script":   func() string { return asset(consentScript) },
		"passkeys": func() string { return asset(passkeyScript) },
		"lang":     lang,
		"name":     func(s string) string { return line(60, s) },
		"address":  func(s string) string { return line(120, s) },
		"text":     func(s string) string { return line(240, s) },
		"long":     func(s string) string { return line(500, s) },
		"claim":    claim,
		"host":     host,
		"link":     link,
		"linkHost": linkHost,
		"when":     func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") },
		"datetime": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"join":     func(s []string) string { return strings.Join(s, " ") },
		"scope":    func(s Scope, marked bool) scopeView { return scopeView{s, marked && s.Asked} },
		"copy":     func(id, text string) copyView { return copyView{id, text} },
		"tick":     tick,
		"visible":  func(s string) string { return visible(120, s) },
		"choices":  func(request string, c []Choice) choicesView { return choicesView{request, c} },
	}
}

// What the templates that several pages share are given.
type (
	scopeView struct {
		Scope
		Marked bool // as asked for
	}
	copyView    struct{ ID, Text string }
	choicesView struct {
		Request string
		Choices []Choice
	}
)

// inlined is the stylesheet as an element, byte for byte what the policy lets
// in; the template engine would take it apart.
func inlined() template.HTML {
	return template.HTML("<style>" + style + "</style>") //nolint:gosec // our own file, nothing foreign in it
}

// asset is where pages load a script from. The address changes with the script,
// so that a cache never holds an old one.
func asset(name string) string {
	script, _ := files.ReadFile(name)
	return AssetPath + name + "?v=" + url.QueryEscape(digest(string(script))[:8])
}

// lang is the language that the texts are really in.
func lang(string) string { return "en" }

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
