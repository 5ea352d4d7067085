package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// style is the stylesheet as it stands in every page, and policy the Content
// Security Policy that lets exactly these bytes in.
var (
	style  = stylesheet()
	policy = "default-src 'none'; style-src 'sha256-" + digest(style) + "'; script-src 'self'; img-src data:; " +
		"base-uri 'none'; frame-ancestors 'none'"
)

// Headers sets what every page is answered with.
func Headers(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	// Without form-action: browsers hold it against every hop that follows a
	// form, and the client's own redirect URI would be refused in silence.
	h.Set("Content-Security-Policy", policy)
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

// stylesheet is style.css without indentation and line ends, which are half of it.
func stylesheet() string {
	raw, err := files.ReadFile("style.css")
	if err != nil {
		panic("embedded stylesheet: " + err.Error()) // cannot happen in a program that was built
	}
	var b strings.Builder
	for line := range strings.Lines(string(raw)) {
		b.WriteString(strings.TrimSpace(line))
	}
	return b.String()
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}
