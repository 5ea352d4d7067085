package web

import (
	"net/http"
	"net/url"
	"strings"
)

// The scripts. Only passkeys do not work without theirs.
const (
	consentScript = "consent.js"
	passkeyScript = "passkey.js"
	logoFile      = "logo"
)

// AssetPath is where the files of Asset are expected on every host.
const AssetPath = "/consent/assets/"

// An asset is a file that pages load.
type asset struct {
	body        []byte
	contentType string
}

func assetsOf(b Brand) (map[string]asset, error) {
	out := map[string]asset{}
	for _, name := range []string{consentScript, passkeyScript} {
		lines, err := terse(name, "//")
		if err != nil {
			return nil, err
		}
		out[name] = asset{[]byte(strings.Join(lines, "\n")), "text/javascript; charset=utf-8"}
	}
	if b.Logo != nil {
		out[logoFile] = asset(*b.Logo)
	}
	return out, nil
}

// terse is a file of ours without indentation and comments, which are most of it.
func terse(name, comment string) ([]string, error) {
	raw, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, comment) {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// at is where pages load an asset from. The address changes with the asset, so
// that a cache never holds an old one.
func (p *Pages) at(name string) string {
	return AssetPath + name + "?v=" + url.QueryEscape(digest(string(p.assets[name].body))[:8])
}

// Asset returns a file that pages load from AssetPath, and sets the headers it
// is answered with.
func (p *Pages) Asset(name string, h http.Header) (body []byte, ok bool) {
	a, ok := p.assets[name]
	if !ok {
		return nil, false
	}
	h.Set("Content-Type", a.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=300")
	// An SVG that is opened by itself is a document at our origin.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	return a.body, true
}
