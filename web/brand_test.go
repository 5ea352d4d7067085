package web

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// brandedPages are those of an operator who changed everything there is.
func brandedPages(t testing.TB) *Pages {
	t.Helper()
	accent, err := ParseAccent("#b3005e #ff8ac4")
	if err != nil {
		t.Fatal(err)
	}
	logo, err := ReadLogo(logoOf(t, "logo.svg", `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4"/></svg>`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Brand{Name: `Ada's <b>Notes</b>`, Logo: logo, Accent: accent})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func logoOf(t testing.TB, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestABrandIsOnEveryPage(t *testing.T) {
	p := brandedPages(t)
	for name, page := range samples() {
		got, err := p.Render("en", page)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`<img class="logo" src="/consent/assets/logo?v=`, "Ada&#39;s &lt;b&gt;Notes&lt;/b&gt;</title>", "Ada&#39;s &lt;b&gt;Notes&lt;/b&gt;</bdi></header>", "--go:#b3005e;--go-ink:#ffffff;--link:#b3005e", "--go:#ff8ac4;--go-ink:#000000"} {
			if !strings.Contains(string(got), want) {
				t.Errorf("%s lacks %s", name, want)
			}
		}
		if css := elements(t, got, "style")[0].FirstChild.Data; !strings.Contains(p.policy(), digest(css)) {
			t.Errorf("S13 %s: the browser would refuse the stylesheet", name)
		}
	}
	h := http.Header{}
	if body, ok := p.Asset("logo", h); !ok || h.Get("Content-Type") != "image/svg+xml" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || len(body) == 0 {
		t.Errorf("the logo: %v, %v", ok, h)
	}
}

func TestAnAccentThatCannotBeSeenIsRefused(t *testing.T) {
	for accent, fault := range map[string]string{
		"#1d4ed8 #8fb2ff":         "",
		"#c2410c":                 "",
		"#ffee00":                 "light theme",
		"#101030":                 "dark theme",
		"#ffffff #000000":         "light theme",
		"blue":                    "not a colour",
		"#12345":                  "not a colour",
		"#1d4ed8;}x{":             "not a colour",
		"#1d4ed8 #8fb2ff #000000": "not a colour",
		"":                        "not a colour",
	} {
		_, err := ParseAccent(accent)
		if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Errorf("%q: %v", accent, err)
		}
	}
}

// Whatever the colour, what is written on it and in it can be read.
func TestTextIsReadableInEveryAccent(t *testing.T) {
	for r := 0; r < 256; r += 15 {
		for g := 0; g < 256; g += 15 {
			for b := 0; b < 256; b += 15 {
				c := colour{uint8(r), uint8(g), uint8(b)}
				for _, a := range []*Accent{{c, darkInk}, {lightInk, c}} {
					css := a.css()
					light, dark, _ := strings.Cut(css, "@media")
					for _, theme := range []struct {
						css         string
						paper, card string
					}{{light, "#f4f4f1", "#ffffff"}, {dark, "#131417", "#1c1e22"}} {
						button, on, link := value(theme.css, "--go:"), value(theme.css, "--go-ink:"), value(theme.css, "--link:")
						for _, pair := range [][2]string{{button, on}, {link, theme.card}, {link, theme.paper}} {
							if got := contrast(parseColour(pair[0]), parseColour(pair[1])); got < readable {
								t.Fatalf("%s on %s has %.2f", pair[0], pair[1], got)
							}
						}
					}
				}
			}
		}
	}
}

func value(css, name string) string {
	_, rest, _ := strings.Cut(css, name)
	return rest[:7]
}

func TestOnlyHarmlessLogosAreTaken(t *testing.T) {
	svg := func(inner string) string { return `<svg xmlns="http://www.w3.org/2000/svg">` + inner + `</svg>` }
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 100)
	for name, tc := range map[string]struct{ body, fault string }{
		"a PNG":                       {png, ""},
		"a JPEG":                      {"\xff\xd8\xff" + png, ""},
		"a WebP":                      {"RIFF\x00\x00\x00\x00WEBPVP8 ", ""},
		"an SVG":                      {svg(`<defs><linearGradient id="a"/></defs><path fill="url(#a)" d="M0 0"/>`), ""},
		"a PNG of 50 MB":              {png + strings.Repeat("x", 50<<20), "larger than 64 KiB"},
		"a GIF":                       {"GIF89a" + png, "not a PNG"},
		"a page":                      {"<!doctype html><p>x", "document type"},
		"a script":                    {svg(`<script>alert(1)</script>`), "<script>"},
		"a handler":                   {svg(`<path onload="alert(1)"/>`), "onload"},
		"foreign markup":              {svg(`<foreignObject/>`), "<foreignobject>"},
		"a picture from elsewhere":    {svg(`<image href="https://evil.example/x.png"/>`), "<image>"},
		"a reference elsewhere":       {svg(`<use href="https://evil.example/x.svg#a"/>`), "loads something"},
		"a reference in a style":      {svg(`<path fill="url(#a) url(https://evil.example)"/>`), "loads something"},
		"a link":                      {svg(`<a href="javascript:alert(1)"/>`), "<a>"},
		"entities":                    {`<!DOCTYPE svg [<!ENTITY a "b">]>` + svg("&a;"), "document type"},
		"another stylesheet":          {`<?xml-stylesheet href="https://evil.example/x.css"?>` + svg(""), "xml-stylesheet"},
		"nothing":                     {"", "not an SVG"},
		"words":                       {"a logo", "not an SVG"},
		"an SVG that is not finished": {"<svg><path>", "not an SVG"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadLogo(logoOf(t, "logo", tc.body))
			if tc.fault == "" && err != nil || tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)) {
				t.Errorf("%v, want %q", err, tc.fault)
			}
		})
	}
	if _, err := ReadLogo(filepath.Join(t.TempDir(), "none.png")); err == nil {
		t.Error("a logo that is not there is taken")
	}
}
