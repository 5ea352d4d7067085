package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// The three shapes of a refusal: JSON for a program, a redirect for a client, a
// page for a person.

// wantJSON is RFC 6749 §5.2: nothing keeps it, and it says no more than allowed.
func (a answer) wantJSON(t testing.TB, status int, code string) map[string]any {
	t.Helper()
	if a.StatusCode != status || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: got %s, %s, %s: %s; want %d %s as JSON that nobody keeps", a.at, a.Status, a.Header.Get("Content-Type"), a.Header.Get("Cache-Control"), a.text(), status, code)
		return nil
	}
	v := decoded(t, a.body)
	if v["error"] != code {
		t.Errorf("%s: got %s; want %s", a.at, a.body, code)
	}
	if d, _ := v["error_description"].(string); d == "" || strings.ContainsFunc(d, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
		t.Errorf("T8: error_description %q", d)
	}
	if a.Header.Get("Location") != "" {
		t.Errorf("an error for a program leads to %s", a.Header.Get("Location"))
	}
	return v
}

// wantPage is a page of our own: it leads nowhere by itself, cannot be framed,
// and is kept by nobody.
func (a answer) wantPage(t testing.TB, status int, says string) {
	t.Helper()
	if a.StatusCode != status || a.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%s: got %s, %s: %s; want a page with status %d", a.at, a.Status, a.Header.Get("Content-Type"), a.text(), status)
		return
	}
	if !strings.Contains(a.text(), says) {
		t.Errorf("%s: the page says %q, not %q", a.at, a.text(), says)
	}
	if a.Header.Get("Location") != "" || a.Header.Get("Refresh") != "" || strings.Contains(strings.ToLower(a.body), "http-equiv") {
		t.Errorf("%s: the page leads somewhere by itself: %v", a.at, a.Header)
	}
	a.wantPageHeaders(t)
}

// wantPageHeaders are S3, S12, S13 and Z16, and Z2: no CORS.
func (a answer) wantPageHeaders(t testing.TB) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"Access-Control-Allow-Origin": "", "Access-Control-Allow-Credentials": "",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", a.at.Path, name, got, want)
		}
	}
	csp := a.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "form-action") {
		t.Errorf("%s: policy %q", a.at.Path, csp)
	}
}

// wantError is an error that the browser takes back to the client.
func (c *client) wantError(t testing.TB, a answer, code, state string) url.Values {
	t.Helper()
	if a.StatusCode != http.StatusSeeOther {
		t.Errorf("%s: got %s: %s; want a redirect with %s", a.at, a.Status, a.text(), code)
		return nil
	}
	q := c.received(t, a)
	if q.Get("error") != code || q.Get("state") != state || q.Has("code") || q.Has("state") != (state != "") {
		t.Errorf("%s: the client gets %v; want %s with state %q", a.at, q, code, state)
	}
	return q
}

// wantChallenge wants one WWW-Authenticate header of exactly this text (R10).
func (a answer) wantChallenge(t testing.TB, status int, want string) {
	t.Helper()
	got := a.Header.Values("WWW-Authenticate")
	if a.StatusCode != status || !slices.Equal(got, []string{want}) {
		t.Errorf("%s: got %s\n     %q\nwant %d\n     %q", a.at, a.Status, got, status, want)
	}
}
