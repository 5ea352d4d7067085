package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
)

// policyFor is the Content Security Policy that lets exactly the bytes of style
// in. It is without form-action: browsers hold that against every hop that
// follows a form, and the client's own redirect URI would be refused in silence.
func policyFor(style string) string {
	return "default-src 'none'; style-src 'sha256-" + digest(style) + "'; script-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; frame-ancestors 'none'"
}

// headers sets what every page is answered with.
func (p *Pages) headers(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Add("Vary", "Accept-Language")
	h.Set("Content-Security-Policy", p.policy())
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	// The layout's <meta name="referrer"> makes it same-origin for pages: with
	// no-referrer browsers send "Origin: null" with our own forms, and where
	// Sec-Fetch-Site is missing these could not be told from a stranger's.
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// around is space that CSS does not need.
var blank = regexp.MustCompile(` ?([{};,>]) ?|([:]) `)

// stylesheet is style.css, in lines, without what people need to read it, and with
// the operator's colours.
func stylesheet(lines []string, a *Accent) string {
	style := blank.ReplaceAllString(strings.Join(lines, ""), "$1$2")
	return strings.ReplaceAll(style, ";}", "}") + a.css()
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}
