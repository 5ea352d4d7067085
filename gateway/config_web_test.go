package gateway

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFaultsOfTheBrand(t *testing.T) {
	logo := filepath.Join(t.TempDir(), "logo.svg")
	if err := os.WriteFile(logo, []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFaults(t, faultsOf(t, sound+`
web: {name: "`+strings.Repeat("x", 61)+`\u202e", logo: `+logo+`, accent: "#ffffff #000000"}
`),
		"web.name: has 62 characters", "web.name: \"", "web.logo: "+logo+": an SVG with <script> is not taken",
		"web.accent: #ffffff cannot be seen in the light theme", "web.accent: #000000 cannot be seen in the dark theme")
	wantFaults(t, faultsOf(t, sound+"\nweb: {logo: /nowhere/logo.png}"), "web.logo: open /nowhere/logo.png")
}

func TestTheBrandIsOnThePagesAndItsLogoIsServed(t *testing.T) {
	logo := filepath.Join(t.TempDir(), "logo.png")
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 100)
	if err := os.WriteFile(logo, []byte(png), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, with("WEB_NAME", "Ada's house"), with("WEB_LOGO", logo), with("WEB_ACCENT", "#b3005e #ff8ac4"))
	page := f.get(t, notes+"/authorize?client_id=nobody")
	page.wantPage(t, http.StatusBadRequest, "Ada's house")
	_, rest, found := strings.Cut(page.body, `<img class="logo" src="`)
	src, _, _ := strings.Cut(rest, `"`)
	if !found || !strings.Contains(page.body, "--go:#b3005e") {
		t.Fatalf("the page is %s", page.body)
	}
	a := f.get(t, notes+strings.ReplaceAll(src, "&amp;", "&"))
	if a.body != png || a.Header.Get("Content-Type") != "image/png" || !strings.Contains(a.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%s: %s, %v", src, a.Status, a.Header)
	}
}

// What people read follows their browser; what programs read does not.
func TestPeopleAreAnsweredInTheirLanguage(t *testing.T) {
	f := newFixture(t)
	a := f.get(t, notes+"/authorize?client_id=nobody", "Accept-Language", "fr-CH, fr;q=0.9, en;q=0.8")
	a.wantPage(t, http.StatusBadRequest, "Cette application n’est pas connue ici")
	if !strings.Contains(a.body, `<html lang="fr">`) || a.Header.Get("Vary") != "Accept-Language" {
		t.Errorf("%v", a.Header)
	}
	f.get(t, notes+"/mcp", "Accept", "text/html", "Accept-Language", "ja").wantPage(t, http.StatusUnauthorized, "に接続")
	res := f.ask(t, http.MethodPost, notes+"/token", "grant_type=nonsense", "Accept-Language", "de", "Content-Type", "application/x-www-form-urlencoded")
	if !strings.Contains(res.body, `"error_description":"this client is not known here`) {
		t.Errorf("a program reads %s", res.body)
	}
}
