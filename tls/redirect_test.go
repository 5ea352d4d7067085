package tls

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRedirect(t *testing.T) {
	handler := Redirect(NewHosts("mcp.example.com", "notes.example.com:8443"))
	for name, tc := range map[string]struct {
		method, host, target, authorization, body string
		status                                    int
		location                                  string
	}{
		"X22 reading is sent on":                     {"GET", "mcp.example.com", "/a%2Fb?x=1&y=%20", "", "", 308, "https://mcp.example.com/a%2Fb?x=1&y=%20"},
		"X22 HEAD is sent on":                        {"HEAD", "mcp.example.com", "/", "", "", 308, "https://mcp.example.com/"},
		"X22 the host's own port is named":           {"GET", "NOTES.example.com.:80", "/mcp", "", "", 308, "https://notes.example.com:8443/mcp"},
		"a path that looks like a host stays a path": {"GET", "mcp.example.com", "//evil.example/", "", "", 308, "https://mcp.example.com//evil.example/"},
		"X22 a token is refused":                     {"GET", "mcp.example.com", "/mcp", "Bearer x", "", 403, ""},
		"X22 a body is refused":                      {"POST", "mcp.example.com", "/mcp", "", "{}", 403, ""},
		"X22 a GET with a body is refused":           {"GET", "mcp.example.com", "/mcp", "", "{}", 403, ""},
		"X22 a POST without a body is refused":       {"POST", "mcp.example.com", "/mcp", "", "", 403, ""},
		"an unknown host is misdirected":             {"GET", "stranger.example.com", "/", "", "", 421, ""},
		"a request without a host is misdirected":    {"GET", "", "/", "", "", 421, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "http://example.invalid/", strings.NewReader(tc.body))
			u, err := r.URL.Parse("http://h" + tc.target)
			if err != nil {
				t.Fatal(err)
			}
			r.URL, r.Host = u, tc.host
			if tc.body == "" {
				r.Body, r.ContentLength = http.NoBody, 0
			}
			if tc.authorization != "" {
				r.Header.Set("Authorization", tc.authorization)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != tc.status || w.Header().Get("Location") != tc.location {
				t.Errorf("%d to %q, want %d to %q", w.Code, w.Header().Get("Location"), tc.status, tc.location)
			}
			if tc.status == 403 && !strings.Contains(w.Body.String(), "https://mcp.example.com") {
				t.Errorf("the sentence does not say where to go: %q", w.Body)
			}
		})
	}
}
