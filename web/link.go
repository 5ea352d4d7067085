package web

import (
	"net/url"
	"strings"
)

// link is a place that a page may lead to: a web address or a path of this
// host. Whatever else it is given, it leads nowhere.
func link(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil, len(s) > 2048, strings.ContainsFunc(s, notInURL):
		return ""
	case u.Scheme == "https" || u.Scheme == "http":
		if u.Host != "" && u.User == nil {
			return s
		}
	case u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//"): // browsers take any number of them for two
		return s
	}
	return ""
}

// notInURL is what RFC 3986 lets stand in no URL: browsers would mend it.
func notInURL(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r)
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
