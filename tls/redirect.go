package tls

import (
	"fmt"
	"net/http"
	"net/url"
)

// Redirect is what port 80 answers beside ACME challenges: reading is sent on
// to https; whatever may have carried a secret is refused, for a redirect
// would hide that it went over the wire in clear, and clients lose their
// credentials on the way.
func Redirect(h *Hosts) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authority, ok := h.Authority(r.Host)
		if !ok {
			refuse(w, http.StatusMisdirectedRequest, "no MCP server answers to this host")
			return
		}
		target := url.URL{Scheme: "https", Host: authority, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		if !readOnly(r) {
			refuse(w, http.StatusForbidden, fmt.Sprintf("use https://%s: this port is not encrypted, so a token sent to it should be replaced", authority))
			return
		}
		w.Header().Set("Location", target.String())
		w.WriteHeader(http.StatusPermanentRedirect)
	})
}

func readOnly(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return r.ContentLength == 0 && len(r.TransferEncoding) == 0 && r.Header.Get("Authorization") == ""
}

// refuse ends the connection too: what is left of a body is not waited for.
func refuse(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Connection", "close")
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, sentence, status)
}
